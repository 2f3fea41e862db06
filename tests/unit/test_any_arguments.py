"""Whatever is asked for, in whatever environment: an exit code and a sentence, never a defect.

The commands and what they take are read off the parser: one more is drawn for without a word here.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from labctl.cli import commands, main
from labctl.errors import EngineError
from labctl.model.topology import Choice
from labctl.resolve.request import Request, request_record
from labctl.state import store
from tests.fakes.engine import FakeEngine
from tests.unit.confined import confined

EXAMPLES = 10
"""Of each command."""
RIGHT = (
    *("single", "demo", "support", "auto", "mine.yml", "folder", "-", "node", "client"),
    *("c1", "c1/mariadb", "c1,c2", "vip-holder", "galera-writer", "mariadb", "keystone:network"),
    *("galera-writer-killed", "galera", "service", "1h", "5", "0", "198.18.7.0/24", "docker"),
    *("in", "unix:///x", "tcp://127.0.0.1:1", "ssh://nobody@127.0.0.1"),
)
"""What means something somewhere: most of it is wrong where it is put."""
NUMBERS = ("-1", "1.5", "nan", "inf", "1e999", "9" * 30, "0x10", "１", "٣", "1_0", " 7 ", "-0")
PATHS = (".", "..", "/", "//", "~", "~nobody", "/proc/x", "/dev/null", "folder/", "mine.yml/x")
CONTROLS = (
    "\n",
    "a\nb",
    "\r",
    "\t",
    "\x1b[31mred\x1b[0m",
    "\x7f",
    "\x85",
    "\u2028",
    "\u202e",
    "[b]",
)
OUTSIDE = ("-h", "--help", "--", "--version", "--nonsense", "-Z", "---", "--=", "--lab=", "-l")

# The system passes no NUL; bytes that are no UTF-8 become lone surrogates.
other_bytes = st.binary(min_size=1, max_size=12).map(lambda b: os.fsdecode(b.replace(b"\0", b"")))
text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
junk = st.one_of(
    st.sampled_from(("", *NUMBERS, *PATHS, *CONTROLS)),
    st.sampled_from(("x", "ä", "c1/", "../", "\udcff", "\n", "9")).map(lambda part: part * 300),
    other_bytes,
    text,
)
words = st.sampled_from(RIGHT) | junk
encodings = st.sampled_from(("utf-8", "ascii", "latin-1"))
VARIABLES = {
    "LABCTL_LAB": words,
    "LABCTL_ENGINE": words,
    "LABCTL_HOME": st.sampled_from(("home", "folder/mine.yml", "/dev/null/x", "/")) | words,
    "LABCTL_NONSENSE": junk,
    "HOME": st.sampled_from(("/nonexistent", "mine.yml")) | junk,
    "XDG_STATE_HOME": st.sampled_from(("state", "mine.yml")) | junk,
    "XDG_RUNTIME_DIR": junk,
    "XDG_CONFIG_HOME": junk,
    "DOCKER_HOST": words,
    "COLUMNS": st.sampled_from(("0", "-1", "wide", "1", "20")) | junk,
    "LINES": junk,
    "LANG": st.sampled_from(("C", "de_DE.ISO-8859-1")) | junk,
    "LC_ALL": junk,
    "NO_COLOR": junk,
    "FORCE_COLOR": junk,
    "TERM": st.sampled_from(("dumb", "xterm-256color")) | junk,
}
variables = st.sampled_from(sorted(VARIABLES)).flatmap(
    lambda name: st.tuples(st.just(name), VARIABLES[name])
)
# A few at a time: where all are wrong it is always the same one that is said.
environments = st.lists(variables, max_size=3).map(dict)


def leaves(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, by the words that lead to it."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
    for name, each in (inner or {}).items():
        yield from leaves(each, *path, name)


COMMANDS = {" ".join(path): command for path, command in leaves(commands.parser())}


def asked(name: str) -> st.SearchStrategy[list[str]]:
    """Arguments of a command: its own, right and wrong, again and again, and others'."""
    taken = COMMANDS[name].params
    own = [name for each in taken for name in (*each.opts, *each.secondary_opts) if name[0] == "-"]
    every = sorted({opt for command in COMMANDS.values() for p in command.params for opt in p.opts})
    wrong = st.sampled_from((*every, *OUTSIDE)) | junk.map("--{}".format)
    options = st.sampled_from(own or ["--help"])
    flagged = [name for each in taken if getattr(each, "is_flag", False) for name in each.opts]
    flags = st.sampled_from(["--help", *flagged])
    place = any(each.param_type_name == "argument" for each in taken)
    pieces = st.one_of(
        st.tuples(options, words).map(list),
        st.tuples(options, words).map("=".join).map(lambda word: [word]),
        st.tuples(options, words, words).map(lambda p: [p[0], p[1], p[0], p[2]]),
        options.map(lambda option: [option]),
        flags.map(lambda option: [option]),
        words.map(lambda word: [word] if place else []),
    )
    # What a command cannot do without is mostly there: then it is that which is looked at.
    needed = [([each.opts[0]] if each.opts[0][0] == "-" else []) for each in taken if each.required]
    usual = [st.tuples(*map(st.just, option), words).map(list) for option in needed]
    given = st.tuples(*usual).map(lambda parts: [word for part in parts for word in part])
    rest = st.lists(pieces, max_size=3).map(lambda parts: [w for part in parts for w in part])
    path = name.split(" ")

    def put(kind: int, given: list[str], rest: list[str], wrong: str) -> list[str]:
        # One in ten is wrong altogether: an option in front or behind, nothing, no such command.
        odd = {
            0: [wrong, *path, *given],
            1: [*path, *given, wrong],
            2: path,
            3: [*path[:-1], wrong],
        }
        return [*odd.get(kind, [*path, *given]), *rest]

    return st.builds(put, st.integers(0, 39), given, rest, wrong)


