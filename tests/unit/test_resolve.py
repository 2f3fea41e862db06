"""From a topology and the catalogue to a lab: choices, order, settings."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from labctl.documents.catalog import load_catalog
from labctl.documents.reader import load, parse, validate
from labctl.errors import InputError
from labctl.model.order import find_cycle, service_order
from labctl.model.service import ServiceDoc
from labctl.model.topology import TopologyDoc
from labctl.resolve.addresses import mac_address
from labctl.resolve.resolution import resolve

DATA = Path(__file__).parents[1] / "data"
TEXT = """
name: small
description: three controllers
nodes:
  c1: {roles: [controller]}
  client: {roles: [client]}
  c2: {roles: [controller]}
  c3: {roles: [controller]}
roles:
  controller: [keystone, keepalived, mariadb, haproxy, memcached]
  client: [toolbox]
"""


@pytest.fixture(scope="module")
def catalog():
    return load_catalog(DATA / "catalogue" / "compose")


def topology(text=TEXT, **changes):
    data, source = parse(text, "x.yml")
    return validate(data | changes, TopologyDoc, source)


def service(**changes):
    minimal = {
        "description": "",
        "image": "base",
        "user": "lab",
        "command": [],
        "ready": {"running": True},
        "memory": "1M",
        "cost": 1,
    }
    return ServiceDoc.model_validate(minimal | changes)


class TestAddresses:
    def test_chosen(self, catalog):
        lab = resolve(topology(), catalog)
        assert [n.address for n in lab.nodes] == [
            "198.18.0.11",
            "198.18.0.100",
            "198.18.0.12",
            "198.18.0.13",
        ]
        assert (lab.subnet, lab.host_address, lab.vip) == (
            "198.18.0.0/24",
            "198.18.0.1",
            "198.18.0.250",
        )

    def test_in_the_subnet_that_the_caller_found_free(self, catalog):
        lab = resolve(topology(), catalog, subnet=IPv4Network("198.18.7.0/24"))
        assert lab.nodes[0].address == "198.18.7.11"

    def test_the_subnet_of_the_topology_comes_first(self, catalog):
        network = {"subnet": "10.1.0.0/16", "vip": "10.1.9.9", "host": "10.1.0.11"}
        lab = resolve(topology(network=network), catalog, subnet=IPv4Network("198.18.7.0/24"))
        assert (lab.vip, lab.host_address) == ("10.1.9.9", "10.1.0.11")
        assert lab.nodes[0].address == "10.1.0.12"

    def test_labctl_goes_round_what_a_person_set(self, catalog):
        nodes = {
            "c1": {"roles": ["controller"]},
            "c2": {"roles": ["controller"], "address": "198.18.0.11"},
            "c3": {"roles": ["controller"], "address": "198.18.0.250"},
            "client": {"roles": ["client"]},
        }
        lab = resolve(topology(nodes=nodes), catalog)
        assert [n.address for n in lab.nodes[:2]] == ["198.18.0.12", "198.18.0.11"]
        assert lab.vip == "198.18.0.251"

    def test_round_from_the_first_nodes_when_the_end_is_taken(self, catalog):
        taken = {
            f"m{i}": {"roles": ["controller"], "address": f"198.18.0.{i}"} for i in range(250, 255)
        }
        nodes = {"client": {"roles": ["client"]}, **taken}
        network = {"subnet": "198.18.0.0/24"}
        assert resolve(topology(nodes=nodes, network=network), catalog).vip == "198.18.0.11"

    def test_a_full_subnet(self, catalog):
        nodes = {f"m{i}": {"roles": ["more"]} for i in range(300)}
        roles = {"client": ["toolbox"], "more": ["memcached"]}
        full = topology(nodes={"client": {"roles": ["client"]}, **nodes}, roles=roles)
        with pytest.raises(InputError, match=r"no address is free in 198\.18\.0\.0/24"):
            resolve(full, catalog)
        lab = resolve(full, catalog, subnet=IPv4Network("198.18.0.0/22"))
        assert len({n.address for n in lab.nodes} | {lab.vip, lab.host_address}) == 303

    def test_mac_is_of_the_address_and_local(self):
        assert mac_address(IPv4Address("198.18.0.11")) == "02:6c:c6:12:00:0b"


class TestServices:
    def test_come_after_what_they_need(self, catalog):
        order = list(resolve(topology(), catalog).services)
        assert order.index("mariadb") < order.index("keystone")
        assert order.index("memcached") < order.index("keystone")
        assert len(order) == 6

    def test_run_on_the_nodes_of_their_roles(self, catalog):
        lab = resolve(topology(), catalog)
        assert [n.name for n in lab.services["mariadb"].nodes] == ["c1", "c2", "c3"]
        assert lab.client.name == "client"

    def test_settings_override_the_defaults(self, catalog):
        lab = resolve(
            topology(
                services={
                    "mariadb": {"flags": ["a"], "note": 3},
                    "keepalived": {"advert_interval": 1},
                }
            ),
            catalog,
        )
        assert lab.services["mariadb"].settings == {
            "max_connections": 256,
            "sst": "rsync",
            "flags": ["a"],
            "note": 3,
        }
        assert lab.services["keepalived"].settings["advert_interval"] == 1
        assert catalog["mariadb"].settings["flags"] == []

    def test_without_lines_errors_name_the_source_given(self, catalog):
        bad = topology(services={"mariadb": {"sst": True}})
        with pytest.raises(InputError) as caught:
            resolve(bad, catalog, source="here.yml")
        assert str(caught.value) == (
            "here.yml: services.mariadb.sst: is True, should be text such as 'rsync' (the default)"
        )

    def test_one_of_a_cluster_is_allowed(self, catalog):
        nodes = {"c1": {"roles": ["controller"]}, "client": {"roles": ["client"]}}
        lab = resolve(topology(nodes=nodes), catalog)
        assert len(lab.services["mariadb"].nodes) == 1


class TestNames:
    def test_the_callers_name_wins(self, catalog):
        lab = resolve(topology(), catalog, name="other")
        assert (lab.name, lab.topology) == ("other", "small")

    @pytest.mark.parametrize("name", ["", "Lab", "a b", "9", "a\nb", "x" * 32])
    def test_bad_name(self, catalog, name):
        with pytest.raises(InputError) as caught:
            resolve(topology(), catalog, name=name)
        assert len(str(caught.value).splitlines()) == 1

    def test_too_long_for_a_container(self, catalog):
        long = catalog | {"a-service-with-a-rather-long-n": service()}
        nodes = {"a-long-node-nam": {"roles": ["x"]}, "client": {"roles": ["client"]}}
        roles = {"x": ["a-service-with-a-rather-long-n"], "client": ["toolbox"]}
        with pytest.raises(InputError) as caught:
            resolve(topology(nodes=nodes, roles=roles), long, name="twenty-letters-or-so")
        assert str(caught.value) == (
            "lab name 'twenty-letters-or-so' is too long: the container "
            "'twenty-letters-or-so-a-long-node-nam-a-service-with-a-rather-long-n' would have 67 "
            "characters of at most 63; use a name of at most 16"
        )
        assert resolve(topology(nodes=nodes, roles=roles), long, name="x" * 16).name == "x" * 16


class TestOrder:
    def test_a_job_of_one_waits_for_anothers(self):
        job = {"name": "db", "description": "", "command": [], "when": "seed"}
        schema = job | {"name": "schema", "when": "before", "needs": ["b/db"]}
        catalog = {"a": service(jobs=[schema]), "b": service(jobs=[job])}
        assert service_order(catalog) == ["b", "a"]

    @pytest.mark.parametrize(
        "needs", [{"a": ["a"]}, {"a": ["b"], "b": ["a"]}, {"a": ["b"], "b": ["c"], "c": ["a"]}]
    )
    def test_a_circle_is_named(self, needs):
        around = find_cycle({name: service(needs=n) for name, n in needs.items()})
        assert around[0] == around[-1]
        assert set(around) == set(needs)

    def test_a_job_before_the_start_cannot_need_one_after_it(self):
        job = {"description": "", "command": []}
        after = job | {"name": "after", "when": "ready"}
        before = job | {"name": "before", "when": "before", "needs": ["a/after"]}
        assert set(find_cycle({"a": service(jobs=[before, after])})) == {"a", "a/before", "a/after"}

    def test_a_job_before_its_own_service_is_ready_cannot_need_it(self):
        job = {"name": "j", "description": "", "command": [], "when": "before", "needs": ["a"]}
        assert set(find_cycle({"a": service(jobs=[job])})) == {"a", "a/j"}


@pytest.mark.parametrize("name", ["three-controller", "segregated", "single"])
def test_shipped_topologies_have_their_names(name):
    path = Path(__file__).parents[2] / "topologies" / f"{name}.yml"
    assert load(path, TopologyDoc).name == name
