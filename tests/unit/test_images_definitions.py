"""Image definitions: what a tag depends on, and what a build context holds."""

from __future__ import annotations

import io
import re
import shutil
import tarfile
from pathlib import Path

import pytest

from labctl.documents import images, shipped
from labctl.errors import InputError
from labctl.images import build, definitions, downloads

SHIPPED = shipped.data_dir("images")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped definitions that a test may change."""
    copy = tmp_path / "images"
    shutil.copytree(SHIPPED, copy)
    monkeypatch.setattr(shipped, "data_dir", lambda _kind: copy)
    return copy


def test_there_is_a_tag_for_every_role() -> None:
    tags = build.image_tags("zed")
    assert {"client", "controller", "database", "loadbalancer", "messaging", "node"} <= set(tags)
    assert "base" not in tags
    for role, tag in tags.items():
        assert re.fullmatch(rf"labctl/{role}:zed-[0-9a-f]{{12}}", tag)
    assert build.image_tags("zed") == tags


def test_a_changed_file_changes_its_own_image_only(directory: Path) -> None:
    before = build.image_tags("zed")
    (directory / "node" / "holder").write_text("#!/bin/sh\n")
    after = build.image_tags("zed")
    assert {role for role in before if before[role] != after[role]} == {"node"}


def test_an_image_that_others_are_built_on_changes_those(directory: Path) -> None:
    before = build.image_tags("zed")
    (directory / "openstack" / "wsgi-start").write_text("#!/bin/sh\n")
    after = build.image_tags("zed")
    changed = {role for role in before if before[role] != after[role]}
    clocked = {"controller-clock"}
    assert changed == {"openstack", "controller", "network", "storage", "compute"} | clocked


def test_images_that_are_built_on_each_other(directory: Path) -> None:
    (directory / "openstack" / "image.yml").write_text("base: network\n")
    with pytest.raises(InputError) as caught:
        build.image_tags("zed")
    assert "is itself built on this image" in str(caught.value)
    assert str(directory) in str(caught.value)


def test_an_image_that_is_built_on_none_there_is(directory: Path) -> None:
    (directory / "network" / "image.yml").write_text("base: opnstack\n")
    with pytest.raises(InputError, match=r"image\.yml: base: no image 'opnstack'; choose"):
        build.image_tags("zed")


def test_a_mode_counts_as_content(directory: Path) -> None:
    before = build.image_tags("zed")["node"]
    (directory / "node" / "holder").chmod(0o644)
    assert build.image_tags("zed")["node"] != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("users.yml", "lab: 908", "lab: 909"),
        ("base/apt-lean", "Retries", "Attempts"),
        ("releases.yml", "debian:bookworm-slim", "debian:bookworm"),
    ],
)
def test_a_changed_base_changes_every_image(directory: Path, name: str, old: str, new: str) -> None:
    before = build.image_tags("zed")
    path = directory / name
    path.write_text(path.read_text().replace(old, new))
    after = build.image_tags("zed")
    assert all(before[role] != after[role] for role in before)


def test_a_changed_pin_changes_the_image(directory: Path) -> None:
    before = build.image_tags("zed")["database"]
    path = directory / "database" / "image.yml"
    path.write_text(re.sub(r"sha256: \S+", "sha256: " + "a" * 64, path.read_text()))
    assert build.image_tags("zed")["database"] != before


def test_python_caches_count_for_nothing(directory: Path) -> None:
    before = build.image_tags("zed")["client"]
    cache = directory / "client" / "prober" / "__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "watch.cpython-311.pyc").write_bytes(b"\0")
    assert build.image_tags("zed")["client"] == before


def test_the_base_tag_is_the_same_pulled_or_bootstrapped() -> None:
    bootstrapped = definitions.base_definition("zed", "labctl/root:bookworm")
    assert bootstrapped.dockerfile.splitlines()[1] == "FROM labctl/root:bookworm"
    assert definitions.base_definition("zed").dockerfile.splitlines()[1].endswith("-slim")


def test_an_own_file_instead_of_the_wheel_changes_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = definitions.definition("database", "zed")
    (tmp_path / "mongodb-org-server.deb").write_bytes(b"!<arch>\n")
    monkeypatch.setenv("LABCTL_MONGOD", str(tmp_path))
    after = definitions.definition("database", "zed")
    assert after.tag != before.tag
    assert "COPY mongod /usr/bin/mongod" in before.dockerfile
    assert "apt-install /tmp/mongodb-org-server.deb" in after.dockerfile


def test_the_context_is_a_tar_that_never_varies() -> None:
    node = definitions.definition("node", "zed")
    packed = node.context({})
    assert packed == definitions.definition("node", "zed").context({})
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        modes = {entry.name: entry.mode for entry in archive}
        dockerfile = archive.extractfile("Dockerfile")
        assert dockerfile is not None
        assert f"FROM {definitions.base_definition('zed').tag}" in dockerfile.read().decode()
    assert modes == {"Dockerfile": 0o644, "holder": 0o755}


def test_downloads_join_the_context_as_programs() -> None:
    packed = definitions.definition("database", "zed").context({"mongod": b"ELF"})
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert archive.getmember("mongod").mode == 0o755
        names = archive.getnames()
    assert {"mariadb-start", "redis-start", "sentinel-start"} <= set(names)
    assert not {"image.yml", "Dockerfile.j2"} & set(names)


def test_every_user_is_made_before_any_package_with_its_fixed_id() -> None:
    dockerfile = definitions.base_definition("zed").dockerfile
    assert "useradd --system --uid 902 --gid 902 --home-dir /var/lib/mysql" in dockerfile
    assert "apt-install " not in dockerfile.split("RUN")[1]


def test_unknown_release_and_role() -> None:
    with pytest.raises(InputError, match=r"^unknown release 'liberty'; .*releases.yml has: zed$"):
        build.image_tags("liberty")
    with pytest.raises(
        InputError, match=r"^unknown image role 'base'; choose from browser, client, "
    ):
        definitions.definition("base", "zed")


def test_sources_are_chosen_without_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object) -> bytes:
        raise AssertionError("a tag must not need a download")

    monkeypatch.setattr(downloads.Source, "read", read)
    build.image_tags("zed")


def test_a_user_of_one_image_is_made_first_and_known_to_all(directory: Path) -> None:
    before = build.image_tags("zed")
    (directory / "network" / "image.yml").write_text("base: openstack\nusers: {barbican: 950}\n")
    after = build.image_tags("zed")
    assert {role for role in before if before[role] != after[role]} == {"network"}
    lines = definitions.definition("network", "zed").dockerfile.splitlines()
    made = next(number for number, line in enumerate(lines) if line.startswith("FROM ")) + 1
    assert lines[made].startswith("RUN groupadd --system --gid 950 barbican && useradd ")
    assert images.user_ids()["barbican"] == 950
    assert images.user_ids()["lab"] == 908


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ("barbican: 908", "users.barbican: the id 908 is taken by lab; see "),
        ("lab: 950", "users.lab: has another id elsewhere; see "),
        ("barbican: 1000", "users.barbican: is 1000, should be a whole number, at least 900"),
    ],
)
def test_ids_of_users_are_their_own(directory: Path, user: str, said: str) -> None:
    (directory / "network" / "image.yml").write_text(f"base: openstack\nusers: {{{user}}}\n")
    with pytest.raises(InputError) as caught:
        images.user_ids()
    assert said in str(caught.value)
