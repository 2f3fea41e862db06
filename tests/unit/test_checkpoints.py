"""Checkpoints of labs: what is kept, whom it fits, and how a lab starts from one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.engine.port import LABEL, ContainerSpec, FileEntry, Network
from labctl.errors import InputError, LabError
from labctl.model.lab import Lab
from labctl.model.topology import Choice
from labctl.planning.identity import Identity, differences, identity
from labctl.planning.kept import kept
from labctl.planning.plan import make_plan
from labctl.planning.steps import RunJob, StartInstance
from labctl.resolve import request
from labctl.resolve.request import Request, request_record
from labctl.running import archives, lifecycle
from labctl.running import checkpoints as work
from labctl.running.filling import Filling
from labctl.running.observe import observe
from labctl.state import checkpoints, store
from tests.fakes import programs
from tests.fakes.engine import FakeEngine
from tests.unit.labs_random import IMAGES, ReadyEngine, rendered
from tests.unit.test_lab import Quiet

UUID = "6b5e1f5e-7c2d-11ef-8a3e-0242ac120002"
SUPPORT = Choice(profile="support")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path))
    return tmp_path


def record(topology: str = "three-controller", **asked: Any) -> store.Record:
    return request_record(Request(topology, choice=SUPPORT, **asked), list)


def with_document(there: store.Record, **changes: Any) -> store.Record:
    document = there.topology.model_dump(mode="json", exclude_unset=True)
    return replace(there, topology=type(there.topology).model_validate({**document, **changes}))


# what is kept


def names(lab: str, choice: Choice = SUPPORT) -> dict[str, Any]:
    made = request_record(Request(lab, choice=choice), list)
    return {each.name: each for each in kept(lifecycle.prepare(made).desired)}


def test_a_cluster_of_equals_is_kept_once_and_given_to_all() -> None:
    found = names("three-controller")
    galera = found["mariadb-data"]
    assert galera.volumes == tuple(f"three-controller-c{n}-mariadb-data" for n in (1, 2, 3))
    assert galera.newest == "mariadb"
    assert "data/galera.cache" in galera.omit
    assert found["redis-data"].newest == "redis"


def test_others_are_kept_each() -> None:
    found = names("three-controller")
    for service in ("rabbitmq", "mongodb"):
        for node in ("c1", "c2", "c3"):
            each = found[f"{node}-{service}-data"]
            assert each.volumes == (f"three-controller-{node}-{service}-data",)
            assert each.newest == ""


def test_what_is_learnt_and_what_passes_is_not_kept() -> None:
    found = names("three-controller", Choice(profile="full"))
    assert not [name for name in found if "sentinel" in name or "openvswitch" in name]
    assert not [name for name in found if name.endswith(("-libvirt", "-records"))]


def test_images_and_volumes_of_the_whole_lab_are_kept_once() -> None:
    found = names("three-controller", Choice(profile="full"))
    assert found["shared-images"].volumes == ("three-controller-shared-images",)
    assert found["shared-volumes"].volumes == ("three-controller-shared-volumes",)
    assert len({v for each in found.values() for v in each.volumes}) == sum(
        len(each.volumes) for each in found.values()
    )


def test_a_disk_in_memory_cannot_be_kept() -> None:
    made = with_document(record("single"), services={"mariadb": {"disk": "256M"}})
    with pytest.raises(InputError) as refused:
        kept(lifecycle.prepare(made).desired)
    assert str(refused.value) == (
        "c1/mariadb has its data in memory (`disk`), where they end with the lab: leave "
        "services.mariadb.disk out to make checkpoints"
    )


# whom it fits


def test_name_addresses_and_secrets_make_no_difference() -> None:
    first = work.identity_of(record(name="one", subnet=IPv4Network("198.18.4.0/24")))
    other = work.identity_of(record(name="two", subnet=IPv4Network("198.19.0.0/24")))
    assert differences(first, other) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"services": {"mariadb": {"sync_wait": 1}}},
            ["configuration of mariadb"],
        ),
        ({"services": {"redis": {"max_memory": "32mb"}}}, ["configuration of redis"]),
        (
            {"nodes": {"c1": {"roles": ["controller"]}, "client": {"roles": ["client"]}}},
            [
                *(f"configuration of {s}" for s in sorted(
                    ["haproxy", "keepalived", "keystone", "mariadb", "memcached", "mongodb",
                     "rabbitmq", "redis", "sentinel", "toolbox"]
                )),
                "node c2 (only in the checkpoint)",
                "node c3 (only in the checkpoint)",
                "node cmp1 (only in the checkpoint)",
                "node cmp2 (only in the checkpoint)",
            ],
        ),
    ],
)  # fmt: skip
def test_what_differs_is_named(changes: Mapping[str, Any], named: list[str]) -> None:
    before = record()
    found = differences(
        work.identity_of(before), work.identity_of(with_document(before, **changes))
    )
    assert set(found) <= set(named)
    assert found


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_one_difference_is_named(data: st.DataObject) -> None:
    saved = dict(_shipped())
    part = data.draw(st.sampled_from(sorted(saved)))
    match data.draw(st.sampled_from(["other", "gone", "new"])):
        case "other":
            wanted, named = saved | {part: saved[part] + "x"}, part
        case "gone":
            wanted = {name: value for name, value in saved.items() if name != part}
            named = f"{part} (only in the checkpoint)"
        case _:
            wanted, named = saved | {f"{part}x": "x"}, f"{part}x (not in the checkpoint)"
    assert differences(saved, wanted) == [named]


@cache
def _lab() -> Lab:
    return request.resolved(record(subnet=IPv4Network("198.18.0.0/24")))


@cache
def _shipped() -> Identity:
    return identity(rendered(_lab()))


@pytest.mark.parametrize("role", ["client", "controller", "database", "loadbalancer", "node"])
def test_another_image_is_named_once_and_nothing_else(role: str) -> None:
    other = identity(rendered(_lab(), {**IMAGES, role: "labctl/other:2"}))
    assert differences(_shipped(), other) == [f"image {role}"]


def test_one_that_does_not_fit_is_refused_by_name() -> None:
    made = record()
    key = dict(work.identity_of(made)) | {"image database": "labctl/database:old"}
    manifest = work._manifest(lifecycle.prepare(made), key, (), ())
    with pytest.raises(InputError) as refused:
        work.check_fit("one", manifest, made)
    assert str(refused.value) == (
        "checkpoint 'one' does not fit lab 'three-controller'; what differs: image database"
    )


# a lab that is saved, and one that starts from it


class Packing(ReadyEngine):
    """Its helpers pack volumes as JSON; data of the node ``newest`` are ahead of the others'."""

    newest = "c2"

    def __init__(self, prepared: lifecycle.Prepared) -> None:
        super().__init__(prepared.desired)
        self._main = self._run_helper
        self.code = 0

    def _run_helper(self, engine: FakeEngine, spec: ContainerSpec) -> programs.Main:
        match spec.command:
            case ("sh", "-c", archives.PACK, _, *names):
                for archive in names:
                    files = self._mounted(spec, archive)
                    text = json.dumps({name: e.data.decode() for name, e in files.items()})
                    self._put(spec.name, f"/parts/{archive}.tar.gz", text.encode())
                return programs.Main(self.code, "no space left\n")
            case ("sh", "-c", archives.UNPACK, _, *pairs):
                for archive, volume in (pair.split() for pair in pairs):
                    text = self.read_file(spec.name, f"/parts/{archive}.tar.gz")
                    for name, data in json.loads(text or b"").items():
                        files = self._mounted(spec, volume)
                        files[name] = self._entry(name, data.encode())
                return programs.Main(self.code, "no space left\n")
            case ("sh", "-ec", *_) if spec.name.endswith("-position"):
                return programs.Main(0, self._position(spec))
            case ("sh", "-c", script) if "redis:0" in script:
                return programs.Main(0, f"redis:{int(f'-{self.newest}-' in spec.name)}\n")
        if spec.labels.get("labctl.kind") == "job":
            return programs.Main(0)
        return programs.main(engine, spec)

    def _position(self, spec: ContainerSpec) -> str:
        """What a member that was stopped in good order says of its data."""
        _, node, service, _ = spec.name.split("-")
        newest = self._boxes[f"a-{self.newest}"].spec.labels["labctl.address"]
        return {
            "mariadb": f"{UUID}:{7 + (node == self.newest)}\n",
            "rabbitmq": f"[rabbit@{self.newest}].\n",
            "sentinel": f"master={newest} epoch=1\n",
            "redis": "written=1\n" + (f"replicaof={newest}\n" if node != self.newest else ""),
        }[service]

    def _mounted(self, spec: ContainerSpec, short: str) -> dict[str, Any]:
        target = f"/volumes/{short}"
        volume = next(mount.volume for mount in spec.volumes if mount.target == target)
        return self._volumes[volume][1]

    def _put(self, name: str, path: str, data: bytes) -> None:
        self._boxes[name].files[path] = self._entry(path, data)

    @staticmethod
    def _entry(path: str, data: bytes) -> Any:
        return FileEntry(path, data)


