"""Building, finding and pruning images on an engine in memory."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from labctl.engine.port import ContainerSpec, Engine
from labctl.errors import EngineError
from labctl.host import process
from labctl.images import base, build, downloads
from tests.fakes.engine import FakeEngine

VERSIONS = "nftables 1.0.6-2\nprocps 2:4.0.2-3\n"


class Builder(FakeEngine):
    """Keeps the Dockerfiles it built, and has the versions file in every container."""

    def __init__(self) -> None:
        super().__init__()
        self.dockerfiles: dict[str, str] = {}
        self.pulled: list[str] = []

    def pull(self, tag: str) -> bool:
        self.pulled.append(tag)
        return super().pull(tag)

    def build(
        self, context: bytes, tag: str, labels: Mapping[str, str], *, fresh: bool = False
    ) -> Iterator[str]:
        with tarfile.open(fileobj=io.BytesIO(context)) as archive:
            file = archive.extractfile("Dockerfile")
            assert file is not None
            self.dockerfiles[tag] = file.read().decode()
        yield from super().build(context, tag, labels, fresh=fresh)

    def read_file(self, name: str, path: str) -> bytes | None:
        return VERSIONS.encode() if path == "/usr/share/labctl/versions" else None


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Builder:
    """A machine with a registry in reach and no downloads."""
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path))
    monkeypatch.setattr(downloads.Source, "read", lambda *_: b"")
    made = Builder()
    made.registry.add("debian:bookworm-slim")
    return made


def test_an_image_stands_on_the_base_and_tells_its_versions(builder: Builder) -> None:
    tag = build.build(builder, "zed", "node")
    assert tag == build.image_tags("zed")["node"]
    image = builder.image(tag)
    assert image is not None
    assert image.labels["labctl.image"] == "node"
    assert image.labels["labctl.release"] == "zed"
    assert json.loads(image.labels["labctl.versions"]) == {
        "nftables": "1.0.6-2",
        "procps": "2:4.0.2-3",
    }
    assert float(image.labels["labctl.seconds"]) >= 0
    assert builder.dockerfiles[tag] == f"FROM {tag}-unlabelled\n"


def test_figures_are_of_the_image_and_of_what_it_adds(builder: Builder) -> None:
    assert build.figures(builder, "zed", ["node"]) == {}
    build.build(builder, "zed", "node")
    figures = build.figures(builder, "zed", ["node", "client"])
    assert list(figures) == ["node"]
    assert figures["node"]["size"] == 1 << 20
    assert figures["node"]["own"] == 0
    assert figures["node"]["seconds"] is not None


def test_nothing_is_left_of_a_build_but_the_image_and_its_base(builder: Builder) -> None:
    tag = build.build(builder, "zed", "node")
    left = {name for image in builder.images("labctl.image") for name in image.tags}
    assert left == {tag, base.base_definition("zed").tag}
    assert builder.containers() == []


def test_what_is_there_is_not_built_again(builder: Builder) -> None:
    assert build.build_all(builder, "zed") == sorted(build.roles())
    before = list(builder.calls)
    assert build.build_all(builder, "zed") == []
    assert builder.calls == before


def test_a_refresh_builds_again_what_is_there_and_all_beneath_it(builder: Builder) -> None:
    build.build_all(builder, "zed")
    builder.calls.clear()
    assert build.refresh(builder, "zed", ["controller"]) == ["openstack", "controller"]
    tags = build.image_tags("zed")
    made = [name for method, name in builder.calls if method == "build afresh"]
    assert made == [
        base.base_definition("zed").tag,
        f"{tags['openstack']}-unlabelled",
        f"{tags['controller']}-unlabelled",
    ]
    assert builder.pulled == ["debian:bookworm-slim"] * 2
    assert build.missing(builder, "zed") == []


def test_a_refresh_of_all_builds_each_once_after_what_it_is_built_on(builder: Builder) -> None:
    order = build.refresh(builder, "zed")
    assert sorted(order) == build.roles()
    known = build.definitions("zed")
    for role in order:
        beneath = known[role].base
        assert beneath == "base" or order.index(beneath) < order.index(role)


def test_packages_are_as_old_as_the_oldest_image_beneath(builder: Builder) -> None:
    assert build.package_dates(builder, "zed") == {}
    build.build(builder, "zed", "controller")
    build.build(builder, "zed", "node")
    day = {"base": 9, "openstack": 3, "controller": 12, "node": 12}
    for tag, image in list(builder._images.items()):
        role = image.labels.get("labctl.image", "base")
        created = datetime(2026, 1, day[role], tzinfo=UTC)
        builder._images[tag] = replace(image, created=created)
    assert {role: at.day for role, at in build.package_dates(builder, "zed").items()} == {
        "openstack": 3,
        "controller": 3,
        "node": 9,
    }


def test_the_base_is_built_once_for_all(builder: Builder) -> None:
    build.build_all(builder, "zed")
    tag = base.base_definition("zed").tag
    assert [name for method, name in builder.calls if (method, name) == ("build", tag)] == [tag]


def test_two_at_once_build_it_once(builder: Builder) -> None:
    """As two processes do: the lock is not of this one."""
    tag = build.image_tags("zed")["node"]
    lines: list[str] = []
    held, go = threading.Event(), threading.Event()

    def other() -> None:
        with build._exclusively("node", lines.append):
            held.set()
            go.wait(5)
            builder.add_image(tag, {"labctl.image": "node"})

    first = threading.Thread(target=other)
    first.start()
    assert held.wait(5)
    second = threading.Thread(target=build.build, args=(builder, "zed", "node", lines.append))
    second.start()
    while not lines:
        second.join(0.01)
    go.set()
    first.join()
    second.join()
    assert lines == ["another labctl is building image node: waiting for it"]
    assert not [call for call in builder.calls if call[0] == "build"]


def test_only_the_wanted_roles_are_built(builder: Builder) -> None:
    lines: list[str] = []
    assert build.build_all(builder, "zed", ["node"], lines.append) == ["node"]
    assert build.missing(builder, "zed", ["node", "client"]) == ["client"]
    assert any(line.startswith("node: Successfully tagged") for line in lines)


def test_a_build_that_is_cut_short_leaves_the_image_missing(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(_: ContainerSpec) -> str:
        raise EngineError("the engine went away")

    with monkeypatch.context() as patch, pytest.raises(EngineError):
        patch.setattr(builder, "create", create)
        build.build(builder, "zed", "node")
    assert build.missing(builder, "zed", ["node"]) == ["node"]
    build.build(builder, "zed", "node")
    assert build.missing(builder, "zed", ["node"]) == []


def test_pruning_keeps_what_is_current_or_used(builder: Builder) -> None:
    build.build(builder, "zed", "node")
    for tag in ("labctl/node:zed-old", "labctl/node:zed-older"):
        builder.add_image(tag, {"labctl.image": "node"})
    builder.add_image("theirs:1")
    builder.create(
        ContainerSpec(name="x-c1", image="labctl/node:zed-old", labels={"labctl.lab": "x"})
    )
    assert build.prune(builder, build.current_tags("zed")) == ["labctl/node:zed-older"]
    assert builder.image("labctl/node:zed-old")
    assert builder.image("theirs:1")
    assert build.missing(builder, "zed", ["node"]) == []


def test_pruning_takes_bases_last_and_passes_over_what_the_engine_refuses(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def remove(image_id: str) -> None:
        asked.append(image_id)
        raise EngineError("image is in use")

    builder.add_image("labctl/base:zed-old", {"labctl.image": "base"})
    builder.add_image("labctl/node:zed-old", {"labctl.image": "node"})
    monkeypatch.setattr(builder, "remove_image", remove)
    assert build.prune(builder, ()) == []
    ids = [builder.image(tag) for tag in ("labctl/node:zed-old", "labctl/base:zed-old")]
    assert asked == [image.id for image in ids if image]


def test_an_interrupt_waits_for_no_build_and_begins_no_other(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    released = threading.Event()

    def slow(_engine: Engine, _release: str, role: str, _report: build.Report) -> str:
        begun.append(role)
        assert released.wait(20)
        return role

    def interrupted(_future: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "build", slow)
    monkeypatch.setattr("concurrent.futures.Future.result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build.build_all(builder, "zed")
    assert not released.is_set()
    released.set()
    assert len(begun) <= 2


class Programs:
    """The machine's programs: which there are, and what was run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *present: str) -> None:
        self.ran: list[Sequence[str]] = []
        self.fails = ""
        monkeypatch.setattr(process, "which", lambda name: name if name in present else None)
        monkeypatch.setattr(process, "stream", self._stream)

    def _stream(self, argv: Sequence[str]) -> Iterator[str]:
        self.ran.append(argv)
        if argv[0] == self.fails:
            yield "E: cannot reach the mirror"
            raise EngineError(f"{argv[0]} failed with exit code 1")
        for word in argv:
            if word.endswith(".tar"):
                Path(word).touch()
        yield "done"


