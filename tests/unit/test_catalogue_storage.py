"""What the catalogue says of storage, orchestration and what they want of Keystone."""

from __future__ import annotations

import hashlib
import json

import pytest

from labctl.model.service import ServiceDoc

from .test_catalogue import CATALOGUE, Rendered, shipped

SHARE = ("cinder-volume", "cinder-backup")


@pytest.fixture(scope="module")
def full() -> Rendered:
    return Rendered(shipped("three-controller", profile="full"))


def test_every_node_builds_its_rings_from_the_same_document(full: Rendered) -> None:
    texts = {f.data for (_, path), f in full.files.items() if path == "/etc/swift/rings.json"}
    assert len(texts) == 1
    rings = json.loads(texts.pop())
    assert rings["replicas"] == 3
    for kind, port in (("account", 6202), ("container", 6201), ("object", 6200)):
        devices = rings["rings"][kind]
        assert [each["ip"] for each in devices] == [n.address for n in full.lab.nodes[:3]]
        assert {each["port"] for each in devices} == {port}


def test_the_three_servers_of_a_node_have_ports_of_their_own() -> None:
    settings = [CATALOGUE[f"swift-{kind}"].settings for kind in ("account", "container", "object")]
    ports = [each[port] for each in settings for port in ("port", "rsync_port")]
    assert len(set(ports)) == len(ports)


def test_what_a_storage_server_runs_is_configured(full: Rendered) -> None:
    for kind in ("account", "container", "object"):
        doc: ServiceDoc = CATALOGUE[f"swift-{kind}"]
        config = full.text(f"c1/swift-{kind}", f"/etc/swift/{kind}-server.conf")
        program, server, *daemons, rsyncd = doc.command
        assert (program, server, rsyncd) == ("swift-start", kind, "rsyncd")
        assert daemons == doc.settings["daemons"]
        assert all(f"[{daemon}]" in config for daemon in daemons)


def test_the_share_is_where_its_driver_looks_for_it() -> None:
    settings = CATALOGUE["cinder-volume"].settings
    share = f"{settings['share_host']}:{settings['share_path']}"
    digest = hashlib.md5(share.encode(), usedforsecurity=False).hexdigest()
    for name in SHARE:
        volumes = CATALOGUE[name].container.lab_volumes
        assert volumes == {"volumes": f"{settings['mount_base']}/{digest}"}


def test_a_volume_has_the_same_owner_wherever_cinder_volume_runs(full: Rendered) -> None:
    config = full.text("c1/cinder-volume", "/etc/cinder/cinder.conf")
    assert "backend_host = lab\n" in config
    assert CATALOGUE["cinder-volume"].active == "one"


def test_keystone_makes_the_roles_and_the_domain_that_heat_asks_for(full: Rendered) -> None:
    bootstrap = json.loads(full.text("keystone/bootstrap", "/etc/labctl/bootstrap.json"))
    assert {"heat_stack_owner", "heat_stack_user"} <= set(bootstrap["roles"])
    assert bootstrap["domains"] == [
        {
            "name": "heat",
            "admin": "heat_domain_admin",
            "password": full.secrets["heat-api.domain"],
            "roles": ["admin"],
        }
    ]
    config = full.text("c1/heat-engine", "/etc/heat/heat.conf")
    assert f"stack_domain_admin_password = {full.secrets['heat-api.domain']}" in config


def test_horizons_share_key_and_sessions(full: Rendered) -> None:
    texts = {
        f.data
        for (owner, path), f in full.files.items()
        if owner.endswith("/horizon") and path.endswith("local_settings.py")
    }
    assert len(texts) == 1
    text = texts.pop().decode()
    compile(text, "local_settings.py", "exec")
    assert all(f'"{node.address}:11211"' in text for node in full.lab.nodes[:3])