@pytest.fixture
def lab() -> tuple[Packing, lifecycle.Prepared]:
    """A lab that is up, with data of its members."""
    prepared = lifecycle.prepare(record(name="a"))
    engine = Packing(prepared)
    prepared, _ = lifecycle.up(engine, prepared, Quiet())
    for node in ("c1", "c2", "c3"):
        for name in (f"{node}-mariadb", f"{node}-rabbitmq", f"{node}-redis"):
            data = next(iter(engine._boxes[f"a-{name}"].spec.volumes))
            path = f"{data.target}/data/grastate.dat"
            engine._volumes[data.volume][1][path] = engine._entry(path, name.encode())
    engine.calls.clear()
    return engine, prepared


def save(lab: tuple[Packing, lifecycle.Prepared]) -> None:
    engine, prepared = lab
    work.save(engine, prepared, "one", Quiet())


def start(engine: Packing, name: str = "b") -> tuple[lifecycle.Prepared, Any]:
    manifest = checkpoints.load("one")
    made = request_record(work.request(manifest, name, None), engine.subnets)
    origin = Filling("one", manifest)
    prepared = lifecycle.prepare(made, origin.secrets)
    engine.aim(prepared.desired)
    return lifecycle.up(engine, prepared, Quiet(), origin=origin)


