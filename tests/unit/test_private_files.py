"""What labctl keeps on disk is for its owner alone, and nobody else chooses where it is written."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from labctl.errors import EngineError
from labctl.host.locks import claim
from labctl.host.process import spawn_detached
from labctl.images import build
from labctl.state import paths, store
from labctl.state.private import private_directory, private_file


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    before = os.umask(0o022)
    yield tmp_path / "state"
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_all_directories_of_the_state_are_the_owners(home: Path) -> None:
    with store.lock("small"):
        pass
    private_directory(paths.lab_dir("small"))
    made = [home, *(path for path in home.rglob("*") if path.is_dir())]
    assert {path.name: mode(path) for path in made} == {
        "state": 0o700, "locks": 0o700, "labs": 0o700, "small": 0o700
    }  # fmt: skip
    assert mode(home / "locks" / "small.lock") == 0o600


def test_a_state_directory_that_was_open_is_closed(home: Path) -> None:
    (home / "labs").mkdir(parents=True)
    (home / "dockerd.log").touch()  # of an engine that 'labctl doctor --fix' started
    assert mode(home) == 0o755
    private_directory(home / "locks")
    assert mode(home) == 0o700


def test_a_directory_that_others_use_as_well_stays_open(home: Path) -> None:
    (home / "somebody").mkdir(parents=True)
    private_directory(home / "locks")
    assert (mode(home), mode(home / "locks")) == (0o755, 0o700)


def test_a_defects_log_is_the_owners(home: Path) -> None:
    path = home / "defect.log"
    home.mkdir()
    path.write_text("an older one, and longer")
    private_file(path, "new")
    assert (path.read_text(), mode(path)) == ("new", 0o600)


def test_a_detached_programs_log_is_the_owners(home: Path) -> None:
    log = home / "guardian.log"
    pid = spawn_detached([sys.executable, "-c", "print(1)"], log)
    os.waitpid(pid, 0)
    assert (log.read_text(), mode(log)) == ("1\n", 0o600)


@pytest.mark.parametrize("use", ["lock", "log", "file"])
def test_a_symbolic_link_is_not_followed(home: Path, use: str) -> None:
    """Whoever can write to the directory could have made one to a file of ours."""
    home.mkdir()
    link, target = home / "there", home / "elsewhere"
    link.symlink_to(target)
    with pytest.raises(EngineError) as refused:
        if use == "lock":
            with claim(link, wait=False):
                pass
        elif use == "log":
            spawn_detached([sys.executable, "-c", ""], link)
        else:
            private_file(link, "text")
    assert str(refused.value) == (
        f"{link}: is a symbolic link, but labctl needs a regular file there: remove it"
    )
    assert not target.exists()


def test_a_lock_of_another_user_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    path = home / "a.lock"
    path.touch()
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(EngineError) as refused, claim(path, wait=False):
        pass
    assert str(refused.value) == (
        f"{path}: belongs to another user (uid {owner}): remove it, or set LABCTL_HOME "
        "to a directory of your own"
    )


def test_what_is_no_file_is_refused(home: Path) -> None:
    home.mkdir()
    os.mkfifo(home / "a.lock")
    with pytest.raises(EngineError) as refused, claim(home / "a.lock", wait=False):
        pass
    assert str(refused.value) == (
        f"{home}/a.lock: is not a regular file, but labctl needs one there: remove it"
    )


def test_builders_wait_for_each_other_in_the_state_directory(home: Path) -> None:
    """Not in /tmp, where anybody can be first."""
    with build._exclusively("node", print):
        assert mode(home / "locks" / "images" / "node.lock") == 0o600
        assert not (home.parent / "tmp").exists()
