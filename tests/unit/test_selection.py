"""Which services of a topology a lab gets, and what is said when they do not go together."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.documents.source import Source
from labctl.errors import InputError
from labctl.model.service import ServiceDoc
from labctl.model.topology import Choice, TopologyDoc
from labctl.resolve.selection import select
from tests.unit.labs import service

CATALOGUE: dict[str, ServiceDoc] = {
    "toolbox": service(profile="support"),
    "store": service(profile="support"),
    "haproxy": service(profile="support"),
    "keepalived": service(profile="support", needs=["haproxy"]),
    "identity": service(profile="support", needs=["store"], endpoint={"port": 5000}),
    "compute-api": service(profile="core", needs=["identity", "bus"], endpoint={"port": 8774}),
    "bus": service(profile="full"),
    "hypervisor": service(profile="core", needs=["compute-api"]),
    "meter": service(profile="full", needs=["bus"]),
    "keys": service(needs=["vault", "identity"]),
    "vault": service(),
    "island": service(),
}
ROLES = {
    "controller": ["store", "haproxy", "keepalived", "identity", "compute-api", "bus", "meter"],
    "compute": ["hypervisor"],
    "client": ["toolbox"],
}


def topology(**changes: Any) -> TopologyDoc:
    nodes = {
        "c1": {"roles": ["controller"]},
        "n1": {"roles": ["compute"]},
        "both": {"roles": ["controller", "compute"]},
        "client": {"roles": ["client"]},
    }
    data = {"name": "small", "description": "d", "nodes": nodes, "roles": ROLES} | changes
    return TopologyDoc.model_validate(data)


def chosen(changes: dict[str, Any] | None = None, **choice: Any) -> TopologyDoc:
    wanted = Choice.model_validate(choice)
    return select(topology(**changes or {}), CATALOGUE, wanted, Source("x.yml"))


def refused(changes: dict[str, Any] | None = None, **choice: Any) -> str:
    with pytest.raises(InputError) as raised:
        chosen(changes, **choice)
    return str(raised.value)


def test_all_of_it_is_the_default() -> None:
    assert chosen() == topology()


def test_a_profile_leaves_out_services_then_roles_then_nodes() -> None:
    support = chosen(profile="support")
    assert support.profile == "support"
    assert support.roles == {
        "controller": ("store", "haproxy", "keepalived", "identity"),
        "client": ("toolbox",),
    }
    assert {name: node.roles for name, node in support.nodes.items()} == {
        "c1": ("controller",),
        "both": ("controller",),
        "client": ("client",),
    }


def test_the_topology_has_a_profile_of_its_own() -> None:
    assert chosen({"profile": "support"}) == chosen(profile="support").model_copy()
    assert chosen({"profile": "support"}, profile="full").profile == "full"


def test_what_is_needed_comes_along_though_its_profile_is_larger() -> None:
    core = chosen(profile="core")
    assert core.roles["controller"] == (
        "store",
        "haproxy",
        "keepalived",
        "identity",
        "compute-api",
        "bus",
    )
    assert "n1" in core.nodes


def test_settings_of_what_is_left_out_are_left_out() -> None:
    settings = {"services": {"meter": {}, "store": {}, "never": {}}}
    assert set(chosen(settings, profile="core").services) == {"store", "never"}


def test_what_is_added_brings_its_needs_into_its_role() -> None:
    made = chosen(profile="support", add={"keys": "controller"})
    assert made.roles["controller"][-2:] == ("keys", "vault")


def test_a_role_that_is_evident_need_not_be_said() -> None:
    assert chosen(add={"keys": None}).roles["controller"][-2:] == ("keys", "vault")
    listed = chosen(profile="support", add={"hypervisor": None})
    assert listed.roles["compute"] == ("hypervisor",)
    assert "compute-api" in listed.roles["controller"]


def test_a_document_may_add_and_drop() -> None:
    made = chosen({"add": {"controller": ["keys"]}, "drop": ["meter"], "profile": "support"})
    assert made.roles["controller"] == (
        "store",
        "haproxy",
        "keepalived",
        "identity",
        "keys",
        "vault",
    )
    assert "meter" not in chosen({"drop": ["meter"]}).roles["controller"]
    assert (made.add, made.drop) == ({}, ())


def test_the_command_line_wins() -> None:
    assert "meter" in chosen({"drop": ["meter"]}, add={"meter": None}).roles["controller"]
    kept = chosen({"add": {"controller": ["keys"]}}, drop=["keys"])
    assert not {"keys", "vault"} & set(kept.roles["controller"])


@pytest.mark.parametrize(
    ("changes", "choice", "said"),
    [
        (
            {},
            {"drop": ["store"]},
            "--without store: identity needs it; add '--without identity', or keep it",
        ),
        (
            {},
            {"drop": ["haproxy"]},
            "--without haproxy: keepalived needs it; add '--without keepalived', or keep it",
        ),
        (
            {"drop": ["bus", "meter"]},
            {},
            "x.yml: drop[0]: compute-api needs bus; drop compute-api too, or keep bus",
        ),
        ({"drop": ["stor"]}, {}, "x.yml: drop[0]: no role lists 'stor'; did you mean 'store'?"),
        ({}, {"drop": ["stor"]}, "--without stor: no role lists it; did you mean 'store'?"),
        (
            {"add": {"control": ["keys"]}},
            {},
            "x.yml: add.control: no role 'control'; did you mean 'controller'?",
        ),
        (
            {"add": {"controller": ["key"]}},
            {},
            "x.yml: add.controller[0]: no service 'key'; did you mean 'keys'?",
        ),
        ({}, {"add": {"key": None}}, "--with key: no service 'key'; did you mean 'keys'?"),
        (
            {},
            {"add": {"keys": "computes"}},
            "--with keys:computes: no role 'computes'; did you mean 'compute'?",
        ),
        (
            {},
            {"add": {"island": None}},
            "--with island: cannot tell which role should get it; "
            "use --with island:ROLE (roles: controller, compute, client)",
        ),
        (
            {},
            {"add": {"meter": None}, "drop": ["meter"]},
            "--with and --without both name meter; keep one",
        ),
        (
            {},
            {"drop": ["toolbox"]},
            "nothing is left of the role 'client', from which the lab is probed; keep toolbox",
        ),
    ],
)
def test_what_does_not_go_together(
    changes: dict[str, Any], choice: dict[str, Any], said: str
) -> None:
    assert refused(changes, **choice) == said


def test_a_choice_changes_what_it_speaks_of() -> None:
    first = Choice(profile="core", add={"keys": "controller"}, drop=("meter",))
    assert first.updated_by(Choice()) == first
    later = first.updated_by(Choice(add={"meter": None}, drop=("keys",)))
    assert later == Choice(profile="core", add={"meter": None}, drop=("keys",))
    assert first.updated_by(Choice(profile="full")).profile == "full"
