"""What doctor finds, and what it does about it; on a machine made up by each test."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from labctl.doctor import machine, provision
from labctl.engine import choose
from labctl.errors import EngineError
from labctl.host import process
from tests.fakes import programs
from tests.fakes.engine import INFO, FakeEngine

KERNEL = "veth ok\nmacvlan ok\ningress ok\negress ok\ninet ok\nnetem Error: Unknown qdisc.\n"


def found(monkeypatch: pytest.MonkeyPatch, engine: FakeEngine) -> dict[str, machine.Check]:
    monkeypatch.setattr(machine, "connect", lambda _: engine)
    return {check.name: check for check in machine.checks()}


def test_a_machine_that_is_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    info = replace(INFO, version="20.10.24", root_dir=str(tmp_path))
    engine = FakeEngine(info=info, main=lambda *_: programs.Main(0, KERNEL))
    engine.add_image("labctl/node:1", {"labctl.image": "node"})
    checks = found(monkeypatch, engine)
    assert not [check for check in checks.values() if check.ok is False]
    assert checks["kernel: macvlan"].ok
    assert checks["kernel: netem"] == machine.Check(
        "kernel: netem",
        None,
        "this kernel has no sch_netem, which delays packets (Error: Unknown qdisc.)",
    )
    assert engine.containers() == []


def test_an_environment_without_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find_spec", lambda _: None)
    check = found(monkeypatch, FakeEngine())["pip"]
    assert check.ok is False
    assert check.detail.endswith(" has no pip, which downloads wheels that images need")


def test_what_labs_need_and_the_kernel_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    said = KERNEL.replace("macvlan ok", "macvlan Error: Unknown device type.")
    engine = FakeEngine(main=lambda *_: programs.Main(0, said))
    engine.add_image("labctl/node:1", {"labctl.image": "node"})
    assert found(monkeypatch, engine)["kernel: macvlan"].ok is False


def test_without_a_node_image_the_kernel_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    check = found(monkeypatch, FakeEngine())["kernel"]
    assert (check.ok, check.remedy) == (None, "labctl images build")


@pytest.mark.parametrize(
    ("changes", "name", "ok"),
    [
        ({"version": "19.03.1"}, "engine", False),
        ({"version": "4.2.0", "kind": "podman"}, "engine", False),
        ({"version": "28.0", "remapped": True}, "engine", False),
        ({"version": "4.3.1", "kind": "podman"}, "engine", True),
        ({"version": "28.0", "rootless": True}, "engine", None),
        ({"memory": 1 << 30}, "memory", False),
        ({"cpus": 1}, "processors", None),
        ({"root_dir": "/nonexistent/x"}, "disk", None),
    ],
)
def test_what_is_not_enough(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], name: str, ok: bool | None
) -> None:
    engine = FakeEngine(info=replace(INFO, **changes))  # type: ignore[arg-type]
    assert found(monkeypatch, engine)[name].ok is ok


def test_the_largest_profile_that_fits_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(info=replace(INFO, memory=3 << 30))
    detail = found(monkeypatch, engine)["memory"].detail
    assert detail.startswith("3.0 GiB: three-controller fits with profile support (support ")


def test_no_engine_is_a_finding_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str | None) -> FakeEngine:
        raise EngineError("no container engine answers")

    monkeypatch.setattr(machine, "connect", refuse)
    first = machine.checks()[0]
    assert first == machine.Check(
        "engine", False, "no container engine answers", "labctl doctor --fix"
    )


class Machine:
    """Programs that were run, and an engine that answers once its program was started."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, home: Path, installed: set[str]) -> None:
        self.installed, self.ran, self.up = installed, [], False
        self.registry: set[str] = set()
        monkeypatch.setenv("LABCTL_HOME", str(home))
        monkeypatch.delenv("DOCKER_HOST", raising=False)
        monkeypatch.delenv("LABCTL_ENGINE", raising=False)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(choose, "connect", self._connect)
        monkeypatch.setattr(choose, "forbidden", lambda *_: False)
        monkeypatch.setattr(process, "which", lambda program: program in self.installed or None)
        monkeypatch.setattr(process, "run", self._run)
        monkeypatch.setattr(process, "spawn_detached", self._spawn)
        monkeypatch.setattr(provision, "_has_systemd", lambda: False)
        monkeypatch.setattr(provision, "_has_apparmor", lambda: False)
        monkeypatch.setattr(provision, "_mounted", lambda _: True)
        monkeypatch.setattr(provision, "_PID_FILE", home / "docker.pid")
        monkeypatch.setattr(provision, "_PODMAN_SOCKET", home / "run" / "podman.sock")
        monkeypatch.setattr(provision, "_START_SECONDS", 0.3)

    def _connect(self, _: str | None) -> FakeEngine:
        if not self.up:
            raise EngineError("no container engine answers")
        engine = FakeEngine()
        engine.registry |= self.registry
        return engine

    def _run(self, argv: tuple[str, ...], **_: object) -> process.Completed:
        self.ran.append(" ".join(argv))
        if "install" in argv:
            self.installed |= {"dockerd", "podman", "mmdebstrap"}
        return process.Completed(0, "", "")

    def _spawn(self, argv: tuple[str, ...], log: Path, *_: object) -> int:
        self.ran.append(" ".join(argv))
        self.up = argv[0] in self.installed
        log.write_text("the reason\n\n")
        return 1


