"""The program of verify: steps in order and in threads, evidence, failures, clean-up."""

from __future__ import annotations

import io
import threading
import time
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labctl.verify import run as shipping
from labctl.verify import walk as walking
from labctl.verify.context import Context, StepError
from labctl.verify.program import Program

Events = list[dict[str, Any]]


def execute(
    tmp_path: Path, scripts: Mapping[str, str], *, keep: bool = False, **fields: Any
) -> Events:
    """Run steps, each with a script of its own; ``fields`` are those of steps: needs and so on."""
    steps = []
    for name, text in scripts.items():
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        step = {"needs": [], "after": [], "timeout": 5, "function": "run"}
        steps.append({**step, "name": name, "path": str(path), **fields.get(name, {})})
    spec = {
        "run": "1a2b",
        "patience": 1,
        "keep": keep,
        "vip": "198.18.0.250",
        "nodes": {"c1": "198.18.0.11"},
        "services": {"nova-api": {"nodes": ["c1"], "settings": {"a": 1}, "types": ["compute"]}},
        "ports": {"8774": "nova-api"},
        "steps": steps,
    }
    events: Events = []
    program = Program(spec, lambda event, **rest: events.append({"event": event, **rest}))
    program._login = lambda: True  # type: ignore[method-assign]
    program.run()
    return events


def of(events: Events, kind: str) -> list[str]:
    return [event["step"] for event in events if event["event"] == kind]


def test_steps_run_after_what_they_need_and_share_their_state(tmp_path: Path) -> None:
    scripts = {
        "server": "def run(ctx):\n ctx.say(ctx.state['image'] + ctx.name('x'))\n",
        "image": "def run(ctx):\n ctx.state['image'] = 'an image for '\n",
    }
    events = execute(tmp_path, scripts, server={"needs": ["image"]})
    assert of(events, "passed") == ["image", "server"]
    said = next(event for event in events if event["event"] == "said")
    assert said["text"] == "an image for verify-1a2b-x"
    assert events[-1]["event"] == "ended"


def test_what_needs_a_step_that_failed_is_not_run(tmp_path: Path) -> None:
    scripts = {
        "image": "def run(ctx):\n assert False, 'it is not active'\n",
        "server": "def run(ctx): pass\n",
        "console": "def run(ctx): pass\n",
        "other": "def run(ctx): pass\n",
    }
    events = execute(
        tmp_path,
        scripts,
        server={"needs": ["image"]},
        console={"needs": ["server"]},
        other={"after": ["image"]},
    )
    assert of(events, "passed") == ["other"]
    assert of(events, "failed") == ["image"]
    skipped = {e["step"]: e["because"] for e in events if e["event"] == "skipped"}
    assert skipped == {"server": "image did not pass", "console": "server did not pass"}
    failed = next(event for event in events if event["event"] == "failed")
    assert failed["error"] == "it is not active"
    assert "trace" not in failed


def test_the_clean_up_is_backward_and_goes_on_whatever_happens(tmp_path: Path) -> None:
    scripts = {
        "image": "def run(ctx):\n ctx.defer(ctx.say, 'image')\n",
        "server": (
            "def clean(ctx): ctx.say('server')\n"
            "def run(ctx):\n ctx.defer(ctx.say, 'port')\n ctx.defer(lambda: 1 / 0)\n"
            " raise ValueError('no')\n"
        ),
    }
    events = execute(tmp_path, scripts, server={"needs": ["image"]})
    said = [event["text"] for event in events if event["event"] == "said"]
    assert said == ["port", "server", "image"]
    assert of(events, "untidy") == ["server"]
    failed = next(event for event in events if event["event"] == "failed")
    assert failed["error"] == "ValueError: no"
    assert "ValueError: no" in failed["trace"]


def test_what_is_kept_is_not_cleaned_up(tmp_path: Path) -> None:
    events = execute(tmp_path, {"image": "def run(ctx):\n ctx.defer(ctx.say, 'gone')\n"}, keep=True)
    assert [event["event"] for event in events] == ["started", "passed", "ended"]


def test_a_failure_names_the_service_that_answered(tmp_path: Path) -> None:
    script = (
        "class Refused(Exception):\n url = 'http://198.18.0.250:8774/v2.1'\n"
        "def run(ctx):\n"
        " try:\n  raise Refused('500')\n"
        " except Refused as error:\n  raise RuntimeError('no server') from error\n"
    )
    events = execute(tmp_path, {"server": script})
    assert next(event for event in events if event["event"] == "failed")["service"] == "nova-api"


def test_a_step_that_does_not_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "LATE", 0.1)
    script = "import time\ndef run(ctx):\n time.sleep(0.6)\n"
    events = execute(
        tmp_path,
        {"stuck": script, "next": "import time\ndef run(ctx):\n time.sleep(1)\n"},
        stuck={"timeout": 0.1},
        next={"after": ["stuck"]},
    )
    assert of(events, "failed") == ["stuck"]
    assert of(events, "passed") == ["next"]
    assert (
        next(e for e in events if e["event"] == "failed")["error"] == "it did not end within 0.1 s"
    )


