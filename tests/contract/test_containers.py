"""Containers: their states, how they end, their labels and their rights."""

from __future__ import annotations

import re

import pytest

from labctl.engine.port import LABEL, Limits
from labctl.errors import EngineError
from labctl.faults.kinds.limit import in_force
from tests.contract.world import World

TRAP = ("sh", "-c", "trap 'exit 5' TERM; trap 'exit 6' HUP; echo set; while :; do sleep 0.1; done")


def _listening(world: World, short: str) -> None:
    """The trap is set when the line is out."""
    stream = world.engine.follow(world.name(short))
    assert next(iter(stream)) == "set"
    stream.close()


def test_states_from_created_to_removed(world: World) -> None:
    name = world.create("a")
    assert world.container("a").status == "created"
    world.engine.start(name)
    world.engine.start(name)
    assert world.container("a").status == "running"
    assert world.container("a").exit_code is None
    world.engine.kill(name)
    assert world.engine.wait(name, 10) == 137
    assert (world.container("a").status, world.container("a").exit_code) == ("exited", 137)
    world.engine.kill(name)
    world.engine.stop(name, 1)
    world.engine.start(name)
    assert world.container("a").status == "running"
    world.engine.remove(name)
    world.engine.remove(name)
    assert world.engine.containers(world.lab) == []


def test_a_container_that_ends_by_itself(world: World) -> None:
    assert world.end("well", command=("true",)) == (0, "")
    assert world.end("badly", command=("false",)) == (1, "")
    assert world.end("words", command=("echo", "a", "b")) == (0, "a b\n")
    assert world.container("badly").exit_code == 1


def test_pause_freezes_and_unpause_thaws(world: World) -> None:
    name = world.run("a")
    world.engine.pause(name)
    world.engine.pause(name)
    assert world.container("a").status == "paused"
    with pytest.raises(EngineError) as refused:
        world.engine.exec(name, ("true",))
    assert str(refused.value) == (
        f"cannot run true in container {name}: the container is paused; `labctl unpause` it"
    )
    world.engine.unpause(name)
    world.engine.unpause(name)
    assert world.engine.exec(name, ("true",)).code == 0


@pytest.mark.parametrize("end", ["kill", "stop", "remove"])
def test_a_paused_container_can_be_ended(world: World, end: str) -> None:
    name = world.run("a")
    world.engine.pause(name)
    if end == "kill":
        world.engine.kill(name)
        assert world.engine.wait(name, 10) == 137
    elif end == "stop":
        world.engine.stop(name, 1)
        assert world.container("a").status == "exited"
    else:
        world.engine.remove(name)
        assert world.engine.containers(world.lab) == []


@pytest.mark.kernel
def test_stop_asks_first(world: World) -> None:
    name = world.run("a", command=TRAP)
    _listening(world, "a")
    world.engine.stop(name, 10)
    assert world.container("a").exit_code == 5


@pytest.mark.kernel
def test_stop_kills_what_does_not_listen(world: World) -> None:
    name = world.run("a", command=("sh", "-c", "trap '' TERM; echo set; while :; do sleep 1; done"))
    _listening(world, "a")
    world.engine.stop(name, 1)
    assert world.container("a").exit_code == 137


@pytest.mark.kernel
def test_a_signal_reaches_the_main_process(world: World) -> None:
    name = world.run("a", command=TRAP)
    _listening(world, "a")
    world.engine.kill(name, "SIGHUP")
    assert world.engine.wait(name, 10) == 6


def test_a_signal_to_nobody_is_refused(world: World) -> None:
    name = world.create("a")
    with pytest.raises(EngineError) as refused:
        world.engine.kill(name, "SIGHUP")
    assert str(refused.value) == (
        f"cannot send SIGHUP to container {name}: the container is not running"
    )


def test_wait_gives_up(world: World) -> None:
    name = world.run("a")
    with pytest.raises(EngineError) as refused:
        world.engine.wait(name, 1)
    assert str(refused.value) == (
        f"cannot wait for container {name}: it did not end within 1 seconds"
    )


def test_listing_is_by_label_and_knows_every_state(world: World) -> None:
    world.create("made")
    world.run("runs")
    world.end("done", command=("true",))
    other = world.spec("other")
    world.engine.create(type(other)(other.name, world.image, {LABEL: f"{world.lab}2"}))
    try:
        found = {c.name: (c.status, c.image) for c in world.engine.containers(world.lab)}
        assert found == {
            world.name("made"): ("created", world.image),
            world.name("runs"): ("running", world.image),
            world.name("done"): ("exited", world.image),
        }
        everything = {c.name for c in world.engine.containers()}
        assert everything >= {*found, other.name}
        assert all(c.labels[LABEL] == world.lab for c in world.engine.containers(world.lab))
    finally:
        world.engine.remove(other.name)