def test_a_saved_lab_runs_again(lab: tuple[Packing, lifecycle.Prepared]) -> None:
    engine, prepared = lab
    save(lab)
    stopped = [name for call, name in engine.calls if call == "stop"]
    assert len(stopped) == len(set(stopped)) == len(prepared.lab.instances) - 1
    assert stopped.index("a-c1-keystone") < stopped.index("a-c1-mariadb")
    assert stopped.index("a-c1-sentinel") < stopped.index("a-c1-redis")
    assert not make_plan(prepared.desired, observe(engine, prepared.desired)).steps


def test_its_data_are_given_to_another(lab: tuple[Packing, lifecycle.Prepared]) -> None:
    engine, before = lab
    save(lab)
    prepared, plan = start(engine)
    assert (prepared.lab.name, before.lab.name) == ("b", "a")
    assert prepared.lab.subnet != before.lab.subnet

    def data(name: str) -> str:
        volume = next(iter(prepared.desired.instances[name].spec.volumes)).volume
        return ", ".join(file.data.decode() for file in engine._volumes[volume][1].values())

    galera = [data(f"c{n}/mariadb").split(", ") for n in (1, 2, 3)]
    assert [one for _, one in galera] == ["c2-mariadb"] * 3
    assert len({view.splitlines()[0] for view, _ in galera}) == 3
    assert len({tuple(view.splitlines()[1:]) for view, _ in galera}) == 1
    assert [data(f"c{n}/redis") for n in (1, 2, 3)] == ["c2-redis"] * 3
    assert [data(f"c{n}/rabbitmq") for n in (1, 2, 3)] == [f"c{n}-rabbitmq" for n in (1, 2, 3)]
    begun = [s for s in plan.steps.values() if isinstance(s, StartInstance)]
    galera_starts = [s for s in begun if s.instance.endswith("/mariadb")]
    assert not any(s.bootstrap for s in begun)
    assert not any("mariadb" in need for s in galera_starts for need in s.needs)
    assert not make_plan(prepared.desired, observe(engine, prepared.desired)).steps
    assert set(engine.volumes("b")) == {
        volume.replace("a-", "b-", 1) for volume in engine.volumes("a")
    }


def test_only_jobs_that_write_addresses_or_secrets_run_again(
    lab: tuple[Packing, lifecycle.Prepared],
) -> None:
    save(lab)
    prepared, plan = start(lab[0])
    ran = {f"{s.service}/{s.job}" for s in plan.steps.values() if isinstance(s, RunJob)}
    docs = {
        f"{service.name}/{job.name}": job
        for service in prepared.lab.services.values()
        for job in service.doc.jobs
    }
    assert ran == {name for name, job in docs.items() if job.renews}
    assert ran == {"mariadb/databases", "mongodb/initiate", "keystone/bootstrap"}


