"""Reading and pairing a run's history."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labctl.chaos.folder import history
from labctl.errors import InputError


def line(t: float, kind: str, **more: Any) -> str:
    return json.dumps({"t": t, "w": "s", "p": 0, "type": kind, "f": "add", **more}) + "\n"


def test_events_are_paired_to_operations() -> None:
    events = history.parse(
        [
            line(1, "invoke", value=1),
            line(1.5, "invoke", value=2, p=1, at="c1"),
            line(2, "ok", value=1),
            line(3, "info", value=2, p=1, error="TimeoutError: late"),
            line(4, "invoke", value=3),
            line(5, "invoke", value=4),
            line(6, "fail", value=4),
            line(7, "invoke", value=5),
        ],
        "history.jsonl",
    )
    found = history.pair(events)
    assert [(o.asked, o.end, o.began, o.ended) for o in found] == [
        (1, "ok", 1, 2),
        (2, "info", 1.5, 3),
        (3, "info", 4, None),
        (4, "fail", 5, 6),
        (5, "info", 7, None),
    ]
    assert (found[1].at, found[1].error) == ("c1", "TimeoutError: late")
    assert found[0].seconds == 1
    assert found[2].seconds is None


def test_an_answer_is_not_what_was_asked() -> None:
    events = [line(1, "invoke", f="read", value=["k", None]), line(2, "ok", value=["k", 7])]
    (read,) = history.pair(history.parse(events, "h"))
    assert (read.asked, read.answer, read.value) == (["k", None], ["k", 7], ["k", 7])


def test_the_client_tells_of_itself() -> None:
    events = history.parse(
        [
            '{"t": 5.0, "w": "client", "type": "lag", "seconds": 1.5}\n',
            '{"t": 6.0, "w": "client", "type": "full"}\n',
        ],
        "h",
    )
    assert history.lags(events) == [(3.5, 5.0)]
    assert history.pair(events) == []


@pytest.mark.parametrize("torn", ['{"t": 2, "w": "s"', '{"t": 2}', "", '{"t": 2, "type": "o'])
def test_a_torn_last_line_is_left_out(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(line(1, "invoke") + torn)
    assert len(history.read(path)) == 1


@pytest.mark.parametrize(
    "bad",
    [
        "nonsense",
        "[]",
        "7",
        '{"t": 1}',
        '{"t": 1, "w": "s", "p": 0, "type": "done", "f": "add"}',
        '{"t": 1e999, "w": "s", "p": 0, "type": "ok", "f": "add"}',
        '{"t": 1, "w": 3, "p": 0, "type": "ok", "f": "add"}',
        '{"t": 1, "w": "s", "p": "x", "type": "ok", "f": "add"}',
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "history.jsonl"
    path.write_text(line(1, "invoke") + bad + "\n" + line(2, "ok"))
    with pytest.raises(InputError) as caught:
        history.read(path)
    assert str(caught.value) == f"history.jsonl:2: is not an event of a history: {bad}"


def test_no_history_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        history.read(tmp_path / "history.jsonl")
    assert str(caught.value) == "history.jsonl: cannot be read: No such file or directory"


def test_an_end_without_a_beginning_is_named() -> None:
    with pytest.raises(InputError) as caught:
        history.pair(history.parse([line(2, "ok")], "h"))
    assert str(caught.value) == (
        "the history has an end without a beginning: 'ok' of process 0 of 's' at 2.000 s"
    )
