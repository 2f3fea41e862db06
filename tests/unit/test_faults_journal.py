"""The journal's files: versions, checksums, and what is done with those that are no fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.faults import Fault, journal
from labctl.faults.journal import Entry
from labctl.faults.model import Member, Station

FAULT = Fault(
    id="20260101T120000_a1b2c3",
    lab="small",
    kind="kill",
    scope="instance",
    targets=("c1/api",),
    stations=(Station("c1", "small-c1", "198.18.9.11", "02:00:00:00:00:01"),),
    begun=1000.0,
    lease=60.0,
    members=(Member("small-c1-api", "c1", "api"),),
    terms={"own": {"small-c1-api": 7}},
)
ENTRY = Entry(FAULT, "active", {"small-c1-api": "4f"})


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path / "home"))


def written(change: Callable[[dict[str, Any]], object] = lambda _: None) -> Path:
    """A fault's file as it is written, and then changed."""
    journal.write(ENTRY)
    path = journal.directory("small") / f"{FAULT.id}.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    return path


def signed(**changes: Any) -> Callable[[dict[str, Any]], object]:
    """Changes by somebody who writes the right checksum."""

    def change(data: dict[str, Any]) -> None:
        data["fault"] |= changes
        content = {key: data[key] for key in ("state", "ids", "fault")}
        data["sum"] = journal._sum(content)

    return change


def test_what_is_written_is_read() -> None:
    written()
    assert journal.read("small") == ([ENTRY], [])


@pytest.mark.parametrize(
    ("state", "now", "lapsed"),
    [("active", 1059, False), ("active", 1060, True), ("injecting", 0, True), ("healing", 0, True)],
)
def test_when_a_fault_is_to_be_undone(state: journal.State, now: float, lapsed: bool) -> None:
    assert replace(ENTRY, state=state).lapsed(now) is lapsed


def test_a_file_of_the_time_before_versions_is_read() -> None:
    def older(data: dict[str, Any]) -> None:
        for key in ("version", "sum", "ids"):
            del data[key]

    written(older)
    assert journal.read("small") == ([replace(ENTRY, ids={})], [])


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (
            lambda data: data.update(version=2, fault="?"),
            "was written by a newer labctl (version 2)",
        ),
        (signed(kind="quake"), "is a fault of an unknown kind (quake)"),
    ],
)
def test_what_another_labctl_wrote_is_left_alone(
    change: Callable[[dict[str, Any]], object], what: str
) -> None:
    path = written(change)
    said = f"{path} {what} and is left alone: heal it with that labctl, or run `labctl down`"
    entries, (unread,) = journal.read("small")
    assert (entries, unread.said) == ([], said)
    for _ in range(2):
        assert journal.set_aside("small") == [said]
        assert path.exists()
    journal.forget("small")
    assert not path.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["fault"].update(targets=["c2/api"]),
        lambda data: data["fault"].update(lab="other"),
        lambda data: data.update(state="asleep"),
        lambda data: data.update(version=-1),
        lambda data: (data.pop("version"), data["fault"].pop("stations")),
        lambda data: data.pop("sum"),
        signed(lab="other"),
        signed(id="20260101T120000_ffffff"),
        signed(stations=7),
    ],
)
def test_what_is_no_fault_of_this_lab_is_damaged(
    change: Callable[[dict[str, Any]], object],
) -> None:
    path = written(change)
    entries, (unread,) = journal.read("small")
    assert entries == []
    assert unread.said == f"{path} is damaged: `labctl heal` sets it aside"


def test_a_damaged_file_is_set_aside_once() -> None:
    path = written(lambda data: data.pop("fault"))
    kept = path.with_name(f"{path.name}.damaged")
    assert journal.set_aside("small") == [
        f"{path} was damaged and is kept as {kept.name}: which fault it was is unknown; "
        "`labctl heal` removes cuts and delays, `labctl up` starts what is not running, and "
        "`labctl down` removes everything"
    ]
    assert kept.exists()
    assert journal.set_aside("small") == []
    assert journal.read("small") == ([], [])


def test_what_may_not_be_read_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    path = written()

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    said = f"{path} cannot be read (Permission denied): make it readable, or remove it"
    assert journal.set_aside("small") == [said]
    assert path.exists()


def test_a_folder_is_no_fault() -> None:
    path = journal.directory("small") / "x.json"
    path.mkdir(parents=True)
    assert [unread.damaged for unread in journal.read("small")[1]] == [True]
    journal.forget("small")
    assert not path.exists()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_damage_is_taken_for_a_fault(data: st.DataObject) -> None:
    """One byte changed, or the end cut off: what is read is the fault, or nothing."""
    path = written()
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255))
    damaged = data.draw(st.sampled_from([whole[:at], whole[:at] + bytes([byte]) + whole[at + 1 :]]))
    path.write_bytes(damaged)
    entries, unread = journal.read("small")
    assert entries == [ENTRY] or (not entries and len(unread) == 1)