@cache
def record() -> str:
    """What is kept of a lab."""
    with tempfile.TemporaryDirectory() as home, mock.patch.dict(os.environ, {"LABCTL_HOME": home}):
        made = request_record(Request("single", "demo", choice=Choice(profile="support")), list)
        store.save(made)
        return (made.directory / "lab.yml").read_text(encoding="utf-8")


def said(
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdin: bytes = b"",
    encoding: str = "utf-8",
    fake: bool = True,
) -> tuple[int, str]:
    """The exit code of labctl in a folder of its own, and what it wrote to standard error."""

    def stream(content: bytes = b"") -> io.TextIOWrapper:
        return io.TextIOWrapper(io.BytesIO(content), encoding, errors="backslashreplace")

    def refuse(*_: object) -> None:
        raise EngineError("that takes minutes")

    errors = stream()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.ExitStack() as changed,
        mock.patch.dict(os.environ, {"HOME": folder, "PATH": "/nonexistent"}, clear=True),
        mock.patch("labctl.host.process.spawn_detached", lambda *_: 1),
        mock.patch("labctl.benchmark.planner.measure", refuse),
        mock.patch("labctl.cli.chaos._repair", refuse),
        mock.patch("time.sleep", lambda _: None),
        mock.patch("sys.argv", ["labctl", *argv]),
        mock.patch("sys.stdin", stream(stdin)),
        contextlib.redirect_stdout(stream()),
        contextlib.redirect_stderr(errors),
    ):
        if fake:
            changed.enter_context(
                mock.patch("labctl.engine.choose.connect", lambda _: FakeEngine())
            )
        changed.enter_context(contextlib.chdir(folder))
        lab = Path(".local/state/labctl/labs/demo")
        lab.mkdir(parents=True)
        (lab / "lab.yml").write_text(record(), encoding="utf-8")
        Path("folder").mkdir()
        Path("folder/mine.yml").touch()
        Path("mine.yml").write_text("name: mine\ndescription: d\nextends: single\n")
        os.environ |= environment
        with confined(Path(folder)) as removed, pytest.raises(SystemExit) as ended:
            main.run()
        assert not removed, "something was about to be removed that is not labctl's"
    assert isinstance(ended.value.code, int)
    errors.flush()
    return ended.value.code, errors.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", COMMANDS)
def test_no_arguments_and_no_environment_are_a_defect(name: str) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, phases=[Phase.generate])
    @given(asked(name), environments, words.map(os.fsencode), encodings, st.booleans())
    def whatever(
        argv: list[str], environment: dict[str, str], stdin: bytes, encoding: str, fake: bool
    ) -> None:
        code, errors = said(argv, environment, stdin=stdin, encoding=encoding, fake=fake)
        assert "a defect in labctl" not in errors, errors
        assert "Traceback" not in errors, errors
        if name in ("exec", "shell"):  # a command's own exit code
            return
        assert code in (0, 1, 2, 3)
        if code == 2:
            assert errors.startswith("labctl: ") and errors.endswith("\n"), errors
            assert errors[:-1].isprintable(), errors
        elif code == 3 and name != "doctor":
            assert "labctl: " in errors

    whatever()


def test_every_command_is_drawn_for() -> None:
    assert {"up", "down", "chaos run", "images build"} < {*COMMANDS}
    assert len(COMMANDS) > 25


def test_what_is_confined_changes_nothing_outside(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "file").write_text("here")
    (inside / "link").symlink_to(outside)
    removals = (
        (outside / "file").unlink,
        (inside / "link" / "file").unlink,
        lambda: (outside / "file").rename(inside / "taken"),
        lambda: (inside / "file").replace(outside / "file"),
        lambda: shutil.rmtree(outside),
        lambda: os.truncate(outside / "file", 0),
        lambda: os.kill(os.getpid(), 0),
    )
    others = (
        lambda: (outside / "file").write_text("changed"),
        (inside / "link" / "new").touch,
        (outside / "new").mkdir,
        lambda: (outside / "file").chmod(0),
        lambda: subprocess.run(["true"], check=False),
        lambda: socket.create_connection(("127.0.0.1", 1)),
    )
    with confined(inside) as removed:
        for number, removal in enumerate(removals, 1):
            with pytest.raises(OSError):
                removal()
            assert len(removed) >= number
        for other in others:
            with pytest.raises(OSError):
                other()
        (inside / "file").write_text("changed")
        (inside / "link").unlink()
        assert len(removed) == len(removals)
    assert (outside / "file").read_text() == "here"
    assert [path.name for path in outside.iterdir()] == ["file"]
