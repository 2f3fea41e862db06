"""Commands in containers: results, input, output as it comes, and on a terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys

import pytest

from labctl.engine.port import ExecResult
from labctl.errors import EngineError
from tests.contract.world import World

ATTACHED = (
    "import sys; from labctl.engine.choose import connect;"
    "_, where, name, mode, *command = sys.argv;"
    "sys.exit(connect(where).exec_attached(name, command, tty=mode == 'tty', "
    "stdin=mode != 'alone'))"
)


def test_results(world: World) -> None:
    name = world.run("a")
    assert world.engine.exec(name, ("echo", "é")) == ExecResult(0, "é\n", "")
    assert world.engine.exec(name, ("false",)) == ExecResult(1, "", "")
    assert world.engine.exec(name, ("cat",), stdin=b"in\nput") == ExecResult(0, "in\nput", "")
    assert world.engine.exec(name, ("no-such-program",)).code in (126, 127)


def test_a_command_needs_a_running_container(world: World) -> None:
    name = world.create("a")
    with pytest.raises(EngineError) as refused:
        world.engine.exec(name, ("true",))
    assert str(refused.value) == (
        f"cannot run true in container {name}: the container is not running"
    )


@pytest.mark.kernel
def test_outputs_are_apart_and_the_code_is_kept(world: World) -> None:
    name = world.run("a")
    result = world.engine.exec(
        name, ("sh", "-c", "echo out; echo err >&2; id -u; exit 7"), user="33"
    )
    assert result == ExecResult(7, "out\n33\n", "err\n")


@pytest.mark.kernel
def test_large_input_and_output_at_once(world: World) -> None:
    data = os.urandom(1 << 20).hex().encode()
    result = world.engine.exec(world.run("a"), ("cat",), stdin=data)
    assert result.stdout.encode() == data


@pytest.mark.kernel
def test_a_command_that_does_not_end_in_time(world: World) -> None:
    name = world.run("a")
    with pytest.raises(EngineError) as refused:
        world.engine.exec(name, ("sleep", "1000"), timeout=1)
    assert str(refused.value) == (
        f"cannot run sleep in container {name}: it did not end within 1 seconds"
    )


@pytest.mark.kernel
def test_many_commands_at_once_lose_nothing(world: World) -> None:
    """A first frame that comes along with the answer's header must not be lost."""
    from concurrent.futures import ThreadPoolExecutor

    name = world.run("a")
    with ThreadPoolExecutor(8) as pool:
        results = pool.map(lambda i: world.engine.exec(name, ("echo", str(i))), range(40))
    assert [result.stdout for result in results] == [f"{i}\n" for i in range(40)]


def test_a_stream_gives_lines(world: World) -> None:
    name = world.run("a")
    assert list(world.engine.exec_stream(name, ("cat",), stdin=b"one\ntwo")) == ["one", "two"]


@pytest.mark.kernel
def test_a_stream_gives_lines_as_they_come(world: World) -> None:
    name = world.run("a")
    script = (
        r"printf 'caf\303'; sleep 0.3; printf '\251\nse'; echo no >&2; sleep 0.3; echo cond; cat"
    )
    stream = world.engine.exec_stream(name, ("sh", "-c", script))
    lines = iter(stream)
    assert [next(lines), next(lines)] == ["café", "second"]
    stream.close()
    stream.close()
    assert list(lines) == []


@pytest.mark.kernel
def test_a_closed_stream_ends_the_commands_input(world: World) -> None:
    name = world.run("a")
    stream = world.engine.exec_stream(name, ("sh", "-c", "echo up; cat; touch /tmp/ended"))
    assert next(iter(stream)) == "up"
    stream.close()
    waiting = "for i in $(seq 100); do test -e /tmp/ended && exit 0; sleep 0.1; done; exit 1"
    assert world.engine.exec(name, ("sh", "-c", waiting)).code == 0


def _attached(world: World, kind: str, mode: str, *command: str) -> list[str]:
    return [sys.executable, "-c", ATTACHED, kind, world.name("a"), mode, *command]


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["engine"])


@pytest.mark.kernel
def test_a_command_on_our_pipes(world: World, kind: str) -> None:
    world.run("a")
    command = _attached(world, kind, "pipe", "sh", "-c", "cat; echo err >&2; exit 4")
    done = subprocess.run(
        command, input=b"in\x00\xff", capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (4, b"in\x00\xff", b"err\n")


@pytest.mark.kernel
def test_our_input_is_left_to_others(world: World, kind: str) -> None:
    world.run("a")
    done = subprocess.run(
        _attached(world, kind, "alone", "cat"), input=b"mine", capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"")


@pytest.mark.kernel
@pytest.mark.parametrize("before", ["", "trap '' INT; "])
def test_an_interrupt_ends_the_command(world: World, kind: str, before: str) -> None:
    name = world.run("a")
    command = _attached(world, kind, "pipe", "sh", "-c", f"{before}echo up; sleep 1001")
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    gone = "for i in $(seq 100); do grep -lqzx 100[1] /proc/*/cmdline || exit 0; sleep 0.1; done"
    assert world.engine.exec(name, ("sh", "-c", f"{gone}; exit 1")).code == 0


@pytest.mark.kernel
def test_output_that_nobody_reads_ends_the_command(world: World, kind: str) -> None:
    world.run("a")
    process = subprocess.Popen(
        _attached(world, kind, "alone", "yes"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.read(2) == b"y\n"
    process.stdout.close()
    assert process.stderr is not None
    assert b"ReaderGoneError" in process.stderr.read()
    process.wait(60)


@pytest.mark.kernel
def test_a_command_on_our_terminal(world: World, kind: str) -> None:
    import fcntl
    import struct
    import termios

    world.run("a")
    script = "echo ready; read line; stty size; echo got $line; test -t 0 && exit 9"
    command = _attached(world, kind, "tty", "sh", "-c", script)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    said = b""
    while b"ready" not in said:
        said += os.read(ours, 1024)
    os.write(ours, b"word\r")
    while b"got word" not in said:
        said += os.read(ours, 1024)
    assert process.wait(60) == 9
    os.close(ours)
    assert b"33 77" in said
