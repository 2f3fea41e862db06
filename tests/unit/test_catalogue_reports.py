"""Services that listen on no port: they are ready when their control plane counts them as up."""

from __future__ import annotations

import re
from typing import Any

import pytest

from labctl.documents.catalog import load_catalog
from labctl.errors import InputError
from labctl.planning.composefile import compose
from labctl.planning.desired import build_desired

from .test_catalogue import CATALOGUE, Rendered, shipped

LISTED = (
    "nova-compute",
    "nova-conductor",
    "nova-scheduler",
    "cinder-backup",
    "cinder-scheduler",
    "cinder-volume",
    "heat-engine",
    "neutron-dhcp-agent",
    "neutron-l3-agent",
    "neutron-metadata-agent",
    "neutron-metering-agent",
    "neutron-openvswitch-agent",
)
"""All that `openstack compute|volume|orchestration service list` and `network agent list` show."""


@pytest.fixture(scope="module")
def full() -> Rendered:
    return Rendered(shipped("three-controller", profile="full"))


def questions(rendered: Rendered) -> dict[str, dict[str, Any]]:
    found = {}
    for instance in rendered.lab.instances:
        doc = instance.service.doc.ready
        asked = rendered.renderer.probe(doc, instance.node, instance.service)
        if "reports" in asked:
            found[instance.name] = asked
    return found


def test_whoever_is_in_a_list_is_ready_when_the_list_says_so(full: Rendered) -> None:
    assert {name.partition("/")[2] for name in questions(full)} == set(LISTED)


def test_they_are_asked_for_by_the_names_they_report(full: Rendered) -> None:
    asked = {name: each["reports"] for name, each in questions(full).items()}
    names = {name: (each["process"], each["host"]) for name, each in asked.items()}
    assert names["c2/nova-conductor"] == ("nova-conductor", "c2")
    assert names["cmp1/neutron-openvswitch-agent"] == ("neutron-openvswitch-agent", "cmp1")
    assert names["c1/cinder-volume"] == ("cinder-volume", "lab@nfs")
    for name in asked:
        if name.endswith("cinder-volume"):
            config = full.text(name, "/etc/cinder/cinder.conf")
            assert re.search(r"^backend_host = lab$", config, re.M)
            assert re.search(r"^enabled_backends = nfs$", config, re.M)


def test_a_control_plane_is_asked_one_question_for_all_of_them(full: Rendered) -> None:
    keys = ("port", "user", "password", "query", "within")
    asked = [tuple(each["reports"][key] for key in keys) for each in questions(full).values()]
    assert len(set(asked)) == 4
    assert {each["host"] for each in questions(full).values()} == {full.lab.vip}


@pytest.mark.parametrize(
    ("service", "path", "pattern"),
    [
        ("c1/nova-conductor", "/etc/nova/nova.conf", r"^service_down_time = (\d+)$"),
        ("c1/cinder-scheduler", "/etc/cinder/cinder.conf", r"^service_down_time = (\d+)$"),
    ],
)
def test_they_are_down_when_the_control_plane_says_so(
    service: str, path: str, pattern: str
) -> None:
    settings = {"report_interval": 3, "service_down_time": 11}
    lab = shipped(
        "three-controller", profile="full", **{"nova-api": settings, "cinder-api": settings}
    )
    rendered = Rendered(lab)
    assert re.findall(pattern, rendered.text(service, path), re.M) == ["11"]
    assert questions(rendered)[service]["reports"]["within"] == 11.0


def test_compose_starts_them_and_asks_nothing(full: Rendered) -> None:
    images = {
        role: f"{role}:1"
        for doc in CATALOGUE.values()
        for role in (doc.image, *(job.image for job in doc.jobs if job.image))
    } | {"node": "node:1", "client": "client:1"}
    document = compose(build_desired(full.lab, full.renderer, images, ("lp", "lh")))
    services = document["services"]
    assert "healthcheck" not in services["c1-nova-conductor"]
    waits = services["cmp1-nova-compute"]["depends_on"]
    assert waits["c1-nova-conductor"] == {"condition": "service_started"}


@pytest.mark.parametrize(
    "name", ["nova-scheduler", "nova-conductor", "nova-compute", "sahara-engine"]
)
def test_who_logs_in_to_keystone_at_its_start_comes_after_it(name: str) -> None:
    """Each of them ends when Keystone answers 502 or does not know its account."""
    assert {"keystone", "keystone/bootstrap"} <= set(CATALOGUE[name].needs)


SERVICE = """\
description: an agent
image: controller
user: keystone
command: [run]
ready: {reports: {to: %s}}
memory: 10M
cost: 1
%s
"""
HEARTBEATS = "heartbeats: {port: 3306, query: SELECT 1, within: '20'}"


@pytest.mark.parametrize(
    ("to", "more", "said"),
    [
        (
            "agnet",
            "",
            "agent/service.yml:5: ready.reports.to: no service 'agnet'; did you mean 'agent'?",
        ),
        (
            "other",
            "",
            "agent/service.yml:5: ready.reports.to: 'other' keeps no heartbeats; allowed: api",
        ),
        (
            "api",
            HEARTBEATS,
            "agent/service.yml:8: heartbeats: are read from the service's own database, but it has "
            "none (database:)",
        ),
    ],
)
def test_a_mistake_is_one_sentence_with_its_place(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, to: str, more: str, said: str
) -> None:
    api = SERVICE.replace("{reports: {to: %s}}", "{running: true}") % (
        f"{HEARTBEATS}\ndatabase: {{name: api, user: api}}"
    )
    other = SERVICE.replace("{reports: {to: %s}}", "{running: true}") % ""
    for name, text in {"agent": SERVICE % (to, more), "api": api, "other": other}.items():
        (tmp_path / "compose" / name).mkdir(parents=True)
        (tmp_path / "compose" / name / "service.yml").write_text(text)
    (tmp_path / "images" / "controller").mkdir(parents=True)
    (tmp_path / "images" / "users.yml").write_text("keystone: 907\n")
    monkeypatch.chdir(tmp_path / "compose")
    with pytest.raises(InputError) as caught:
        load_catalog(tmp_path / "compose")
    assert str(caught.value) == said