def test_without_a_registry_the_base_is_bootstrapped(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder.registry.clear()
    programs = Programs(monkeypatch, "mmdebstrap", "debootstrap")
    lines: list[str] = []
    tag = base.ensure_base(builder, "zed", lines.append)
    assert [argv[0] for argv in programs.ran] == ["mmdebstrap"]
    assert "FROM labctl/root:bookworm" in builder.dockerfiles[tag]
    assert lines[:2] == [
        "pulling debian:bookworm-slim",
        "debian:bookworm-slim cannot be pulled: bootstrapping it from Debian's packages",
    ]


def test_debootstrap_is_the_second_choice(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder.registry.clear()
    programs = Programs(monkeypatch, "debootstrap")
    base.ensure_base(builder, "zed", print)
    assert [argv[0] for argv in programs.ran] == ["debootstrap", "tar"]


def test_an_image_that_is_there_is_not_pulled(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder.add_image("debian:bookworm-slim")
    monkeypatch.setattr(builder, "pull", lambda tag: pytest.fail(f"{tag} was pulled"))
    tag = base.ensure_base(builder, "zed", print)
    assert "FROM debian:bookworm-slim" in builder.dockerfiles[tag]


def test_neither_registry_nor_bootstrap_program(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder.registry.clear()
    Programs(monkeypatch)
    with pytest.raises(EngineError) as raised:
        base.ensure_base(builder, "zed", print)
    assert str(raised.value) == (
        "the base image can neither be pulled nor bootstrapped: no registry that has it can be "
        "reached, and neither mmdebstrap nor debootstrap is installed (apt install mmdebstrap)"
    )


def test_a_bootstrap_that_fails_says_why(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    builder.registry.clear()
    Programs(monkeypatch, "mmdebstrap").fails = "mmdebstrap"
    with pytest.raises(EngineError) as raised:
        base.ensure_base(builder, "zed", lambda _line: None)
    assert str(raised.value).startswith(
        "mmdebstrap cannot make the base image: E: cannot reach the mirror (a user other than root"
    )
