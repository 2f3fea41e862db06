"""What Keystone's catalog calls services: the official types, by the service types authority."""

from __future__ import annotations

import json

import pytest
from os_service_types import ServiceTypes

from labctl.model.service import ServiceDoc

from .test_catalogue import CATALOGUE, Rendered, shipped

AUTHORITY = ServiceTypes()
UNKNOWN = {
    "metric": "Gnocchi is no project of OpenStack's any more",
    "cloudformation": "the second API of Heat, by its only name",
}
"""Types that the authority does not know, and why they are in the catalog nevertheless."""
NAMED = {name: doc for name, doc in CATALOGUE.items() if doc.catalog}


@pytest.mark.parametrize("doc", NAMED.values(), ids=NAMED)
def test_every_service_is_found_by_its_official_type(doc: ServiceDoc) -> None:
    types = {entry.type for entry in doc.catalog} - set(UNKNOWN)
    assert {AUTHORITY.get_service_type(kind) for kind in types} <= types


def test_clients_of_both_ages_find_block_storage() -> None:
    rendered = Rendered(shipped("three-controller", profile="core"))
    catalog = json.loads(rendered.text("keystone/bootstrap", "/etc/labctl/bootstrap.json"))[
        "catalog"
    ]
    urls = {entry["type"]: entry["url"] for entry in catalog}
    assert urls["block-storage"] == urls["volumev3"]


def test_a_type_is_in_the_catalog_once() -> None:
    types = [entry.type for doc in CATALOGUE.values() for entry in doc.catalog]
    assert len(set(types)) == len(types)


def test_a_role_that_services_hold_is_made_without_those_who_hold_it() -> None:
    """Telemetry's account is one of them; Swift's policies name it in any lab."""
    rendered = Rendered(shipped("three-controller", profile="full"))
    document = json.loads(rendered.text("keystone/bootstrap", "/etc/labctl/bootstrap.json"))
    assert CATALOGUE["swift-proxy"].settings["reseller_role"] in document["roles"]
