"""Checkpoints on disk: whole or refused, private, and never half-written."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.errors import InputError, LabError
from labctl.model.checkpoint import Manifest, Part
from labctl.model.topology import Choice, TopologyDoc
from labctl.state import checkpoints, paths

TOPOLOGY = TopologyDoc.model_validate(
    {
        "name": "small",
        "description": "d",
        "nodes": {"c1": {"roles": ["one"]}},
        "roles": {"one": ["toolbox"]},
        "services": {"mariadb": {"disk": None}},
    }
)
DATA = {"c1-store-data": b"\x1f\x8b some data", "shared-images": b"x"}


def manifest(parts: tuple[Part, ...] = ()) -> Manifest:
    return Manifest(
        created="2026-01-02T03:04:05+00:00",
        lab="demo",
        source="small.yml",
        topology=TOPOLOGY,
        choice=Choice(profile="support"),
        placed={},
        identity={"release": "zed"},
        jobs=("store/databases",),
        secrets={"store.key": "s"},
        parts=parts,
    )


def write(name: str = "one") -> Manifest:
    with checkpoints.drafting(name) as draft:
        parts = tuple(draft.add(part, (part,), [data[:3], data[3:]]) for part, data in DATA.items())
        made = manifest(parts)
        draft.complete(made)
    return made


def check(name: str = "one") -> Manifest:
    found = checkpoints.load(name)
    checkpoints.verify(name, found)
    return found


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def files(home: Path) -> list[Path]:
    """All files of a whole checkpoint."""
    write()
    return sorted((home / "checkpoints" / "one").iterdir())


def test_what_is_written_comes_back(files: list[Path]) -> None:
    found = check()
    assert found == manifest(found.parts)
    back = {p.name: b"".join(checkpoints.pieces("one", p)) for p in found.parts}
    assert back == DATA
    assert [part.size for part in found.parts] == [12, 1]
    assert checkpoints.names() == ["one"]


def test_only_its_owner_can_read_it(files: list[Path]) -> None:
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert files[0].parent.stat().st_mode & 0o777 == 0o700


def test_people_can_check_it_too(files: list[Path]) -> None:
    subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=files[0].parent, check=True)


def test_cut_short_anywhere_it_is_refused(files: list[Path]) -> None:
    for path in files:
        whole = path.read_bytes()
        for size in range(len(whole)):
            path.write_bytes(whole[:size])
            with pytest.raises(InputError, match=r"^checkpoint 'one' is damaged \("):
                check()
        path.write_bytes(whole)
    check()


def test_altered_anywhere_it_is_refused(files: list[Path]) -> None:
    for path in files:
        whole = path.read_bytes()
        for at in range(0, len(whole), 5):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            with pytest.raises(InputError, match=r"^checkpoint 'one' is damaged \("):
                check()
        path.write_bytes(whole)
    check()


def test_made_longer_it_is_refused(files: list[Path]) -> None:
    for path in files:
        whole = path.read_bytes()
        path.write_bytes(whole + b"\n")
        with pytest.raises(InputError, match=r"^checkpoint 'one' is damaged \("):
            check()
        path.write_bytes(whole)


def test_it_says_what_is_damaged_and_what_to_do(home: Path, files: list[Path]) -> None:
    there = home / "checkpoints" / "one"
    (there / "c1-store-data.tar.gz").write_bytes(b"\x1f\x8b some dat")
    with pytest.raises(InputError) as refused:
        check()
    assert str(refused.value) == (
        "checkpoint 'one' is damaged (c1-store-data.tar.gz is cut short: 11 of 12 bytes): nothing "
        "was made of it; remove it with 'labctl checkpoint remove one' and save it again"
    )
    (there / "c1-store-data.tar.gz").write_bytes(b"\x1f\x8b some dutu")
    with pytest.raises(InputError, match=r"\(c1-store-data.tar.gz is altered\)"):
        check()
    (there / "c1-store-data.tar.gz").unlink()
    with pytest.raises(InputError, match=r"\(c1-store-data.tar.gz is missing\)"):
        check()
    (there / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"\(manifest.json is missing\)"):
        checkpoints.load("one")


def test_another_format_is_not_read(home: Path) -> None:
    with checkpoints.drafting("two") as draft:
        draft.complete(manifest().model_copy(update={"format": 2}))
    with pytest.raises(InputError) as refused:
        checkpoints.load("two")
    assert str(refused.value) == (
        "checkpoint 'two' is of another version of labctl, not of format 1: remove it with "
        "'labctl checkpoint remove two'"
    )


def test_no_archive_lies_outside_of_it() -> None:
    for name in ("../../etc/passwd", "/etc/passwd", ".", "A", "x" * 300, ""):
        with pytest.raises(ValueError, match="String should match"):
            Part(name=name, volumes=("a",), size=0)
        with pytest.raises(ValueError, match="String should match"):
            Part(name="a", volumes=(name,), size=0)


@settings(deadline=None)
@given(st.text())
def test_a_name_is_a_name(name: str) -> None:
    try:
        folder = paths.checkpoint_dir(name)
    except InputError as refused:
        assert str(refused).startswith("checkpoint name '")
        assert str(refused).endswith(
            "' should be at most 31 lower-case letters, digits and '-', and begin with a letter"
        )
        return
    assert folder.resolve().parent == (paths.home() / "checkpoints").resolve()


def test_one_that_is_not_there() -> None:
    with pytest.raises(InputError) as refused:
        checkpoints.load("none")
    assert str(refused.value) == (
        "there is no checkpoint 'none' (checkpoints: none; 'labctl checkpoint save' makes one)"
    )
    write()
    with pytest.raises(InputError, match=r"\(checkpoints: one\)"):
        checkpoints.remove("none")


def test_none_is_written_over(files: list[Path]) -> None:
    before = [path.read_bytes() for path in files]
    with pytest.raises(InputError) as refused:
        write()
    assert str(refused.value) == (
        "there is a checkpoint 'one': choose another name, or run 'labctl checkpoint remove one' "
        "first"
    )
    assert [path.read_bytes() for path in files] == before


def test_one_that_fails_leaves_nothing(home: Path) -> None:
    def failing() -> Iterator[bytes]:
        yield b"some"
        raise LabError("the disk is full")

    with pytest.raises(LabError), checkpoints.drafting("one") as draft:
        draft.add("c1-store-data", ("c1-store-data",), failing())
    assert list((home / "checkpoints").iterdir()) == []


def test_one_that_was_killed_is_none_and_stands_in_nobody_s_way(home: Path) -> None:
    left = home / "checkpoints" / ".one.new"
    left.mkdir(parents=True)
    (left / "c1-store-data.tar.gz").write_bytes(b"half")
    assert checkpoints.names() == []
    write()
    check()
    assert not left.exists()


def test_one_that_is_removed_is_gone(home: Path, files: list[Path]) -> None:
    checkpoints.remove("one")
    assert list((home / "checkpoints").iterdir()) == []
    assert checkpoints.names() == []


def test_two_at_once() -> None:
    with (
        checkpoints.claimed("one"),
        pytest.raises(LabError) as refused,
        checkpoints.claimed("one"),
    ):
        pass
    assert str(refused.value) == "another labctl is using checkpoint 'one': wait until it ends"
