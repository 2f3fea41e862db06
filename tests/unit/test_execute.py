"""Running a plan: order, readiness by events, and what goes wrong on the way."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from labctl.engine.port import LABEL, FileEntry, Network
from labctl.errors import EngineError, LabError
from labctl.planning.desired import NAMES, Desired
from labctl.planning.plan import make_plan
from labctl.planning.steps import AwaitReady, Observed, Plan, Step
from labctl.running.execute import Executor
from labctl.running.observe import observe
from labctl.running.probe import SPEC_PATH, Answer, Inspection, inspect
from tests.fakes import programs
from tests.fakes.engine import FakeEngine
from tests.unit.labs import IMAGES, desired


class Prober:
    """The prober's stream: what runs is ready, but for those that are ``mute``."""

    def __init__(self, engine: LabEngine, container: str) -> None:
        self._engine, self._container, self._closed = engine, container, threading.Event()

    def __iter__(self) -> Iterator[str]:
        said: set[str] = set()
        while not self._closed.wait(0.002):
            spec = json.loads(self._engine.read_file(self._container, SPEC_PATH) or b"{}")
            for probe in spec["probes"]:
                name = probe["id"]
                if name not in said and self._engine.answers(name):
                    said.add(name)
                    yield json.dumps({"id": name, "ready": True, "detail": "it answers"})
            yield "not a line of the prober's"

    def close(self) -> None:
        self._closed.set()


class LabEngine(FakeEngine):
    """A fake engine with the small lab's images; jobs end at once, well unless in ``bad``."""

    def __init__(self) -> None:
        super().__init__(main=self._main_of)
        self.mute: set[str] = set()
        self.dies: set[str] = set()
        self.bad: set[str] = set()
        for tag in IMAGES.values():
            self.add_image(tag, {"labctl.image": tag.partition(":")[0]})

    def _main_of(self, engine: FakeEngine, spec: object) -> programs.Main:
        name = getattr(spec, "name", "")
        if getattr(spec, "labels", {}).get("labctl.kind") == "job":
            return programs.Main(1 if name in self.bad else 0, "first line\nthe reason\n")
        if name in self.dies:
            return programs.Main(3, "cannot open the database\n")
        return programs.main(engine, spec)  # type: ignore[arg-type]

    def answers(self, probe: str) -> bool:
        node, _, service = probe.partition("/")
        running = {c.name for c in self.containers("small") if c.status == "running"}
        return probe not in self.mute and (node == "vip" or f"small-{node}-{service}" in running)

    def exec_stream(
        self, name: str, command: Sequence[str], *, stdin: bytes | None = None
    ) -> Prober:
        return Prober(self, name)


class Recorder:
    """A report that remembers."""

    def __init__(self) -> None:
        self.finished: list[str] = []

    def planned(self, plan: Plan) -> None: ...
    def started(self, step: Step) -> None: ...
    def note(self, text: str) -> None: ...
    def answer(self, name: str, answer: Answer) -> None: ...

    def done(self, step: Step, seconds: float) -> None:
        self.finished.append(step.id)


@pytest.fixture
def wanted(tmp_path: Path) -> Desired:
    return desired(tmp_path)


@pytest.fixture
def fake() -> LabEngine:
    return LabEngine()


def run(fake: LabEngine, wanted: Desired) -> list[str]:
    report = Recorder()
    plan = make_plan(wanted, observe(fake, wanted))
    Executor(fake, wanted, plan, (), report).run()
    assert set(report.finished) == set(plan.steps)
    return report.finished


def test_from_nothing_to_a_lab(fake: LabEngine, wanted: Desired) -> None:
    finished = run(fake, wanted)
    assert finished.index("ready:c1/store") < finished.index("start:c2/store")
    assert finished.index("job:api/schema") < finished.index("start:c1/api")
    states = {c.name: c.status for c in fake.containers("small")}
    assert set(states.values()) == {"running", "exited"}
    assert all("-schema" in n or "-databases" in n for n, s in states.items() if s == "exited")
    stores = [f"small-c{n}-store-data" for n in (1, 2, 3)]
    assert sorted(fake.volumes("small")) == [*stores, "small-records"]


