"""Which member bootstraps a cluster that has no member left."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from labctl.engine.port import ContainerSpec
from labctl.errors import LabError
from labctl.planning.desired import Desired
from labctl.planning.plan import make_plan
from labctl.planning.steps import Observed, StartInstance
from labctl.running import recover as recovery
from labctl.running.probe import Answer, Inspection
from labctl.running.recover import most_advanced, recover
from tests.fakes import programs
from tests.fakes.engine import FakeEngine
from tests.unit.labs import IMAGES, container, desired, running

HERE = "8a1f"


def test_the_most_advanced_bootstraps() -> None:
    positions = {"c1/s": (HERE, 7), "c2/s": (HERE, 12), "c3/s": (HERE, -1)}
    assert most_advanced("store", positions) == "c2/s"


def test_data_of_different_clusters_are_not_chosen_from() -> None:
    with pytest.raises(LabError) as raised:
        most_advanced("store", {"c1/s": (HERE, 7), "c2/s": ("bb", 12)})
    assert str(raised.value) == (
        "store: its members have data of different clusters (c1/s 8a1f, c2/s bb): nothing was "
        "started; remove the volumes of those that are wrong"
    )


def test_no_data_at_all() -> None:
    with pytest.raises(LabError, match="no member is left and none has data"):
        most_advanced("store", {})


@pytest.fixture
def wanted(tmp_path: Path) -> Desired:
    return desired(tmp_path)


@pytest.fixture
def fake(wanted: Desired) -> Iterator[FakeEngine]:
    """Position helpers that say 5, 6, 7 in the order of the nodes."""

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
    return made


def outage(wanted: Desired) -> Observed:
    """All of ``store`` has ended; the rest runs."""
    observed = running(wanted)
    ended = {
        f"small-c{n}-store": container(wanted.instances[f"c{n}/store"], "exited", 137)
        for n in (1, 2, 3)
    }
    ready = frozenset(p for p in observed.ready if "store" not in p)
    return replace(observed, containers={**observed.containers, **ended}, ready=ready)


def test_a_lost_cluster_is_bootstrapped_again(wanted: Desired, fake: FakeEngine) -> None:
    notes: list[str] = []
    observed = recover(fake, wanted, outage(wanted), notes.append)
    assert observed.bootstrap_instances == {"store": "c3/store"}
    assert notes[-1] == "store: c3/store bootstraps the cluster"
    plan = make_plan(
        wanted, replace(outage(wanted), bootstrap_instances=observed.bootstrap_instances)
    )
    bootstrap = [
        s.instance for s in plan.steps.values() if isinstance(s, StartInstance) and s.bootstrap
    ]
    assert bootstrap == ["c3/store"]
    assert "ready:c3/store" in plan.steps["start:c1/store"].needs
    assert [c.name for c in fake.containers("small")] == []


def test_a_cluster_with_a_member_that_serves_is_left_alone(
    wanted: Desired, fake: FakeEngine
) -> None:
    observed = outage(wanted)
    serving = replace(observed, ready=observed.ready | {"c2/store"})
    assert recover(fake, wanted, serving, lambda _: None) is serving


@pytest.mark.parametrize(("looks", "back"), [(3, True), (1000, False)])
def test_members_that_run_have_time_to_find_each_other(
    wanted: Desired, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch, looks: int, back: bool
) -> None:
    """Those that never do are stopped, and the most advanced bootstraps."""
    left = iter(range(looks, 0, -1))

    def look(*_: object, probes: list[str], **__: object) -> Inspection:
        return Inspection(dict.fromkeys(probes, Answer(next(left) == 1, "")))

    monkeypatch.setattr(recovery, "inspect", look)
    monkeypatch.setattr(recovery, "PAUSE", 0.0)
    monkeypatch.setattr(recovery, "PATIENCE", 30.0 if back else 0.05)
    for unit in wanted.holders.values():
        fake.create(unit.spec)
        fake.start(unit.spec.name)
    for node in ("c1", "c2", "c3"):
        fake.create(wanted.instances[f"{node}/store"].spec)
        fake.start(f"small-{node}-store")
    partless = running(wanted)
    partless = replace(partless, ready=frozenset(p for p in partless.ready if "store" not in p))
    observed = recover(fake, wanted, partless, lambda _: None)
    stopped = {name for method, name in fake.calls if method == "stop"}
    if back:
        assert observed.ready >= {"c1/store", "c2/store", "c3/store"}
        assert not observed.bootstrap_instances
        assert not stopped
    else:
        assert observed.bootstrap_instances == {"store": "c3/store"}
        assert stopped == {"small-c1-store", "small-c2-store", "small-c3-store"}


def test_nothing_is_decided_over_a_running_member_that_cannot_be_asked(
    wanted: Desired, fake: FakeEngine
) -> None:
    blind = replace(running(wanted), ready=frozenset())
    assert recover(fake, wanted, blind, lambda _: None) is blind
