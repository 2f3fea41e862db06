"""Files from pinned wheels: checked, cached, and replaceable by a person's own."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from labctl.errors import EngineError, InputError
from labctl.host import process
from labctl.host.process import Completed
from labctl.images import downloads
from labctl.model.image import FetchDoc


def wheel(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("pkg/bin/tool"), content)
    return buffer.getvalue()


GOOD = wheel(b"the tool")
DOC = FetchDoc(
    name="tool",
    wheel="pkg==1.0",
    sha256=hashlib.sha256(GOOD).hexdigest(),
    member="pkg/bin/tool",
    instead="LABCTL_TOOL",
)


class Pip:
    """A pip that delivers what it is given, and counts."""

    def __init__(self, delivers: bytes, code: int = 0, stderr: str = "") -> None:
        self.delivers, self.code, self.stderr, self.calls = delivers, code, stderr, 0

    def __call__(self, argv: Sequence[str], **_: object) -> Completed:
        self.calls += 1
        assert argv[-1] == "pkg==1.0"
        directory = Path(argv[argv.index("--dest") + 1])
        if self.code == 0:
            (directory / "pkg-1.0-py3-none-any.whl").write_bytes(self.delivers)
        return Completed(self.code, "", self.stderr)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path / "home"))


def read(monkeypatch: pytest.MonkeyPatch, pip: Pip) -> bytes:
    monkeypatch.setattr(process, "run", pip)
    return downloads.source(DOC).read(lambda _line: None)


def test_a_wheel_is_downloaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pip = Pip(GOOD)
    assert [read(monkeypatch, pip) for _ in range(2)] == [b"the tool"] * 2
    assert pip.calls == 1


def test_a_damaged_cache_is_downloaded_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pip = Pip(GOOD)
    read(monkeypatch, pip)
    (kept,) = (tmp_path / "home" / "cache").glob("*.whl")
    kept.write_bytes(GOOD[:-1])
    assert read(monkeypatch, pip) == b"the tool"
    assert pip.calls == 2


def test_another_content_than_the_pinned_is_refused_and_not_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(EngineError, match=r"^pkg==1.0 is not the pinned file: its SHA-256 is "):
        read(monkeypatch, Pip(wheel(b"something else")))
    assert not list((tmp_path / "home" / "cache").iterdir())


def test_pip_that_fails_is_one_sentence_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    pip = Pip(b"", code=1, stderr="WARNING: x\nERROR: No matching distribution found for pkg\n")
    with pytest.raises(EngineError) as raised:
        read(monkeypatch, pip)
    assert str(raised.value) == (
        "pip cannot download pkg==1.0 (ERROR: No matching distribution found for pkg); set "
        "LABCTL_TOOL to a file 'tool' or a Debian package of it to use that instead"
    )


@pytest.mark.parametrize("named", ["tool", "."])
def test_an_own_file_is_used_instead(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str
) -> None:
    (tmp_path / "tool").write_bytes(b"mine")
    monkeypatch.setenv("LABCTL_TOOL", str(tmp_path / named))
    source = downloads.source(DOC)
    assert (source.filename, source.read(print)) == ("tool", b"mine")


def test_an_own_file_that_changes_has_another_identity(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tool").write_bytes(b"mine")
    monkeypatch.setenv("LABCTL_TOOL", str(tmp_path))
    before = downloads.source(DOC).identity
    (tmp_path / "tool").write_bytes(b"mine, newer")
    assert downloads.source(DOC).identity != before


def test_an_own_package_keeps_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tool_2.0_amd64.deb").write_bytes(b"deb")
    monkeypatch.setenv("LABCTL_TOOL", str(tmp_path))
    assert downloads.source(DOC).filename == "tool_2.0_amd64.deb"


@pytest.mark.parametrize("packages", [[], ["a.deb", "b.deb"]])
def test_an_own_path_that_holds_no_such_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, packages: list[str]
) -> None:
    for name in packages:
        (tmp_path / name).touch()
    monkeypatch.setenv("LABCTL_TOOL", str(tmp_path))
    with pytest.raises(InputError) as raised:
        downloads.source(DOC)
    assert str(raised.value) == (
        f"LABCTL_TOOL={tmp_path} must name a file 'tool', one Debian package of it, or a "
        "directory that holds one of them"
    )


def test_a_wheel_for_the_images_python_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Sequence[str]] = []

    class Listening(Pip):
        def __call__(self, argv: Sequence[str], **options: object) -> Completed:
            asked.append(argv)
            return super().__call__(argv, **options)

    monkeypatch.setattr(process, "run", Listening(GOOD))
    doc = DOC.model_copy(update={"python": "3.11"})
    assert downloads.source(doc).read(lambda _line: None) == b"the tool"
    said = " ".join(asked[0])
    assert "--python-version 3.11 --implementation cp --abi cp311 --platform manylinux2014_" in said
