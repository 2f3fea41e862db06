"""Arithmetic, sums and the table of the benchmark."""

from __future__ import annotations

import pytest

from labctl.benchmark import report
from labctl.benchmark.beside import Beside
from labctl.benchmark.gaps import Trial
from labctl.benchmark.phases import Phase, longest_steps
from labctl.benchmark.readings import Cost, Reading, Usage, by_service, cost, ratio, reading
from labctl.benchmark.samples import Gap

MIB = report.MIB
CONTAINERS = {
    "1": Usage(2.0, 80 * MIB, 0.1, 2 * MIB),
    "2": Usage(1.0, 40 * MIB, 0.1, 2 * MIB),
    "3": Usage(0.5, 10 * MIB, 0.1, 2 * MIB),
    "9": Usage(7.0, 500 * MIB, 0.1, 2 * MIB),
}
SERVICES = {"1": "store", "2": "store", "3": "api", "4": "store"}


def machine(busy: float, engine: float = 0.0) -> Reading:
    return Reading(busy, 2, CONTAINERS, engine, 90 * MIB)


def test_the_ratio_is_to_the_harder_of_the_two_bounds() -> None:
    assert ratio(wall=30, cpu=40, cores=2, chain=10) == 1.5
    assert ratio(wall=30, cpu=40, cores=4, chain=15) == 2.0


def test_what_was_busy_before_is_taken_off_but_never_labctl_itself() -> None:
    own = cost(machine(100), machine(150), wall=20, program=2, idle=0.5)
    assert own == Cost(wall=20, busy=50, busy_own=40, program=2)
    assert cost(machine(100), machine(101), wall=20, program=2, idle=0.5).busy_own == 2


def test_the_meters_document_is_read() -> None:
    row = {"cpu": 1.5, "pss": 10, "shim_cpu": 0.1, "shim_pss": 2}
    document = {
        "busy": 9.0,
        "cpus": 2,
        "containers": {"1": row},
        "engine": {"cpu": 3.0, "pss": 7},
    }
    assert reading(document) == Reading(9.0, 2, {"1": Usage(1.5, 10, 0.1, 2)}, 3.0, 7)


def test_services_are_summed_and_others_containers_are_not_ours() -> None:
    assert by_service(machine(0), SERVICES) == {
        "store": Usage(3.0, 120 * MIB, 0.2, 4 * MIB),
        "api": Usage(0.5, 10 * MIB, 0.1, 2 * MIB),
    }


def test_memory_counts_the_shims() -> None:
    figures = report.memory(machine(0), SERVICES)
    assert figures["pss"] == 136 * MIB
    assert figures["shims"] == 6 * MIB
    assert figures["services"]["store"] == {
        "pss": 120 * MIB,
        "shims": 4 * MIB,
        "containers": 3,
    }


def test_up_says_where_the_time_went() -> None:
    phase = Phase(Cost(12, 30, 20, 1), "", machine(70, engine=5), machine(100, engine=8))
    figures = report.up(phase, 5.0, SERVICES)
    assert (figures["cpu"], figures["cpu_of_all"]) == (20, 30)
    assert figures["labctl_share"] == 0.05
    assert figures["ratio"] == 1.2
    assert figures["cpu_parts"] == {
        "services": 3.5,
        "shims": pytest.approx(0.3),
        "engine": 3.0,
        "program": 1,
        "rest": pytest.approx(12.2),
    }


def test_on_a_machine_that_was_busy_all_the_while_only_what_is_counted_singly_is_sure() -> None:
    phase = Phase(Cost(12, 30, 2, 1), "", machine(70, engine=5), machine(100, engine=8))
    figures = report.made(phase, SERVICES)
    assert figures["cpu"] == pytest.approx(3.5 + 0.3 + 3 + 1)
    assert figures["cpu_parts"]["rest"] == 0


def test_the_longest_steps_are_read_from_plain_progress() -> None:
    said = (
        "   0.1 s  3 steps\n"
        "   1.4 s  [1/3] create node c1 (1.3 s)\n"
        "   2.0 s  build: something (9.9 s)\n"
        "   9.9 s  [2/3] await c1/store (8.5 s)\n"
        "  10.0 s  [3/3] run store/databases (0.1 s)\n"
    )
    assert longest_steps(said, 2) == [("await c1/store", 8.5), ("create node c1", 1.3)]


def test_gaps_are_compared_each_with_its_own_bound() -> None:
    trials = [
        Trial("c1", Gap(1.2, 900, 100, 1.1), bound=1.05),
        Trial("c2", Gap(0.8, 900, 80, 0.7), bound=0.97),
        Trial("c1", Gap(1.0, 900, 90, 0.9), bound=1.05),
    ]
    figures = report.gap(trials)
    assert (figures["min"], figures["median"], figures["max"]) == (0.8, 1.0, 1.2)
    assert (figures["bound"], figures["over_bound"]) == (1.05, 0.15)
    assert figures["trials"][1] == {
        "node": "c2",
        "bound": 0.97,
        "seconds": 0.8,
        "asked": 900,
        "failed": 80,
        "disturbed": 0.7,
    }


def test_the_table_has_a_row_for_each_figure_that_there_is() -> None:
    said = "   1.4 s  [1/3] create node c1 (1.3 s)\n"
    phase = Phase(Cost(12, 30, 20, 1), said, machine(70, engine=5), machine(100, engine=8))
    document = {
        "machine": report.machine(2, "docker 20.10", 0.5),
        "up": report.up(phase, 5.0, SERVICES),
        "up_again": report.repeated([phase]),
        "status": report.repeated([phase, phase, phase]),
        "memory": report.memory(machine(0), SERVICES),
        "gaps": {"service": report.gap([Trial("c1", Gap(1.2, 900, 100, 1.1), bound=1.05)])},
        "compose": report.compose(Beside(phase, SERVICES, 14.0, phase), 0.5),
    }
    # The first of a name counts: those of `up` come before those of Compose.
    rows = {what: rest for what, *rest in reversed([*report.rows(document)])}
    assert rows["machine"][1].endswith("measure again when it is quiet")
    assert rows["  CPU"] == ["20.0 CPU-s", "of 30.0 with all else that ran"]
    assert rows["up"] == ["12.0 s", ""]
    assert rows["  labctl's share"][0] == "5.0 %"
    assert rows["  create node c1"][0] == "1.3 s"
    assert rows["memory (PSS)"] == ["136 MiB", "shims 6 MiB of it"]
    assert rows["gap: HAProxy killed"][0] == "1.20 / 1.20 / 1.20 s"
    assert "down" not in rows
    assert rows["docker compose up --wait"] == [
        "12.0 s",
        "healthy after 14.0 s; 0.50 CPUs busy before",
    ]


@pytest.mark.parametrize(("busy", "said"), [(0.19, False), (0.21, True)])
def test_a_busy_machine_is_said_to_be_one(busy: float, said: bool) -> None:
    what, figure, remark = report._machine_row(report.machine(2, "docker 20.10", busy))
    assert (what, figure) == ("machine", "2 CPUs")
    assert ("busy machine" in remark) == said
