"""What a lab needs of its machine, what is there, and what is said when it is too little."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from labctl.errors import EngineError
from labctl.planning import fit
from labctl.planning.desired import Desired
from labctl.planning.fit import Machine, check, inspect_machine, largest, memory_bytes, shortage
from tests.fakes.engine import INFO
from tests.unit.labs import desired
from tests.unit.test_execute import LabEngine

GIB = 1 << 30


@pytest.fixture
def wanted(tmp_path: Path) -> Desired:
    return desired(tmp_path)


def machine(**changes: object) -> Machine:
    whole = Machine(8 * GIB, 40 * GIB, "/srv", 2, frozenset(), frozenset(), frozenset())
    return replace(whole, **changes)  # type: ignore[arg-type]


def test_services_holders_and_shims_count(wanted: Desired) -> None:
    containers = 7 + 4
    expected = 7 * (10 << 20) + 4 * fit.HOLDER_BYTES + containers * fit.SHIM_BYTES
    assert memory_bytes(wanted.lab) == expected


def test_a_disk_in_memory_counts_when_it_is_full(wanted: Desired, tmp_path: Path) -> None:
    more = memory_bytes(desired(tmp_path, disk="256M").lab) - memory_bytes(wanted.lab)
    assert more == 3 * ((256 << 20) + fit.HOLDER_BYTES + fit.SHIM_BYTES)


def test_enough(wanted: Desired) -> None:
    assert shortage(wanted, machine()) is None


def test_too_little_memory(wanted: Desired) -> None:
    assert shortage(wanted, machine(memory=GIB // 2)) == (
        "needs 0.6 GiB of memory and 0.5 GiB is available"
    )


def test_too_little_disk(wanted: Desired) -> None:
    # A spare GiB, four images of half a GiB, three volumes of 64 MiB.
    assert shortage(wanted, machine(disk=3 * GIB)) == (
        "needs 3.2 GiB of disk and 3.0 GiB is free in /srv"
    )
    built = machine(disk=3 * GIB, images=frozenset(wanted.images.values()))
    assert shortage(wanted, built) is None
    assert shortage(wanted, machine(disk=None)) is None


def test_too_few_processors(wanted: Desired, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "START_SECONDS", 3.5)
    assert shortage(wanted, machine()) == ("needs 4 processors to start in time and there are 2")


def test_what_runs_already_has_its_part(wanted: Desired) -> None:
    running = frozenset(unit.spec.name for unit in wanted.instances.values())
    assert shortage(wanted, machine(memory=1, disk=1, containers=running)) is None
    some = frozenset(name for name in running if "store" in name)
    needed = (4 * 10 << 20) + 4 * fit.SHIM_BYTES + fit.MEMORY_SPARE
    assert shortage(wanted, machine(memory=needed, containers=some)) is None
    assert shortage(wanted, machine(memory=needed - 1, containers=some)) is not None


def test_the_profile_that_fits_is_named(wanted: Desired) -> None:
    engine = LabEngine()
    engine._info = replace(INFO, memory=fit.MEMORY_SPARE + (50 << 20))
    instances = {n: u for n, u in wanted.instances.items() if n.startswith("c1")}
    nodes = tuple(n for n in wanted.lab.nodes if n.name in ("c1", "client"))
    services = {
        name: replace(service, nodes=tuple(n for n in service.nodes if n in nodes))
        for name, service in wanted.lab.services.items()
    }
    lab = replace(wanted.lab, profile="support", nodes=nodes, services=services)
    small = replace(wanted, lab=lab, instances=instances)
    assert largest(engine, [wanted, small]) == small
    with pytest.raises(EngineError) as raised:
        check(engine, wanted, [small])
    assert str(raised.value) == (
        "topology 'small', profile full, needs 0.6 GiB of memory and 0.5 GiB is available: "
        "--profile support fits (0.0 GiB of memory)"
    )
    with pytest.raises(EngineError, match="no profile of it fits; see the smaller topology"):
        check(engine, wanted, [])


def test_a_device_that_is_not_there(wanted: Desired, tmp_path: Path) -> None:
    engine = LabEngine()
    engine._info = replace(INFO, root_dir=str(tmp_path))
    unit = wanted.instances["c2/api"]
    spec = replace(unit.spec, devices=("/dev/no/tun:/dev/net/tun:rw",))
    tun = replace(wanted, instances={**wanted.instances, "c2/api": replace(unit, spec=spec)})
    with pytest.raises(EngineError) as raised:
        check(engine, tun, [wanted])
    assert str(raised.value).startswith(
        "topology 'small', profile full, needs /dev/no/tun for c2/api and this machine has none: "
    )
    assert not engine.calls
    assert largest(engine, [tun, wanted]) == wanted


def test_this_machine_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = LabEngine()
    here = {"MemTotal": INFO.memory - 4096, "MemAvailable": 5 * GIB}
    monkeypatch.setattr(fit, "_meminfo", lambda: here)
    assert inspect_machine(engine, "small").memory == 5 * GIB
    monkeypatch.setattr(fit, "_meminfo", lambda: {**here, "MemTotal": GIB})
    assert inspect_machine(engine, "small").memory == INFO.memory
