"""Whatever is asked for, in whatever environment: an exit code and a sentence, never a defect."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.cli import main
from labctl.model.topology import Choice
from labctl.resolve.request import Request, request_record
from labctl.state import store
from tests.fakes.engine import FakeEngine

LOOKING = (
    ("plan",),
    ("render",),
    ("status",),
    ("down",),
    ("exec",),
    ("shell",),
    ("logs",),
    ("kill",),
    ("cut",),
    ("heal",),
    ("move",),
    ("verify", "--list"),
    ("services",),
    ("schema",),
    ("topologies",),
    ("images", "list"),
    ("images", "prune"),
    ("chaos", "list"),
    ("chaos", "show"),
    ("chaos", "runs"),
    ("chaos", "check"),
    ("chaos", "report"),
    ("chaos", "overview"),
    ("chaos", "run"),
)
"""Commands that end at once without an engine's help; they may write into a folder of their own."""
OPTIONS = ("--lab", "--name", "--subnet", "--profile", "--with", "--without", "--tail", "--for")
OUTPUTS = (
    "folder",
    "folder/",
    "mine.yml",
    "mine.yml/x",
    "/proc/x",
    "x" * 300,
    "",
    "/dev/null",
    "-",
)
FLAGS = ("--json", "--help", "-f", "-t", "--", "--version")
NAMES = (
    "single",
    "demo",
    "c1",
    "c1/mariadb",
    "vip-holder",
    "mine.yml",
    "folder",
    "support",
    "1h",
    "5",
)

# No NUL: the operating system passes none. Lone surrogates are what it makes of other bytes.
text = st.text(st.characters(codec=None, exclude_characters="\0"), max_size=20)
words = st.one_of(
    st.sampled_from((*NAMES, "-", ".", "..", "/", "", "/dev/null", "~", "~nobody")),
    st.sampled_from(("x", "ä", "c1/", "\udcff")).map(lambda part: part * 300),
    text,
)
pairs = st.one_of(
    st.tuples(st.sampled_from(OPTIONS), words).map(list),
    st.tuples(st.just("--output"), st.sampled_from(OUTPUTS)).map(list),
)
arguments = st.builds(
    lambda command, place, rest: [*command, *place, *(word for pair in rest for word in pair)],
    st.sampled_from(LOOKING),
    st.lists(words, min_size=1, max_size=2) | st.just([]),
    st.lists(pairs | st.sampled_from(FLAGS).map(lambda flag: [flag]), max_size=3),
)
environments = st.fixed_dictionaries(
    {},
    optional={
        "LABCTL_LAB": words,
        "LABCTL_HOME": st.sampled_from(("", "home", "folder/mine.yml", "/dev/null/x", "~nobody")),
        "XDG_STATE_HOME": st.sampled_from(("", "state", "x" * 300)),
        "COLUMNS": st.sampled_from(("0", "-1", "wide", "20")),
    },
)


@cache
def record() -> str:
    """What is kept of a lab."""
    with tempfile.TemporaryDirectory() as home, mock.patch.dict(os.environ, {"LABCTL_HOME": home}):
        made = request_record(Request("single", "demo", choice=Choice(profile="support")), list)
        store.save(made)
        return (made.directory / "lab.yml").read_text(encoding="utf-8")


def said(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """The exit code of labctl in a folder of its own, and what it wrote to standard error."""
    errors = io.StringIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        mock.patch.dict(os.environ, {"HOME": folder, "PATH": "/nonexistent"}, clear=True),
        mock.patch("labctl.engine.choose.connect", lambda _: FakeEngine()),
        mock.patch("labctl.host.process.spawn_detached", lambda *_: 1),
        # Any path may be asked for here: nothing is removed, also where a check is missing.
        mock.patch("labctl.state.store.forget", lambda _: None),
        mock.patch("labctl.faults.verbs.forget", lambda _: None),
        mock.patch("sys.argv", ["labctl", *argv]),
        mock.patch("sys.stdin", io.StringIO()),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(errors),
    ):
        lab = Path(".local/state/labctl/labs/demo")
        lab.mkdir(parents=True)
        (lab / "lab.yml").write_text(record(), encoding="utf-8")
        Path("folder").mkdir()
        Path("folder/mine.yml").touch()
        Path("mine.yml").write_text("name: mine\ndescription: d\nextends: single\n")
        os.environ |= environment
        try:
            main.run()
        except SystemExit as ended:
            return int(ended.code or 0), errors.getvalue()
    raise AssertionError("labctl did not exit")


@settings(max_examples=80, deadline=None)
@given(arguments, environments)
def test_no_arguments_and_no_environment_are_a_defect(
    argv: list[str], environment: dict[str, str]
) -> None:
    code, errors = said(argv, environment)
    assert "a defect in labctl" not in errors, errors
    assert "Traceback" not in errors
    assert code in (0, 1, 2, 3)
    assert code == 0 or errors or "status" in argv