def test_secrets_are_new_but_those_that_the_data_need(
    lab: tuple[Packing, lifecycle.Prepared],
) -> None:
    save(lab)
    prepared, _ = start(lab[0])
    same = {name for name, value in prepared.secrets.items() if lab[1].secrets[name] == value}
    assert same == {"keystone.credential_staged", "keystone.credential_primary"}
    assert set(checkpoints.load("one").secrets) == same


def test_they_stay_when_the_subnet_was_taken_before(
    lab: tuple[Packing, lifecycle.Prepared],
) -> None:
    engine, before = lab
    save(lab)
    manifest = checkpoints.load("one")
    prepared = lifecycle.prepare(
        request_record(work.request(manifest, "b", None), engine.subnets), manifest.secrets
    )
    engine.create_network(Network("other", prepared.lab.subnet, "x", {LABEL: "other"}))
    engine.aim(prepared.desired)
    made, _ = lifecycle.up(engine, prepared, Quiet(), origin=Filling("one", manifest))
    assert made.lab.subnet != prepared.lab.subnet
    assert (
        made.secrets["keystone.credential_primary"] == before.secrets["keystone.credential_primary"]
    )


def test_a_lab_that_is_not_whole_is_not_saved(lab: tuple[Packing, lifecycle.Prepared]) -> None:
    engine, _ = lab
    engine.kill("a-c1-memcached")
    engine.calls.clear()
    with pytest.raises(LabError) as refused:
        save(lab)
    assert str(refused.value) == (
        "lab 'a' is not as it should be, so there is nothing to save: "
        "run 'labctl up --name a' first"
    )
    assert not [call for call in engine.calls if call[0] in ("stop", "create_volume")]
    assert checkpoints.names() == []


def test_a_save_that_fails_leaves_the_lab_running(lab: tuple[Packing, lifecycle.Prepared]) -> None:
    engine, prepared = lab
    engine.code = 2
    with pytest.raises(LabError) as refused:
        save(lab)
    assert str(refused.value) == "packing the volumes failed: no space left"
    assert checkpoints.names() == []
    assert not make_plan(prepared.desired, observe(engine, prepared.desired)).steps


def test_a_start_that_fails_leaves_nothing(
    lab: tuple[Packing, lifecycle.Prepared], home: Path
) -> None:
    engine, _ = lab
    save(lab)
    engine.code = 2
    with pytest.raises(LabError) as refused:
        start(engine)
    assert str(refused.value) == "unpacking checkpoint 'one' failed: no space left"
    assert not engine.volumes("b")
    assert not engine.containers("b")
    assert not (home / "labs" / "b").exists()


def test_a_lab_that_is_there_keeps_its_data(lab: tuple[Packing, lifecycle.Prepared]) -> None:
    engine, _ = lab
    save(lab)
    engine.calls.clear()
    with pytest.raises(InputError) as refused:
        start(engine, "a")
    assert str(refused.value) == (
        "there is a lab 'a', and a checkpoint makes a new one: choose another name with --name, "
        "or run 'labctl down --lab a' first"
    )
    assert not engine.calls


def test_a_lab_that_was_half_filled_is_not_brought_up_as_it_is(
    lab: tuple[Packing, lifecycle.Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = lab
    save(lab)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(archives, "run", interrupted)
        start(engine)
    half = lifecycle.current("b")
    with pytest.raises(LabError) as refused:
        lifecycle.up(engine, half, Quiet())
    assert str(refused.value) == (
        "lab 'b' was not yet filled from checkpoint 'one' when labctl was interrupted: run "
        "'labctl up --name b --from one' or 'labctl down --lab b'"
    )
    prepared, _ = start(engine)
    assert not make_plan(prepared.desired, observe(engine, prepared.desired)).steps
    lifecycle.up(engine, lifecycle.current("b"), Quiet())


def test_a_subnet_that_was_taken_meanwhile_is_changed(
    lab: tuple[Packing, lifecycle.Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record of jobs is of the lab that came up, not of the first attempt."""
    engine, _ = lab
    save(lab)
    create, taken = engine.create_network, []

    def once_taken(network: Network) -> None:
        if not taken:
            taken.append(network.subnet)
            create(Network("other", network.subnet, "x", {LABEL: "other"}))
        create(network)

    monkeypatch.setattr(engine, "create_network", once_taken)
    prepared, _ = start(engine)
    assert prepared.lab.subnet not in taken
    assert not make_plan(prepared.desired, observe(engine, prepared.desired)).steps
