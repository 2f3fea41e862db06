"""The Compose document: files by way of one short container, order, ends that Compose accepts."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.engine.port import LABEL, FileEntry
from labctl.planning.composefile import compose
from labctl.planning.staging import SERVICE, Staging, topmost
from tests.unit import labs


@pytest.fixture
def document(tmp_path: Path) -> dict[str, dict[str, dict[str, object]]]:
    return compose(labs.desired(tmp_path))


def test_only_the_topmost_directories_become_volumes() -> None:
    assert topmost(["/etc/a/keys", "/etc/a", "/etc/ab", "/run/x", "/etc/a"]) == [
        "/etc/a",
        "/etc/ab",
        "/run/x",
    ]


def test_a_file_gets_its_owner_and_mode_in_the_volume_that_its_reader_mounts() -> None:
    staging = Staging()
    entry = FileEntry("/etc/a/keys/it's", b"cost: $5\n", 0o400, 907, 908)
    mounts = staging.add("lab-c1-api", [FileEntry("/etc/a/conf", b"x"), entry])
    assert mounts == {"/etc/a": "lab-c1-api-etc-a"}
    configs = staging.configs()
    assert configs["file-1"] == {"content": "cost: $$5\n"}
    assert configs["install"]["content"].splitlines()[2] == (
        "install -D -o 907 -g 908 -m 0400 /in/1 '/out/lab-c1-api-etc-a/keys/it'\"'\"'s'"
    )
    service = staging.service("lab-files", "node:1", {})
    assert service["volumes"] == [
        {
            "type": "volume",
            "source": "lab-c1-api-etc-a",
            "target": "/out/lab-c1-api-etc-a",
            "volume": {"nocopy": True},
        }
    ]


def test_who_has_files_waits_for_them(document: dict) -> None:
    store = document["services"]["c1-store"]
    assert store["depends_on"][SERVICE] == {"condition": "service_completed_successfully"}
    assert "small-c1-store-etc:/etc" in store["volumes"]


def test_only_the_first_instance_gets_the_bootstrap_files(document: dict) -> None:
    services = document["services"]
    bootstrap = "small-c1-store-run-labctl:/run/labctl"
    receivers = [name for name, s in services.items() if bootstrap in s.get("volumes", [])]
    assert receivers == ["c1-store"]


def test_the_client_waits_for_every_job_and_jobs_are_tried_again(document: dict) -> None:
    services = document["services"]
    jobs = [name for name, service in services.items() if "restart" in service]
    assert jobs
    client = services["client-toolbox"]["depends_on"]
    assert all(client[job] == {"condition": "service_completed_successfully"} for job in jobs)


def test_every_volume_is_found_by_the_labs_label(document: dict) -> None:
    assert document["volumes"]
    for name, volume in document["volumes"].items():
        assert volume == {"name": name, "labels": {LABEL: "small"}}


def test_a_disk_of_its_own_is_kept_in_memory_beside_its_instance(tmp_path: Path) -> None:
    document = compose(labs.desired(tmp_path, disk="256M"))
    assert document["volumes"]["small-c1-store-data"] == {
        "name": "small-c1-store-data",
        "labels": {LABEL: "small"},
        "driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": "size=268435456"},
    }
    disk = document["services"]["c1-store-disk"]
    assert disk["volumes"] == ["small-c1-store-data:/data"]
    assert disk["network_mode"] == "none"
    waits = document["services"]["c1-store"]["depends_on"]
    assert waits["c1-store-disk"] == {"condition": "service_started"}


def test_no_secret_or_owner_is_left_to_compose(document: dict) -> None:
    for name, service in document["services"].items():
        assert name == SERVICE or "configs" not in service
    assert not any(
        {"uid", "gid", "mode"} & set(config) for config in document["services"][SERVICE]["configs"]
    )
