"""Histories in the formats of other checkers, read back as these tools read them."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from labctl.chaos.checks import register
from labctl.chaos.export import files
from labctl.chaos.export.edn import Word, edn
from labctl.cli import main
from labctl.errors import InputError
from tests.mutation.simulate import good
from tests.unit.chaos_histories import broken, op

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]|[^\s,\[\]{}]+')


def parsed(text: str) -> Any:
    """EDN read back: keywords are Words."""
    tokens = _TOKEN.findall(text)

    def value() -> Any:
        token = tokens.pop(0)
        if token in "[{":
            found = []
            while tokens[0] not in "]}":
                found.append(value())
            tokens.pop(0)
            return found if token == "[" else dict(zip(found[::2], found[1::2], strict=True))
        if token.startswith(":"):
            return Word(token[1:])
        return {"nil": None}.get(token, json.loads(token) if token != "nil" else None)

    return value()


def test_edn_says_what_json_does() -> None:
    value = {"a": [1, None, True, 'x "y"', 2.5], "3": {}, "two words": Word("ok")}
    assert edn(value) == '{:a [1 nil true "x \\"y\\"" 2.5], 3 {}, "two words" :ok}'
    assert parsed(edn({"a": [1, None, "q"]})) == {"a": [1, None, "q"]}


def test_elle_gets_its_own_example() -> None:
    """The list-append transactions of Elle's README, with their invocations."""
    parts = [["append", "x", 1], ["r", "y", [1]]]
    one = op(0, "txn", [["append", "x", 1], ["r", "y", None]], 0, 2, answer=parts)
    [(name, text)] = files([one], "elle").items()
    assert name == "w.list-append.edn"
    assert text.splitlines() == [
        "{:index 0, :time 0, :type :invoke, :process 0, :f :txn,"
        ' :value [[:append "x" 1] [:r "y" nil]]}',
        "{:index 1, :time 2000000000, :type :ok, :process 0, :f :txn,"
        ' :value [[:append "x" 1] [:r "y" [1]]]}',
    ]


@pytest.mark.parametrize("check", ["append", "register", "bank", "queue", "sets", "counter"])
def test_a_history_of_jepsen_is_the_history(check: str) -> None:
    operations = good(check, 1).operations
    rows = [parsed(line) for line in files(operations, "jepsen")["w.edn"].splitlines()]
    assert [row["index"] for row in rows] == list(range(len(rows)))
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    running: dict[int, Any] = {}
    back = []
    for row in rows:
        if row["type"] == "invoke":
            assert row["process"] not in running, "a process has one operation at a time"
            running[row["process"]] = row
            continue
        begun = running.pop(row["process"])
        back.append((begun["process"] % 10_000, row["f"], row["type"], begun["value"]))
        if row["type"] == "info":
            assert all(r["process"] != row["process"] for r in rows[row["index"] + 1 :])
    assert sorted(map(str, back)) == sorted(
        str((o.process, o.f, o.end, o.asked)) for o in operations
    )


def test_elle_gets_registers_as_transactions() -> None:
    cas = op(0, "cas", [1, [2, 3]], 0, 1)
    write = op(0, "write", [1, 2], 2, None)
    [(name, text)] = files([cas, write], "elle").items()
    assert name == "w.rw-register.edn"
    values = [parsed(line)["value"] for line in text.splitlines()]
    assert values == [[["r", 1, 2], ["w", 1, 3]]] * 2 + [[["w", 1, 2]]]


LINE = re.compile(
    r"^INFO\s+jepsen\.util\s+-\s+(\d+)\s+:(?:invoke\s+:(?:read\s+nil|write\s+\d+|cas\s+\[\d+\s+\d+\])"
    r"|ok\s+:(?:read\s+(?:nil|\d+)|write\s+\d+|cas\s+\[\d+\s+\d+\]))$"
)
"""What Porcupine's tests recognize of the lines that are written here."""


def test_porcupine_reads_every_line_and_finds_the_same() -> None:
    operations = good("register", 1).operations
    back = []
    for name, text in files(operations, "porcupine").items():
        running: dict[str, tuple[int, str, Any]] = {}
        for number, line in enumerate(text.splitlines()):
            assert LINE.match(line), line
            _, _, _, process, kind, f, *value = line.split()
            said = json.loads(
                "[" + " ".join(value).strip("[]").replace(" ", ",").replace("nil", "null") + "]"
            )
            if kind == ":invoke":
                running[process] = (number, f[1:], said)
                continue
            began, f, asked = running.pop(process)
            shown = said if f == "cas" else said[0]
            back.append(
                op(
                    0,
                    f,
                    [name, asked if f == "cas" else asked[0]],
                    began,
                    number,
                    answer=[name, shown],
                )
            )
    done = [each for each in operations if each.end == "ok"]
    assert len(back) == len(done)
    assert broken(register.check(back, None, {})) == []


def test_what_has_no_such_format_says_so() -> None:
    with pytest.raises(
        InputError, match="no workload of the run can be written in the format 'elle'"
    ):
        files([op(0, "add", 1, 0, 1)], "elle")
    with pytest.raises(InputError, match="there is no format 'csv': elle, jepsen, porcupine"):
        files([op(0, "add", 1, 0, 1)], "csv")


def test_the_command_writes_files_beside_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.json").write_text("{}")
    rows = [
        {"t": 0.0, "w": "lists", "p": 0, "type": "invoke", "f": "txn", "value": [["append", 1, 2]]},
        {"t": 0.5, "w": "lists", "p": 0, "type": "ok", "f": "txn", "value": [["append", 1, 2]]},
    ]
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["labctl", "chaos", "export", str(tmp_path), "--to", "elle"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert not ended.value.code
    assert "elle-lists.list-append.edn" in capsys.readouterr().out.replace("\n", "")
    assert (tmp_path / "elle-lists.list-append.edn").read_text().count("\n") == 2
