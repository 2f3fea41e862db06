"""How a lost cluster is looked at and brought back: reading, doing, and the plan that ends it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labctl.engine.port import ContainerSpec
from labctl.errors import InputError, LabError
from labctl.planning.desired import Desired
from labctl.planning.plan import make_plan
from labctl.planning.recovery.model import Cluster, Member
from labctl.planning.recovery.stores import galera, registered
from labctl.planning.steps import Observed, Plan, StartInstance
from labctl.running import recover as recovery
from labctl.running.probe import Answer, Inspection
from labctl.running.recover import Recovery, check_services, of_services
from tests.fakes import programs
from tests.fakes.engine import FakeEngine
from tests.unit.labs import IMAGES, container, desired, running

HERE, THERE = "8a1f", "bb"
STORE = ("c1/store", "c2/store", "c3/store")


class Notes:
    """A report that remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def planned(self, plan: Plan) -> None: ...
    def started(self, step: Any) -> None: ...
    def done(self, step: Any, seconds: float) -> None: ...
    def answer(self, name: str, answer: Answer) -> None: ...

    def note(self, text: str) -> None:
        self.said.append(text)


def ended(**positions: str) -> Cluster:
    """Galera, all of it ended, with what the position commands printed."""
    members = [Member(f"{n}/mariadb", runs=False, data=said) for n, said in positions.items()]
    return Cluster("mariadb", tuple(members))


def test_the_most_advanced_bootstraps() -> None:
    found = galera.diagnose(ended(c1=f"{HERE}:7", c2=f"{HERE}:12", c3=""))
    assert [(s.action, s.members) for s in found.steps] == [
        ("bootstrap", ("c2/mariadb",)),
        ("start", ("c1/mariadb", "c3/mariadb")),
    ]
    assert found.steps[0].reason == (
        "its data are the most recent of those there are "
        "(c1/mariadb 7, c2/mariadb 12, c3/mariadb no data)"
    )


def test_data_of_different_clusters_are_not_chosen_from() -> None:
    found = galera.diagnose(ended(c1=f"{HERE}:7", c2=f"{THERE}:12", c3=f"{HERE}:6"))
    assert found.stops
    assert found.sentence == (
        "mariadb: its members have data of different clusters (c1/mariadb 8a1f:7, "
        "c2/mariadb bb:12, c3/mariadb 8a1f:6), so nothing was started: "
        "keep 8a1f with 'labctl node replace c2', or keep bb with 'labctl node replace c1 c3'"
    )


def test_a_position_that_cannot_be_read_may_be_the_most_recent() -> None:
    found = galera.diagnose(ended(c1=f"{HERE}:7", c2=f"{HERE}:-1", c3=f"{HERE}:6"))
    assert found.stops
    assert found.sentence == (
        "mariadb: nothing was started, because a position cannot be read and may be the most "
        "recent (c2/mariadb: its storage engine does not know it): mend it, or give it up with "
        "'labctl node replace c2'"
    )


def test_no_data_at_all_where_there_were_some() -> None:
    found = galera.diagnose(ended(c1="", c2="", c3=""))
    assert found.stops
    assert found.sentence == (
        "mariadb: no member is left and none has data: nothing was started; run 'labctl down', "
        "then 'labctl up'"
    )


@pytest.fixture
def wanted(tmp_path: Path) -> Desired:
    return desired(tmp_path)


@pytest.fixture
def fake(wanted: Desired) -> Iterator[FakeEngine]:
    """The lab on an engine, all of it running; position helpers say 5, 6, 7 by node."""

    def main(engine: FakeEngine, spec: ContainerSpec) -> programs.Main:
        if spec.command == ("position",):
            number = next(n for n in (1, 2, 3) if f"-c{n}-" in spec.name)
            return programs.Main(0, f"{HERE}:{4 + number}\n")
        return programs.Main()

    made = FakeEngine(main=main)
    for tag in IMAGES.values():
        made.add_image(tag)
    for mount in itertools.chain(*(u.spec.volumes for u in wanted.instances.values())):
        made.create_volume(mount.volume, {"labctl.lab": "small"})
    made.create_network(wanted.network)
    for unit in (*wanted.holders.values(), *wanted.instances.values()):
        made.create(unit.spec)
        made.start(unit.spec.name)
    made.calls.clear()
    return made


def words(said: str = "non-Primary, Initialized") -> dict[str, Any]:
    return {"galera": {"service": "store", "members": {f"c{n}": said for n in (1, 2, 3)}}}


def outage(wanted: Desired, fake: FakeEngine) -> Observed:
    """All of ``store`` has ended; the rest runs."""
    for node in ("c1", "c2", "c3"):
        fake.kill(f"small-{node}-store")
    fake.calls.clear()
    observed = running(wanted)
    gone = {
        f"small-c{n}-store": container(wanted.instances[f"c{n}/store"], "exited", 137)
        for n in (1, 2, 3)
    }
    ready = frozenset(p for p in observed.ready if "store" not in p)
    containers = {**observed.containers, **gone}
    return replace(observed, containers=containers, ready=ready, asked=True)


def partless(wanted: Desired) -> Observed:
    """All of ``store`` runs, and none is in a primary component."""
    observed = running(wanted)
    ready = frozenset(p for p in observed.ready if "store" not in p)
    return replace(observed, ready=ready, asked=True, clusters=words())


@pytest.fixture(autouse=True)
def look(monkeypatch: pytest.MonkeyPatch, wanted: Desired) -> None:
    """What is observed after a step: the containers as the engine has them, nobody ready."""

    def again(engine: FakeEngine, desired: Desired, *, ask_host: bool) -> Observed:
        containers = {c.name: c for c in engine.containers("small")}
        return replace(partless(wanted), containers=containers)

    monkeypatch.setattr(recovery, "observe", again)
    monkeypatch.setattr(recovery, "PAUSE", 0.0)