def test_holders_write_the_file_that_they_share_one_at_a_time(
    fake: LabEngine, wanted: Desired, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker removes a file before it writes it: two that did so at once met "no such file"."""
    put, writing, most = fake.put_files, [0], [0]

    def watched(name: str, files: Sequence[FileEntry]) -> None:
        shared = any(file.path == NAMES for file in files)
        writing[0] += shared
        most[0] = max(most[0], writing[0])
        time.sleep(0.01 if shared else 0)
        put(name, files)
        writing[0] -= shared

    monkeypatch.setattr(fake, "put_files", watched)
    run(fake, wanted)
    assert most == [1]


def test_only_the_bootstrapping_instance_gets_the_token(fake: LabEngine, wanted: Desired) -> None:
    run(fake, wanted)
    assert fake.read_file("small-c1-store", "/run/labctl/bootstrap") == b"go\n"
    assert fake.read_file("small-c2-store", "/run/labctl/bootstrap") is None
    assert fake.read_file("small-c2-store", "/etc/store") == b"198.18.9.12 3\n"


def test_a_look_at_a_lab_that_comes_up_does_not_end_its_prober(
    fake: LabEngine, wanted: Desired
) -> None:
    """``labctl status`` beside ``labctl up`` told up's prober that nothing more would come."""
    run(fake, wanted)
    before = fake.read_file("small-client-toolbox", SPEC_PATH)
    with pytest.raises(LabError, match="the prober in small-client-toolbox failed"):
        inspect(fake, wanted)  # this engine has no prober: what counts is what it was told
    assert fake.read_file("small-client-toolbox", SPEC_PATH) == before is not None


def test_what_dies_is_named_with_its_log_and_what_waits(
    fake: LabEngine, wanted: Desired, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.running.execute.CHECK_SECONDS", 0.01)
    fake.dies = {"small-c2-store"}
    with pytest.raises(LabError) as raised:
        run(fake, wanted)
    # A job that had not begun by then is named as well.
    assert str(raised.value).startswith(
        "c2/store ended with exit code 3; its log ends:\n  cannot open the database\n"
        "not started, because it waits for this: api"
    )


def test_what_does_not_listen_is_missed_too(
    fake: LabEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``ready: running`` is no question that can go unanswered."""
    monkeypatch.setattr("labctl.running.execute.CHECK_SECONDS", 0.01)
    wanted = desired(tmp_path)
    probes = {name: probe for name, probe in wanted.probes.items() if "api" not in name}
    fake.dies = {"small-c3-api"}
    with pytest.raises(LabError) as raised:
        run(fake, replace(wanted, probes=probes))
    assert str(raised.value) == (
        "c3/api ended with exit code 3; its log ends:\n  cannot open the database"
    )


def test_what_was_running_is_missed_as_well(fake: LabEngine, wanted: Desired) -> None:
    run(fake, wanted)
    fake.end("small-c1-api", 7, "out of memory\n")
    with pytest.raises(LabError, match="c1/api ended with exit code 7"):
        Executor(fake, wanted, Plan({}), (), Recorder()).run()
    Executor(fake, wanted, Plan({}), (), Recorder(), only={"c2/api"}).run()


def test_what_never_answers_is_named_with_how_long(
    fake: LabEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.running.execute.CHECK_SECONDS", 0.01)
    wanted = desired(tmp_path)
    fake.mute = {"c3/store"}
    plan = make_plan(wanted, observe(fake, wanted))
    impatient = {
        name: replace(step, timeout=0.05) if isinstance(step, AwaitReady) else step
        for name, step in plan.steps.items()
    }
    with pytest.raises(LabError, match=r"^c3/store is not ready 0 s after"):
        Executor(fake, wanted, Plan(impatient), (), Recorder()).run()


def test_a_job_that_fails_is_named_with_its_log(fake: LabEngine, wanted: Desired) -> None:
    fake.bad = {"small-c1-store-databases"}
    with pytest.raises(LabError) as raised:
        run(fake, wanted)
    assert str(raised.value).startswith(
        "job store/databases failed with exit code 1; its log ends:\n  first line\n  the reason\n"
    )


def test_a_failure_is_finished_by_the_next_run(fake: LabEngine, wanted: Desired) -> None:
    failing = ("start", "small-c3-store")
    fake.failures[failing] = EngineError("cannot start container small-c3-store: disk full")
    with pytest.raises(EngineError, match="disk full"):
        run(fake, wanted)
    del fake.failures[failing]
    finished = run(fake, wanted)
    assert "remove:small-c3-store" in finished
    assert "holder:c1" not in finished
    assert {c.status for c in fake.containers("small")} == {"running", "exited"}


def test_foreign_things_are_not_seen(fake: LabEngine, wanted: Desired) -> None:
    fake.create_network(Network("other", "198.18.77.0/24", "x", {LABEL: "other"}))
    assert observe(fake, wanted) == Observed(images=frozenset(IMAGES.values()) - {""})


def test_a_filter_that_somebody_removed_is_set_again(fake: LabEngine, wanted: Desired) -> None:
    run(fake, wanted)
    assert observe(fake, wanted, ask_host=True).filtered
    fake.tables.clear()  # as 'nft flush ruleset' does
    plan = make_plan(wanted, observe(fake, wanted, ask_host=True))
    assert not [name for name in plan.steps if name.startswith(("network", "holder"))]
    step = plan.steps["link"]
    assert step.title == "set the filter of the lab's link"
    Executor(fake, wanted, Plan({"link": step}), (), Recorder()).run()
    assert "link" not in make_plan(wanted, observe(fake, wanted, ask_host=True)).steps


def test_who_stays_outside_of_the_cluster_is_stranded_and_restarted(
    fake: LabEngine, wanted: Desired, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(fake, wanted)
    ready = {name: Answer(ready=True, detail="") for name in wanted.probes}
    seen = iter([["c2", "c3"], ["c3"]])

    def asked(*_: object) -> Inspection:
        clusters = {"it": {"service": "store", "stranded": next(seen, ["c3"])}}
        return Inspection(ready, clusters)

    monkeypatch.setattr("labctl.running.observe.inspect", asked)
    monkeypatch.setattr("labctl.running.observe._REJOIN_SECONDS", 0.05)
    monkeypatch.setattr("labctl.running.observe._RECHECK_SECONDS", 0.01)
    observed = observe(fake, wanted)
    assert observed.stranded == {"c3/store"}
    fake.calls.clear()
    run(fake, wanted)
    assert [n for verb, n in fake.calls if verb in ("stop", "start")] == ["small-c3-store"] * 2


def test_a_failed_step_lists_what_waits_and_what_was_not_begun(
    fake: LabEngine, wanted: Desired
) -> None:
    fake.failures["start", "small-c1-store"] = EngineError("cannot start it: disk full")
    with pytest.raises(EngineError) as raised:
        run(fake, wanted)
    assert str(raised.value) == (
        "cannot start it: disk full\n"
        "not started, because it waits for this: c2/store, c3/store, api, "
        "job store/databases, job api/schema"
    )


def test_no_more_start_at_a_time_than_the_machine_can_carry(
    fake: LabEngine, wanted: Desired, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.running.execute.STARTING", 1)
    monkeypatch.setattr("labctl.running.execute.UNASKED", 0.01)
    monkeypatch.setattr("labctl.running.execute.SLOT_SECONDS", 0.01)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    finished = run(fake, wanted)
    order = [step for step in finished if step.endswith("/api") and "/" in step]
    api = [step.partition(":")[0] for step in order if step != "ready:api"]
    assert api == ["start", "ready"] * 3


def test_what_takes_long_holds_nobody_up(
    fake: LabEngine, wanted: Desired, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may wait for one that is not started yet."""
    monkeypatch.setattr("labctl.running.execute.STARTING", 1)
    monkeypatch.setattr("labctl.running.execute.GRACE", 0.01)
    monkeypatch.setattr("labctl.running.execute.CHECK_SECONDS", 0.01)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    fake.mute = {"c1/api", "c2/api", "c3/api"}

    def unmute() -> None:
        while sum("-api" in c.name for c in fake.containers("small")) < 4:  # and its job
            pass
        fake.mute = set()

    other = threading.Thread(target=unmute, daemon=True)
    other.start()
    run(fake, wanted)
    other.join(5)


def test_an_interrupt_does_not_wait_for_a_job(
    wanted: Desired, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job goes on in its container; the next 'up' waits for it."""
    begun, released = threading.Event(), threading.Event()

    class Waiting(LabEngine):
        def wait(self, name: str, timeout: float) -> int:
            begun.set()
            assert released.wait(20)
            return 0

    take = Executor._process_events

    def interrupted(executor: Executor, timeout: float) -> None:
        if begun.is_set():
            raise KeyboardInterrupt
        take(executor, timeout)

    monkeypatch.setattr(Executor, "_process_events", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(Waiting(), wanted)
    assert not released.is_set()
    released.set()
