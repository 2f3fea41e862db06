"""Files by archive, volumes and temporary file systems."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from labctl.engine.port import Engine, FileEntry, Sent, VolumeMount
from labctl.errors import EngineError
from tests.contract.world import World


def _context(dockerfile: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(dockerfile)
        archive.addfile(entry, io.BytesIO(dockerfile.encode()))
    return buffer.getvalue()


def test_files_come_back_from_every_state(world: World) -> None:
    name = world.create("a")
    world.engine.put_files(name, [FileEntry("/etc/lab/deep/one", b"\x00\xff")])
    assert world.engine.read_file(name, "/etc/lab/deep/one") == b"\x00\xff"
    world.engine.start(name)
    world.engine.put_files(name, [FileEntry("/etc/lab/two", b"2"), FileEntry("/etc/three", b"3")])
    assert world.engine.exec(name, ("cat", "/etc/lab/two")).stdout == "2"
    world.engine.kill(name)
    world.engine.wait(name, 10)
    assert world.engine.read_file(name, "/etc/three") == b"3"
    assert world.engine.read_file(name, "/etc/lab/deep/one") == b"\x00\xff"


def test_no_file_is_none_and_no_container_an_error(world: World) -> None:
    name = world.create("a")
    assert world.engine.read_file(name, "/etc/none") is None
    assert world.engine.read_file(name, "/none/none") is None
    with pytest.raises(EngineError) as refused:
        world.engine.read_file(world.name("nobody"), "/etc/none")
    assert str(refused.value) == (
        f"cannot read /etc/none in container {world.name('nobody')}: there is no such container"
    )


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 3_000_001])
def test_a_file_goes_and_comes_back_in_pieces(world: World, size: int) -> None:
    name = world.create("a")
    data = bytes(range(251)) * (size // 251 + 1)
    pieces = [data[at : min(at + 70_000, size)] for at in range(0, size, 70_000)]
    other = Sent("/labctl/other", 3, [b"a", b"", b"bc"])
    world.engine.send(name, [Sent("/labctl/deep/one", size, iter(pieces)), other])
    world.engine.start(name)
    assert b"".join(world.engine.fetch(name, "/labctl/deep/one")) == data[:size]
    assert b"".join(world.engine.fetch(name, "/labctl/other")) == b"abc"


def test_no_file_to_fetch_is_an_error(world: World) -> None:
    name = world.create("a")
    with pytest.raises(EngineError, match=f"^cannot read /etc/none in container {name}: "):
        list(world.engine.fetch(name, "/etc/none"))


@pytest.mark.kernel
def test_a_sent_file_is_for_root_only(world: World) -> None:
    name = world.run("a")
    world.engine.send(name, [Sent("/labctl/one", 2, [b"o", b"k"])])
    assert world.sh("a", "stat -c '%u %g %a' /labctl/one && cat /labctl/one") == "0 0 600\nok"


@pytest.mark.kernel
def test_links_are_followed_and_directories_are_no_files(world: World) -> None:
    name = world.create("a")
    assert b"Debian" in (world.engine.read_file(name, "/etc/os-release") or b"")
    assert world.engine.read_file(name, "/etc") is None


@pytest.mark.kernel
@pytest.mark.parametrize("state", ["created", "running"])
def test_modes_and_owners(world: World, state: str) -> None:
    name = world.create("a")
    if state == "running":
        world.engine.start(name)
    world.engine.put_files(
        name,
        [
            FileEntry("/etc/lab/secret", b"s", 0o400, 901, 902),
            FileEntry("/var/mail/script", b"#!/bin/sh\necho ran\n", 0o755),
        ],
    )
    world.engine.start(name)
    assert world.sh("a", "stat -c '%u %g %a' /etc/lab/secret") == "901 902 400\n"
    assert world.sh("a", "/var/mail/script") == "ran\n"
    assert world.sh("a", "stat -c '%u %g %a' /etc/lab") == "0 0 755\n"
    assert world.sh("a", "stat -c '%u %g %a' /var/mail /etc") == "0 8 2775\n0 0 755\n"


def test_volumes_keep_data(world: World) -> None:
    volume = world.name("data")
    for _ in range(2):
        world.engine.create_volume(volume, world.labels)
        assert world.engine.volumes(world.lab) == [volume]
    mounts = (VolumeMount(volume, "/srv"),)
    for short in ("first", "second"):
        name = world.create(short, volumes=mounts)
        world.engine.put_files(name, [FileEntry(f"/srv/{short}", short.encode())])
        world.engine.start(name)
        assert world.engine.exec(name, ("cat", "/srv/first")).stdout == "first"
        world.engine.put_files(name, [FileEntry("/srv/last", short.encode())])
        assert world.engine.exec(name, ("cat", "/srv/last")).stdout == short
        world.engine.remove(name)
    looking = world.create("look", volumes=mounts)
    assert world.engine.read_file(looking, "/srv/second") == b"second"
    assert world.engine.read_file(looking, "/srv/third") is None
    world.engine.remove(looking)
    for _ in range(2):
        world.engine.remove_volume(volume)
        assert world.engine.volumes(world.lab) == []


@pytest.mark.kernel
def test_a_volume_in_memory_is_full_at_its_size_and_lasts_while_it_is_kept(world: World) -> None:
    volume = world.name("small")
    world.engine.create_volume(volume, world.labels, 1 << 20)
    mounts = (VolumeMount(volume, "/srv", 1 << 20),)
    world.engine.start(world.create("keeper", volumes=mounts))
    for _ in range(2):
        name = world.create("user", volumes=mounts)
        world.engine.start(name)
        world.sh("user", "echo again >>/srv/seen")
        assert "No space left" in world.sh("user", "dd if=/dev/zero of=/srv/big bs=64k 2>&1 || :")
        world.sh("user", "rm /srv/big")
        world.engine.remove(name)
    assert world.sh("keeper", "cat /srv/seen") == "again\nagain\n"
    world.engine.remove(world.name("keeper"))
    world.engine.remove_volume(volume)
    assert world.engine.volumes(world.lab) == []


@pytest.mark.kernel
def test_a_new_volume_has_the_images_files_and_owner(world: World) -> None:
    tag = f"{world.lab}-owned:1"
    made = "mkdir /data && touch /data/shipped && chown -R 901:902 /data && chmod 0750 /data"
    lines = [f"FROM {world.image}", f"RUN {made}"]
    log = list(world.engine.build(_context("\n".join(lines)), tag, {"labctl.contract": world.lab}))
    assert any(made in line for line in log)
    try:
        owned = World(world.engine, tag, world.lab, world.octet)
        volume = world.name("data")
        world.engine.create_volume(volume, world.labels)
        name = owned.create(
            "a",
            command=("sh", "-c", "stat -c '%u %g %a' /data && touch /data/mine && ls /data"),
            user="901:902",
            volumes=(VolumeMount(volume, "/data"),),
        )
        owned.engine.put_files(name, [FileEntry("/data/put", b"", 0o400, 901, 902)])
        owned.engine.start(name)
        assert owned.engine.wait(name, 30) == 0
        assert owned.engine.logs(name) == "901 902 750\nmine\nput\nshipped\n"
    finally:
        world.engine.remove(world.name("a"))
        for image in world.engine.images(f"labctl.contract={world.lab}"):
            assert image.tags == (tag,)
            world.engine.remove_image(image.id)
    assert world.engine.images(f"labctl.contract={world.lab}") == []
    assert world.engine.image(tag) is None


@pytest.mark.kernel
def test_a_temporary_file_system_belongs_to_its_user(world: World) -> None:
    script = "stat -c '%u %a' /run/own && grep ' /run/own ' /proc/mounts && touch /run/own/file"
    code, said = world.end(
        "a",
        command=("sh", "-c", script),
        user="901:902",
        tmpfs={"/run/own": "size=1m,mode=0750,uid=901,gid=902"},
    )
    assert code == 0, said
    assert said.startswith("901 750\ntmpfs /run/own tmpfs rw,nosuid,nodev")
    assert "size=1024k" in said


@pytest.mark.kernel
def test_a_build_that_fails_says_so(engine: Engine, world: World) -> None:
    context = _context(f"FROM {world.image}\nRUN exit 3\n")
    with pytest.raises(EngineError, match=f"^cannot build image {world.lab}-bad:1: "):
        list(engine.build(context, f"{world.lab}-bad:1", {}))


def test_images_have_names(engine: Engine, world: World) -> None:
    tag = f"{world.lab}-named:1"
    list(engine.build(_context(f"FROM {world.image}\n"), tag, {}))
    found = engine.image(tag)
    assert found is not None
    assert tag in found.tags
    engine.remove_image(tag)
    engine.remove_image(tag)
    assert engine.image(tag) is None
    assert engine.image(world.image) is not None


@pytest.mark.kernel
def test_an_image_of_a_root_file_system(engine: Engine, world: World, tmp_path: Path) -> None:
    tarball, tag = tmp_path / "root.tar", f"{world.lab}-imported:7"
    tarball.write_bytes(_context("FROM nothing\n"))
    engine.import_image(str(tarball), tag, [f"LABEL labctl.contract={world.lab}", "ENV A=b"])
    try:
        found = engine.image(tag)
        assert found is not None
        assert (found.tags, found.labels) == ((tag,), {"labctl.contract": world.lab})
    finally:
        engine.remove_image(tag)


def test_an_image_of_no_file_is_refused(engine: Engine) -> None:
    with pytest.raises(EngineError) as refused:
        engine.import_image("/nonexistent/root.tar", "labctl-none:1", [])
    assert str(refused.value) == (
        "cannot make image labctl-none:1: there is no file /nonexistent/root.tar"
    )


def test_an_image_that_no_registry_has_is_not_pulled(engine: Engine) -> None:
    assert engine.pull("127.0.0.1:9/labctl/none:1") is False