def context(timeout: float = 5, emit: Callable[..., None] = lambda *_, **__: None) -> Context:
    return Context(
        {"run": "1a2b", "patience": 1, "services": {}, "nodes": {}, "vip": "198.18.0.250"},
        {"name": "step", "timeout": timeout},
        connect=lambda: None,
        state={},
        emit=emit,
        stopped=threading.Event(),
    )


def test_until_asks_again_and_returns_what_it_got() -> None:
    answers = iter([OSError("refused"), AssertionError("not yet"), 0, "well"])

    def ask() -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert context().until("it is well", ask, every=0.01) == "well"


def test_until_says_how_long_it_waited_and_what_it_last_heard() -> None:
    def ask() -> bool:
        raise ConnectionRefusedError("refused")

    with pytest.raises(StepError) as caught:
        context(timeout=0.05).until("it is well", ask, seconds=60, every=0.01)
    expected = "not within 0 s: it is well (the last answer: ConnectionRefusedError: refused)"
    assert str(caught.value) == expected


@pytest.mark.parametrize("error", [StepError("in ERROR"), KeyError("id")])
def test_until_does_not_wait_for_what_cannot_come(error: Exception) -> None:
    def ask() -> bool:
        raise error

    with pytest.raises(type(error)):
        context().until("it is well", ask)


def test_until_ends_when_verify_is_stopped_but_not_while_cleaning_up() -> None:
    stopped = threading.Event()
    stopped.set()
    ctx = Context(
        {"run": "1a2b", "patience": 1},
        {"name": "step", "timeout": 5},
        connect=lambda: None,
        state={},
        emit=lambda *_, **__: None,
        stopped=stopped,
    )
    with pytest.raises(StepError, match="stopped"):
        ctx.until("it is well", lambda: False)
    ctx.grant(1)
    answers = iter([False, True])
    assert ctx.until("it is gone", lambda: next(answers), every=0.01)


def test_a_command_that_fails_is_told_by_its_last_line() -> None:
    ctx = context()
    assert ctx.command(["echo", "well"]) == "well\n"
    with pytest.raises(AssertionError, match="exit code 3: no such thing"):
        ctx.command(["sh", "-c", "echo first >&2; echo no such thing >&2; exit 3"])
    with pytest.raises(AssertionError, match="did not end within"):
        ctx.command(["sleep", "5"], seconds=0.1)


@pytest.mark.parametrize(
    ("answer", "key"),
    [
        ({"id": "7", "name": "x"}, "id"),
        ({"flavor": {"id": "7", "name": "x"}}, "id"),
        ({"alarm_id": "7", "name": "x"}, "alarm_id"),
    ],
)
def test_what_a_step_makes_is_deleted_when_all_is_over(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], key: str
) -> None:
    asked: list[tuple[Any, ...]] = []

    def request(*words: Any, **more: Any) -> Any:
        asked.append((*words, more.get("json")))
        return SimpleNamespace(json=lambda: answer)

    ctx = context()
    monkeypatch.setattr(ctx, "request", request)
    assert ctx.make("compute", "/flavors", {"name": "x"}, key=key)["name"] == "x"
    for undo, arguments in ctx.undo:
        undo(*arguments)
    assert asked == [
        ("compute", "POST", "/flavors", {"name": "x"}),
        ("compute", "DELETE", "/flavors/7", None),
    ]


def graph_of(width: int, graph: Mapping[str, Collection[str]]) -> tuple[list[str], int]:
    done: list[str] = []
    lock, busy, most = threading.Lock(), 0, 0

    def work(name: str) -> None:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.02)
        with lock:
            busy -= 1
            done.append(name)

    walking.walk(graph, work, width=width, limit=lambda _: 5, late=lambda _: None)
    return done, most


def test_walking_is_as_wide_as_is_allowed() -> None:
    free = {str(number): [] for number in range(9)}
    done, most = graph_of(3, free)
    assert sorted(done) == sorted(free)
    assert most == 3
    assert graph_of(4, {"b": ["a"], "a": [], "c": ["b"]}) == (["a", "b", "c"], 1)


def test_what_most_wait_for_goes_first() -> None:
    graph = {"alone": [], "image": [], "server": ["image"], "console": ["server"], "other": []}
    assert walking.followers(graph)["image"] == {"server", "console"}
    done, _ = graph_of(1, graph)
    assert done[:2] == ["image", "server"]


def test_everything_is_shipped_and_needs_nothing_else_of_labctl(tmp_path: Path) -> None:
    archive = zipfile.ZipFile(io.BytesIO(shipping.archive()))
    modules = {name for name in archive.namelist() if name.startswith("labctl/")}
    for name in modules:
        for line in archive.read(name).decode().splitlines():
            if line.startswith(("from labctl", "import labctl")):
                wanted = line.split()[1].replace(".", "/") + ".py"
                assert wanted in modules, f"{name}: {line}"
