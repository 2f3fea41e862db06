"""What is kept of labs on disk: names, the state folder, and what forgetting removes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import InputError
from labctl.state import paths, store


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@given(st.text())
def test_a_lab_s_folder_is_directly_below_that_of_all_labs(name: str) -> None:
    try:
        folder = paths.lab_dir(name)
    except InputError:
        return
    assert folder.resolve().parent == (paths.home() / "labs").resolve()


@pytest.mark.parametrize("name", ["", ".", "..", "a/../..", "other/../demo", "a\n", "A"])
def test_what_is_no_name_forgets_nothing(home: Path, name: str) -> None:
    """Every name leads into the test's own folder: without the check that is what is removed."""
    kept = home / "labs" / "demo" / "kept"
    kept.parent.mkdir(parents=True)
    kept.touch()
    with pytest.raises(InputError):
        store.forget(name)
    assert kept.exists()


def test_an_absolute_path_is_no_name(home: Path, tmp_path: Path) -> None:
    kept = tmp_path / "elsewhere" / "kept"
    kept.parent.mkdir()
    kept.touch()
    with pytest.raises(InputError):
        store.forget(str(kept.parent))
    assert kept.exists()


def test_forgetting_follows_no_link(home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").touch()
    lab = home / "labs" / "demo"
    lab.mkdir(parents=True)
    (lab / "reports").symlink_to(elsewhere)
    store.forget("demo")
    assert not lab.exists()
    lab.symlink_to(elsewhere)
    store.forget("demo")
    assert not lab.is_symlink()
    assert (elsewhere / "mine").exists()


def test_folders_that_are_no_labs_are_none(home: Path) -> None:
    for name in ("demo", "Not a lab"):
        (home / "labs" / name).mkdir(parents=True)
        (home / "labs" / name / "lab.yml").touch()
    (home / "labs" / "file").touch()
    with pytest.raises(InputError, match="is empty"):
        store.load("demo")
    assert store.names() == ["demo"]