def test_a_taken_name_is_refused(world: World) -> None:
    name = world.create("a")
    with pytest.raises(EngineError) as refused:
        world.create("a")
    assert str(refused.value) == (
        f"the container name {name} is taken by a container that is not the lab's;"
        " remove it or give the lab another name"
    )


def test_a_missing_image_is_refused(world: World) -> None:
    with pytest.raises(EngineError) as refused:
        World(world.engine, "labctl-no-such-image:1", world.lab, world.octet).create("a")
    assert str(refused.value) == (
        f"cannot create container {world.name('a')}: its image is missing;"
        " run `labctl images build`"
    )


@pytest.mark.parametrize("verb", ["start", "stop", "kill", "pause", "unpause", "logs", "limits"])
def test_what_is_not_there_is_refused(world: World, verb: str) -> None:
    arguments = (1,) if verb == "stop" else ()
    with pytest.raises(EngineError, match=r": there is no such container$"):
        getattr(world.engine, verb)(world.name("nobody"), *arguments)


@pytest.mark.kernel
def test_capabilities_are_exact_and_none_can_be_gained(world: World) -> None:
    status = "grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status"
    _, none = world.end("none", command=("sh", "-c", status))
    assert none.split() == ["CapEff:", f"{0:016x}", "CapBnd:", f"{0:016x}", "NoNewPrivs:", "1"]
    caps = ("NET_ADMIN", "NET_RAW")
    _, two = world.end("two", command=("sh", "-c", status), cap_add=caps)
    assert two.split()[1::2] == [f"{1 << 12 | 1 << 13:016x}"] * 2 + ["1"]


@pytest.mark.kernel
@pytest.mark.parametrize(("caps", "code"), [((), 2), (("NET_ADMIN",), 0)])
def test_an_address_needs_net_admin(world: World, caps: tuple[str, ...], code: int) -> None:
    command = ("ip", "address", "add", "198.19.255.1/32", "dev", "lo")
    assert world.end("a", command=command, cap_add=caps)[0] == code


@pytest.mark.kernel
def test_environment_user_and_ulimits(world: World) -> None:
    code, log = world.end(
        "a",
        command=("sh", "-c", "echo $COLOUR; id -u; id -g; ulimit -n"),
        environment={"COLOUR": "green"},
        user="33:44",
        ulimits={"nofile": 512},
    )
    assert (code, log.split()) == (0, ["green", "33", "44", "512"])


def test_limits_are_set_and_taken_away_again(world: World) -> None:
    name = world.run("a", memory_bytes=64 << 20)
    assert world.engine.limits(name) == Limits(memory=64 << 20)
    for wanted in (Limits(0.2, 32 << 20), Limits(1.5), Limits(memory=64 << 20), Limits()):
        world.engine.limit(name, wanted)
        assert world.engine.limits(name) == wanted
    world.engine.kill(name)
    world.engine.limit(name, Limits(0.5, 48 << 20))
    assert world.engine.limits(name) == Limits(0.5, 48 << 20)


@pytest.mark.kernel
def test_the_kernel_knows_the_limits_and_forgets_them(world: World) -> None:
    name = world.run("a")
    before = in_force(world.engine, name)
    world.engine.limit(name, Limits(0.2, 64 << 20))
    assert in_force(world.engine, name) == Limits(0.2, 64 << 20)
    world.engine.limit(name, Limits())
    assert in_force(world.engine, name) == before == Limits()


@pytest.mark.kernel
def test_a_limit_of_memory_below_what_is_used(world: World) -> None:
    """Refused where the kernel can be asked first, else somebody is killed: never just ignored."""
    hungry = 'my $x = "a" x (96 << 20); print "set\\n"; sleep 1000'
    name = world.run("a", command=("perl", "-e", f"$| = 1; {hungry}"))
    _listening(world, "a")
    try:
        world.engine.limit(name, Limits(memory=16 << 20))
    except EngineError as refused:
        assert re.fullmatch(
            f"cannot limit container {name}: its processes use [0-9]+ bytes of memory, which"
            " cannot be reclaimed; set a higher limit",
            str(refused),
        )
        assert world.engine.limits(name) == Limits()
    else:
        assert world.engine.wait(name, 30) == 137


def test_logs_whole_and_the_end_of_it(world: World) -> None:
    world.end("a", command=("echo", "one\ntwo\nthree"))
    assert world.engine.logs(world.name("a")) == "one\ntwo\nthree\n"
    assert world.engine.logs(world.name("a"), 2) == "two\nthree\n"
    assert list(world.engine.follow(world.name("a"))) == ["one", "two", "three"]


@pytest.mark.kernel
def test_following_a_log_sees_both_outputs_and_can_be_left(world: World) -> None:
    name = world.run("a", command=("sh", "-c", "echo out; echo err >&2; exec sleep 1000"))
    stream = world.engine.follow(name)
    lines = iter(stream)
    assert {next(lines), next(lines)} == {"out", "err"}
    stream.close()
    assert list(lines) == []
