"""What the meter makes of the kernel's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.benchmark import meter

A, B = "a" * 64, "b" * 64


def test_busy_leaves_waiting_and_stolen_time_out() -> None:
    # user nice system idle iowait irq softirq steal guest guest_nice
    text = "cpu  100 20 30 9000 500 4 6 700 50 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
    assert meter.busy(text) == pytest.approx(160 / meter.TICKS)


def test_spent_counts_ended_children_whatever_the_process_is_called() -> None:
    text = "42 (a) b ( c) S 1 42 42 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 99"
    assert meter.spent(text) == pytest.approx(100 / meter.TICKS)


def test_pss_is_the_line_of_that_name_only() -> None:
    text = "00-ff ---p 0 00:00 0 [rollup]\nRss: 900 kB\nPss:   108 kB\nPss_Anon:   50 kB\n"
    assert meter.pss(text) == 108 * 1024
    assert meter.pss("") == 0


@pytest.mark.parametrize(
    "text",
    [
        f"3:cpuacct:/docker/{A}\n1:name=systemd:/docker/{A}\n",
        f"0::/../docker-{A}.scope\n",
        f"0::/machine.slice/libpod-{A}.scope/container\n",
    ],
)
def test_a_process_is_found_in_its_container(text: str) -> None:
    assert meter.owner(text, [B, A]) == A
    assert meter.owner(text, [B]) is None


def test_cgroups_of_version_1(tmp_path: Path) -> None:
    directory = tmp_path / "cpuacct" / "docker" / A
    directory.mkdir(parents=True)
    (directory / "cpuacct.usage").write_text("2500000000\n")
    (tmp_path / "memory" / "docker" / A).mkdir(parents=True)
    assert list(meter.cgroups(tmp_path, [A, B])) == [(A, directory)]
    assert meter.usage(directory) == 2.5


def test_cgroups_of_version_2(tmp_path: Path) -> None:
    directory = tmp_path / "system.slice" / f"docker-{A}.scope"
    directory.mkdir(parents=True)
    (directory / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1000000\n")
    assert list(meter.cgroups(tmp_path, [A])) == [(A, directory)]
    assert meter.usage(directory) == 1.5


def test_a_cgroup_that_has_gone_has_used_nothing(tmp_path: Path) -> None:
    assert meter.usage(tmp_path / "gone") == 0.0