def test_a_lost_cluster_is_bootstrapped_again(wanted: Desired, fake: FakeEngine) -> None:
    notes = Notes()
    observed = Recovery(fake, wanted, notes).prepare(outage(wanted, fake))
    assert observed.bootstrap_instances == {"store": "c3/store"}
    assert notes.said[-2:] == [
        "  bootstrap the cluster from c3/store: its data are the most recent of those there are "
        "(c1/store 5, c2/store 6, c3/store 7)",
        "  start c1/store, c2/store: they copy what they missed and join, one at a time",
    ]
    plan = make_plan(wanted, observed)
    bootstrap = [
        s.instance for s in plan.steps.values() if isinstance(s, StartInstance) and s.bootstrap
    ]
    assert bootstrap == ["c3/store"]
    assert "ready:c3/store" in plan.steps["start:c1/store"].needs
    assert not any("position" in c.name for c in fake.containers("small"))


def test_to_foresee_reads_and_changes_nothing(wanted: Desired, fake: FakeEngine) -> None:
    found = Recovery(fake, wanted, Notes()).foresee(outage(wanted, fake))
    (store,) = [d for d in found.diagnoses if d.service == "store"]
    assert [s.action for s in store.steps] == ["bootstrap", "start"]
    touched = {name for _, name in fake.calls if not name.endswith("-position")}
    assert not touched


def test_a_cluster_with_a_member_that_serves_is_left_alone(
    wanted: Desired, fake: FakeEngine
) -> None:
    observed = outage(wanted, fake)
    serving = replace(
        observed,
        ready=observed.ready | {"c2/store"},
        containers={
            **observed.containers,
            "small-c2-store": container(wanted.instances["c2/store"]),
        },
        clusters=words("Primary, Synced"),
    )
    assert Recovery(fake, wanted, Notes()).prepare(serving) == serving
    assert fake.calls == []


@pytest.mark.parametrize(("looks", "back"), [(3, True), (1000, False)])
def test_members_that_run_have_time_to_find_each_other(
    wanted: Desired, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch, looks: int, back: bool
) -> None:
    """Those that never do are stopped, and the most advanced bootstraps."""
    left = iter(range(looks, 0, -1))

    def inspect(*_: object, probes: list[str], **__: object) -> Inspection:
        ready = next(left) == 1
        if ready:
            served = replace(running(wanted), asked=True)
            monkeypatch.setattr(recovery, "observe", lambda *_, **__: served)
        return Inspection(dict.fromkeys(probes, Answer(ready, "")), clusters=words())

    monkeypatch.setattr(recovery, "inspect", inspect)
    patient = replace(registered()["galera"], patience=lambda _: 30.0 if back else 0.05)
    monkeypatch.setattr("labctl.planning.recovery.stores.registered", lambda: {"galera": patient})
    observed = Recovery(fake, wanted, Notes()).prepare(partless(wanted))
    stopped = {name for method, name in fake.calls if method == "stop"}
    if back:
        assert observed.ready >= set(STORE)
        assert not observed.bootstrap_instances
        assert not stopped
    else:
        assert observed.bootstrap_instances == {"store": "c3/store"}
        assert stopped == {"small-c1-store", "small-c2-store", "small-c3-store"}


def test_nobody_waits_for_members_whose_nodes_have_ended(
    wanted: Desired, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their processes run on without a network, and find nobody again."""

    def asked(*_: object, **__: object) -> Inspection:
        raise AssertionError("they were asked")

    monkeypatch.setattr(recovery, "inspect", asked)
    holders = {unit.spec.name for unit in wanted.holders.values()}
    seen = partless(wanted)
    containers = {
        name: replace(there, status="exited") if name in holders else there
        for name, there in seen.containers.items()
    }
    observed = Recovery(fake, wanted, Notes()).prepare(replace(seen, containers=containers))
    assert observed.bootstrap_instances == {"store": "c3/store"}


def test_nothing_is_decided_over_a_running_member_that_cannot_be_asked(
    wanted: Desired, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = replace(running(wanted), ready=frozenset(), asked=False)
    monkeypatch.setattr(recovery, "observe", lambda *_, **__: blind)
    with pytest.raises(LabError) as raised:
        Recovery(fake, wanted, Notes()).prepare(blind)
    assert str(raised.value) == (
        "client/toolbox runs and cannot be asked, so nothing is decided: see "
        "'labctl logs client/toolbox'"
    )
    assert fake.calls == []


def test_a_person_who_has_to_choose_is_told_and_nothing_is_done(
    wanted: Desired, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        recovery.evidence,
        "_position",
        lambda *a: f"{HERE if a[-1].node.name == 'c1' else THERE}:1",
    )
    with pytest.raises(LabError, match="its members have data of different clusters"):
        Recovery(fake, wanted, Notes()).prepare(outage(wanted, fake))
    assert fake.calls == []


def test_an_unknown_service(wanted: Desired) -> None:
    with pytest.raises(InputError) as raised:
        check_services(wanted.lab, ["stor"])
    assert str(raised.value) == ("there is no service 'stor' in lab 'small'; did you mean 'store'?")


def test_only_what_leads_to_a_service_is_done(wanted: Desired, fake: FakeEngine) -> None:
    observed = outage(wanted, fake)
    api = "small-c1-api"
    gone = {**observed.containers, api: container(wanted.instances["c1/api"], "exited", 1)}
    plan = make_plan(wanted, replace(observed, containers=gone))
    assert "start:c1/api" in plan.steps
    assert "start:c1/api" not in of_services(plan, wanted.lab, ["store"]).steps
    assert of_services(plan, wanted.lab, []) == plan