def test_an_engine_is_installed_and_started_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = Machine(monkeypatch, tmp_path, {"apt-get"})
    assert list(machine.fix()) == [
        "installing docker.io, ca-certificates, iptables, mmdebstrap",
        f"starting dockerd (log: {tmp_path}/dockerd.log)",
    ]
    apt = "env DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes"
    assert there.ran == [
        f"{apt} update",
        f"{apt} install --no-install-recommends docker.io ca-certificates iptables mmdebstrap",
        "dockerd",
    ]
    assert list(machine.fix()) == []
    assert len(there.ran) == 3


def test_apparmor_needs_its_loader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Machine(monkeypatch, tmp_path, {"apt-get"})
    monkeypatch.setattr(provision, "_has_apparmor", lambda: True)
    assert next(machine.fix()).endswith(", mmdebstrap, apparmor")


def test_a_user_with_sudo_starts_it_through_his_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = Machine(monkeypatch, tmp_path, {"sudo", "dockerd", "mmdebstrap"})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(process, "which", lambda program: f"/{program}")
    with pytest.raises(EngineError, match=r"^dockerd was started but does not answer"):
        list(machine.fix())
    (started,) = there.ran
    assert started.startswith("/sudo ")
    assert started.endswith(f"& {tmp_path}/dockerd.log")


@pytest.mark.parametrize(("found", "done"), [(True, []), (False, ["installing mmdebstrap"])])
def test_a_bootstrapper_is_installed_only_when_no_base_can_be_pulled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: bool, done: list[str]
) -> None:
    there = Machine(monkeypatch, tmp_path, {"apt-get", "dockerd"})
    there.up = True
    if found:
        there.registry.add("debian:bookworm-slim")
    assert list(machine.fix()) == done


def test_podman_gets_settings_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = Machine(monkeypatch, tmp_path, {"apt-get", "podman", "debootstrap"})
    monkeypatch.setattr(provision, "_may_raise_limits", lambda: False)
    assert list(machine.fix("podman")) == [f"starting podman (log: {tmp_path}/podman.log)"]
    assert there.ran == [f"podman system service --time=0 unix://{tmp_path}/run/podman.sock"]
    settings = (tmp_path / "containers.conf").read_text()
    assert 'runtime = "runc"' in settings
    assert 'default_ulimits = ["nofile=' in settings
    monkeypatch.setattr(provision, "_may_raise_limits", lambda: True)
    monkeypatch.setattr(provision, "_mounted", lambda kind: kind == "cgroup2")
    ordinary = provision.podman_settings()
    assert "runtime" not in ordinary
    assert "default_ulimits" not in ordinary


@pytest.mark.parametrize(("content", "kept"), [("999999999", False), (None, True)])
def test_a_pid_file_is_removed_only_when_stale(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None, kept: bool
) -> None:
    there = Machine(monkeypatch, tmp_path, {"dockerd", "mmdebstrap"})
    comm = Path("/proc/self/comm").read_text().strip()
    (tmp_path / "docker.pid").write_text(content or str(os.getpid()))
    runs = provision._runs
    monkeypatch.setattr(provision, "_runs", lambda path, _: runs(path, comm))
    list(machine.fix())
    assert (there.ran[0] == "dockerd") is kept
    assert there.ran[-1] == "dockerd"


def test_an_engine_that_does_not_come_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = Machine(monkeypatch, tmp_path, {"apt-get", "dockerd", "mmdebstrap"})
    monkeypatch.setattr(there, "_spawn", None)
    monkeypatch.setattr(process, "spawn_detached", lambda _, log: log.write_text("why\n"))
    with pytest.raises(EngineError) as refused:
        list(machine.fix())
    assert str(refused.value) == (
        f"dockerd was started but does not answer; its log {tmp_path}/dockerd.log ends: why"
    )


def test_a_machine_that_is_no_debian(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Machine(monkeypatch, tmp_path, set())
    with pytest.raises(EngineError, match=r"^this machine has no apt-get: install docker\.io "):
        list(machine.fix())


def test_without_root_or_sudo_nothing_is_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = Machine(monkeypatch, tmp_path, {"apt-get"})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(EngineError, match=r"^this needs root: run `env .* update` as root"):
        list(machine.fix())
    assert there.ran == []


def test_another_place_is_not_ours_to_put_right(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = Machine(monkeypatch, tmp_path, {"apt-get"})
    with pytest.raises(EngineError, match=r"^no container engine answers$"):
        list(machine.fix("tcp://198.51.100.1:2375"))
    assert there.ran == []
