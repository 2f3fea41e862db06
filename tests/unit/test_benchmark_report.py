"""Arithmetic, sums and the table of the benchmark."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labctl.benchmark import report
from labctl.benchmark.beside import Beside
from labctl.benchmark.gaps import Trial
from labctl.benchmark.phases import Phase, longest_steps, to_ready
from labctl.benchmark.readings import (
    Cost,
    Reading,
    Spent,
    Usage,
    by_service,
    cost,
    ratio,
    reading,
    spent_until,
)
from labctl.benchmark.samples import Gap
from tests.unit.labs import desired

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
    phase = Phase(Cost(12, 30, 20, 1), OUT, machine(70, engine=5), machine(100, engine=8))
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


STEPS = [
    {"id": "holder:c1", "title": "create node c1", "seconds": 1.3, "ended": 1.4},
    {"id": "ready:c1/store", "title": "await c1/store", "seconds": 8.5, "ended": 9.9},
    {"id": "start:c1/api", "title": "create c1/api", "seconds": 0.4, "ended": 10.0},
    {"id": "job:store/databases", "title": "run store/databases", "seconds": 0.1, "ended": 10.0},
]
OUT = json.dumps({"began": 1000.0, "steps": STEPS})


def test_the_longest_steps_come_first() -> None:
    assert longest_steps(STEPS, 2) == [("await c1/store", 8.5), ("create node c1", 1.3)]


def test_what_was_spent_until_a_moment_lies_between_two_readings() -> None:
    series = [Spent(10.0, {"a": 1.0}), Spent(12.0, {"a": 3.0}), Spent(14.0, {"b": 1.0})]
    assert spent_until(series, "a", 9.0) == 0.0
    assert spent_until(series, "a", 11.5) == 2.5
    assert spent_until(series, "a", 13.0) == 3.0
    assert spent_until(series, "a", 99.0) == 3.0
    assert spent_until(series, "b", 13.0) == 0.5
    assert spent_until([], "a", 1.0) == 0.0


def test_an_instance_is_ready_when_its_own_step_ends() -> None:
    phase = Phase(Cost(12, 30, 20, 1), OUT, machine(70), machine(100))
    series = [Spent(1000.0, {"1": 0.0, "2": 0.0}), Spent(1020.0, {"1": 10.0, "2": 20.0})]
    instances = {"c1/store": "1", "c1/api": "2", "c2/other": "3"}
    assert to_ready(phase, series, instances) == {
        "c1/store": pytest.approx(4.95),
        "c1/api": pytest.approx(10.0),
    }


def test_each_service_beside_what_its_document_says(tmp_path: Path) -> None:
    lab = desired(tmp_path).lab
    containers = {"c1/store": "1", "c2/store": "2", "c1/api": "3"}
    figures = report.services(lab, {"c1/store": 2.0, "c2/store": 4.0}, machine(0), containers)
    assert figures["store"] == {
        "instances": 2,
        "cpu_to_ready": 3.0,
        "cost": 1.0,
        "pss": 60 * MIB,
        "memory": 10 << 20,
    }
    assert figures["api"]["cpu_to_ready"] is None
    rows = {what: rest for what, *rest in report._service_rows(figures)}
    assert rows["  store until ready"] == [
        "3.00 CPU-s, 60 MiB",
        "mean of 2; said 1.00 CPU-s, 10 MiB",
    ]
    assert rows["  api until ready"][0] == "-, 10 MiB"


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
    phase = Phase(Cost(12, 30, 20, 1), OUT, machine(70, engine=5), machine(100, engine=8))
    quick = Phase(Cost(6, 18, 15, 1), OUT, machine(70, engine=5), machine(100, engine=8))
    document = {
        "machine": report.machine(2, "docker 20.10", 0.5),
        "up": report.up(phase, 5.0, SERVICES),
        "up_again": report.repeated([phase]),
        "status": report.repeated([phase, phase, phase]),
        "checkpoint": report.checkpoint(3 * MIB, phase, quick, SERVICES),
        "memory": report.memory(machine(0), SERVICES),
        "images": {"node": {"size": 140_000_000, "own": 20_000_000, "seconds": 31.0}},
        "verify": report.verified(
            {
                "passed": True,
                "seconds": 61.0,
                "steps": [{"name": "image", "service": "api", "result": "passed", "seconds": 4}],
            }
        ),
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
    assert rows["checkpoint"] == ["3.0 MiB", "saved in 12.0 s"]
    assert rows["up from it"] == ["6.0 s", "0.50 of the first, 0.75 of its CPU-s"]
    assert rows["image node"] == ["140 MB", "20 MB of its own, built in 31 s"]
    assert rows["verify"] == ["61.0 s", "passed"]
    assert rows["  image"] == ["4.0 s", "api: passed"]
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
