"""One-shot jobs over a lab's life: what they made is there, and none runs without a reason."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.engine.port import ContainerSpec, FileEntry
from labctl.errors import EngineError, LabctlError
from labctl.planning.desired import Desired
from labctl.planning.plan import make_plan
from labctl.running.execute import Executor
from labctl.running.observe import observe
from tests.fakes import programs
from tests.unit.labs import desired
from tests.unit.test_execute import LabEngine, Recorder

STORES = [f"small-c{n}-store" for n in (1, 2, 3)]
AWAITED = ["ready:c1/store", "ready:store", "ready:api"]
"""What this lab's fake client cannot be asked about."""
HOLDERS = ["small-c1", "small-c2", "small-c3", "small-client"]


class StoringEngine(LabEngine):
    """The store's members keep data on their volumes, and jobs change them.

    ``left`` is how many changes the engine makes before labctl is killed; None: all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[str] = []
        self.left: int | None = None

    def _doing(self, method: str, name: str):  # type: ignore[no-untyped-def]
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise EngineError("killed")
        return super()._doing(method, name)

    def _main_of(self, engine: object, spec: ContainerSpec) -> programs.Main:  # type: ignore[override]
        if spec.labels.get("labctl.kind") == "job":
            name = f"{spec.labels['labctl.service']}/{spec.labels['labctl.job']}"
            self.ran.append(name)
            for member in self._members():
                self._write(member, f"/data/{name}", spec.labels["labctl.hash"])
        if spec.name in STORES:
            # Who joins copies what the others have.
            for path, file in self._data().items():
                self._write(spec.name, path, file.data.decode())
            self._write(spec.name, "/data/member", "yes")
        return super()._main_of(self, spec)

    def _members(self) -> list[str]:
        return [
            c.name for c in self.containers("small") if c.name in STORES and c.status == "running"
        ]

    def _write(self, name: str, path: str, text: str) -> None:
        self._place(name, path)[path] = FileEntry(path, text.encode())

    def _data(self) -> dict[str, FileEntry]:
        """What the members have together: they replicate to each other, those that join as well."""
        return {
            path: f for name in self._members() for path, f in self._place(name, "/data/x").items()
        }

    def results(self) -> dict[str, str]:
        """Job → what it made, as the store has it now."""
        found = self._data().items()
        return {path[6:]: file.data.decode() for path, file in found if path.count("/") == 3}


def bring_up(engine: StoringEngine, wanted: Desired) -> list[str]:
    """``up``, to its end; the jobs that ran."""
    engine.ran.clear()
    Executor(engine, wanted, make_plan(wanted, observe(engine, wanted)), (), Recorder()).run()
    return list(engine.ran)


def results(wanted: Desired) -> dict[str, str]:
    return {name: job.hash for name, job in wanted.jobs.items()}


@pytest.fixture
def lab() -> StoringEngine:
    return StoringEngine()


@pytest.mark.parametrize("volumes", [False, True])
def test_a_clean_up_of_a_running_lab_changes_nothing(
    lab: StoringEngine, tmp_path: Path, volumes: bool
) -> None:
    wanted = desired(tmp_path)
    assert bring_up(lab, wanted) == ["store/databases", "api/schema"]
    lab.prune(volumes=volumes)
    assert "small-c1-store-databases" not in {c.name for c in lab.containers("small")}
    assert make_plan(wanted, observe(lab, wanted)).steps.keys() <= set(AWAITED)
    assert bring_up(lab, wanted) == []


def test_a_clean_up_of_a_lab_that_is_off_keeps_its_data(lab: StoringEngine, tmp_path: Path) -> None:
    """Containers and network are gone then, but the cluster exists and is not founded anew."""
    wanted = desired(tmp_path)
    bring_up(lab, wanted)
    lab.restart()
    lab.prune()
    assert lab.networks("small") == []
    assert observe(lab, wanted).members == {f"c{n}/store" for n in (1, 2, 3)}
    assert bring_up(lab, wanted) == []


def test_a_restart_of_the_engine_empties_disks_in_memory(
    lab: StoringEngine, tmp_path: Path
) -> None:
    wanted = desired(tmp_path, disk="256M")
    bring_up(lab, wanted)
    lab.restart()
    assert bring_up(lab, wanted) == ["store/databases", "api/schema"]
    assert lab.results() == results(wanted)


@pytest.mark.parametrize("calls", range(4, 80, 3))
def test_an_interrupted_up_on_empty_disks_forgets_what_was_on_them(
    tmp_path: Path, calls: int
) -> None:
    """Interrupted after so many calls: the next one runs the jobs that this one did not."""
    wanted, lab = desired(tmp_path, disk="256M"), StoringEngine()
    bring_up(lab, wanted)
    lab.restart()
    _happens(lab, wanted, "interrupted", calls)
    bring_up(lab, wanted)
    assert lab.results() == results(wanted)


Event = tuple[str, int]

EVENTS = st.one_of(
    st.just(("restart", 0)),
    st.tuples(st.just("prune"), st.integers(0, 1)),
    st.tuples(st.just("kill"), st.integers(0, 2)),
    st.tuples(st.just("node"), st.integers(0, 3)),
    st.tuples(st.just("interrupted"), st.integers(0, 60)),
    st.just(("up", 0)),
)


@settings(max_examples=25, deadline=None)
@given(st.booleans(), st.lists(EVENTS, max_size=6))
def test_after_every_up_the_store_has_what_each_job_makes(
    in_memory: bool, events: Sequence[Event]
) -> None:
    """Whatever happened before; and where data and ``up`` were left alone, no job runs twice."""
    with tempfile.TemporaryDirectory() as directory:
        wanted = desired(Path(directory), **({"disk": "256M"} if in_memory else {}))
        engine = StoringEngine()
        bring_up(engine, wanted)
        entitled = False
        for what, number in events:
            entitled |= _happens(engine, wanted, what, number)
            if what == "up":
                ran = bring_up(engine, wanted)
                assert entitled or not ran
                entitled = False
                assert engine.results() == results(wanted)
        bring_up(engine, wanted)
        assert engine.results() == results(wanted)


def _happens(engine: StoringEngine, wanted: Desired, what: str, number: int) -> bool:
    """Make it happen; whether jobs may run again after it."""
    there = {c.name: c.status for c in engine.containers("small")}
    if what == "restart":
        engine.restart()
        return True
    if what == "prune":
        engine.prune(volumes=bool(number))
        return number == 1 and not all(there.get(name) == "running" for name in STORES + HOLDERS)
    if what == "kill" and there.get(STORES[number]) == "running":
        engine.end(STORES[number], 137)
    if what == "node":
        for name, status in there.items():
            tenant = name.startswith(f"{HOLDERS[number]}-") and not name.endswith("-disk")
            if status == "running" and (name == HOLDERS[number] or tenant):
                engine.end(name, 137)
    if what == "interrupted":
        engine.left = number
        with suppress(LabctlError):
            bring_up(engine, wanted)
        engine.left = None
        return True
    return False
