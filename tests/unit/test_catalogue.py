"""The shipped catalogue, rendered for the shipped topologies: what its files say."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Network
from itertools import pairwise
from typing import Any

import pytest

from labctl.documents.catalog import load_catalog
from labctl.documents.reader import load_with_source, read_yaml
from labctl.documents.shipped import data_dir
from labctl.engine.port import FileEntry
from labctl.model.lab import Lab
from labctl.model.service import Profile, ServiceDoc
from labctl.model.topology import Choice, TopologyDoc
from labctl.planning.render import Renderer
from labctl.resolve.resolution import resolve
from labctl.resolve.selection import select
from labctl.state.secrets import make_secret, wanted

TOPOLOGIES = ("three-controller", "segregated", "single")
CATALOGUE = load_catalog()
USERS = read_yaml(data_dir("images") / "users.yml")


def shipped(
    name: str,
    subnet: str = "198.18.7.0/24",
    catalogue: Mapping[str, ServiceDoc] = CATALOGUE,
    profile: Profile | None = None,
    **settings: dict[str, Any],
) -> Lab:
    topology, source = load_with_source(data_dir("topologies") / f"{name}.yml", TopologyDoc)
    topology = topology.model_copy(update={"services": settings})
    topology = select(topology, catalogue, Choice(profile=profile), source)
    return resolve(topology, catalogue, subnet=IPv4Network(subnet), source=source)


class Rendered:
    """A lab's files: ``(instance or service/job, path)`` → entry."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.secrets = {name: make_secret(doc) for name, doc in wanted(lab).items()}
        self.renderer = Renderer(lab, self.secrets, USERS, data_dir("compose"))
        self.files: dict[tuple[str, str], FileEntry] = {}
        for instance in lab.instances:
            for bootstrap in (False, True):
                for file in self.renderer.instance_files(instance, bootstrap=bootstrap):
                    self.files[instance.name, file.path] = file
        for service in lab.services.values():
            for job in service.doc.jobs:
                for file in self.renderer.job_files(service, job):
                    self.files[f"{service.name}/{job.name}", file.path] = file

    def text(self, owner: str, path: str) -> str:
        return self.files[owner, path].data.decode()

    def commands(self) -> list[str]:
        words: list[str] = []
        for service in self.lab.services.values():
            doc, node = service.doc, service.nodes[0]
            for command in (doc.command, *(job.command for job in doc.jobs)):
                words += self.renderer.command(command, node, service)
            words += doc.container.environment.values()
        return words


@pytest.fixture(scope="module")
def three() -> Rendered:
    return Rendered(shipped("three-controller"))


@pytest.fixture(scope="module", params=TOPOLOGIES)
def any_lab(request: pytest.FixtureRequest) -> Rendered:
    return Rendered(shipped(request.param, profile="full"))


def test_no_secret_is_in_a_command_or_an_environment(any_lab: Rendered) -> None:
    words = " ".join(any_lab.commands())
    assert not [name for name, value in any_lab.secrets.items() if value in words]


def test_a_file_with_a_secret_is_for_its_owner_only(any_lab: Rendered) -> None:
    for key, file in any_lab.files.items():
        if any(value.encode() in file.data for value in any_lab.secrets.values()):
            assert file.mode == 0o400, key


def test_json_for_the_jobs_is_json(any_lab: Rendered) -> None:
    documents = [f for (_, path), f in any_lab.files.items() if path.endswith(".json")]
    assert len(documents) >= 3
    assert all(json.loads(file.data) for file in documents)


def test_haproxy_serves_on_the_virtual_ip_and_its_own_pages_on_the_node(three: Rendered) -> None:
    config = three.text("c2/haproxy", "/etc/haproxy/haproxy.cfg")
    own, shared = (
        re.findall(r"^ +bind 198.18.7.12:(\S+)$", config, re.M),
        sorted(int(port) for port in re.findall(r"^ +bind 198.18.7.250:(\S+)$", config, re.M)),
    )
    endpoints = [s.doc.endpoint for s in three.lab.services.values() if s.doc.endpoint]
    assert own == ["8405", "8404"]
    assert shared == sorted(endpoint.port for endpoint in endpoints)
    assert len(re.findall("^ +bind ", config, re.M)) == len(own) + len(shared)
    assert f"stats auth labctl:{three.secrets['haproxy.stats']}" in config


def test_haproxy_template_names_no_service() -> None:
    template = (data_dir("compose") / "haproxy" / "haproxy.cfg.j2").read_text()
    words = set(re.findall(r"[a-z]+", template))
    assert not words & set(CATALOGUE) - {"haproxy"}


def test_a_single_endpoint_has_backups_only_and_a_shared_stick_table(three: Rendered) -> None:
    config = three.text("c1/haproxy", "/etc/haproxy/haproxy.cfg")
    section = config.split("listen mariadb")[1].split("listen ")[0]
    servers = re.findall(r"^ +server (.*)$", section, re.M)
    assert len(servers) == 3
    assert all(server.endswith(" backup") for server in servers)
    assert "stick-table type ip size 16 peers lab" in section
    assert "on-marked-down shutdown-sessions" in section
    assert re.search(r"^ +server c1\n +server c2 198.18.7.12:8405$", config, re.M)


def test_haproxy_asks_galera_what_the_ready_probe_asks() -> None:
    doc = CATALOGUE["mariadb"]
    assert doc.endpoint is not None
    assert doc.ready.mysql is not None
    sent = [bytes.fromhex(s.split()[-1]) for s in doc.endpoint.check if "send-binary" in s]
    login, question = sent
    assert login[0] == len(login) - 4
    assert b"monitor\0" in login
    length = int.from_bytes(question[:3], "little")
    assert question[4] == 3  # COM_QUERY
    assert question[5 : 4 + length].decode() == doc.ready.mysql.query
    assert question[4 + length :] == b"\x01\0\0\0\x01"  # COM_QUIT


@pytest.mark.parametrize(("serves", "states"), [(True, "24"), (False, "4")])
def test_haproxy_takes_a_primary_node_only(serves: bool, states: str) -> None:
    rendered = Rendered(shipped("three-controller", mariadb={"donor_serves": serves}))
    config = rendered.text("c1/haproxy", "/etc/haproxy/haproxy.cfg")
    pattern = re.findall(r"tcp-check expect rbinary (\S+)", config)[-1]
    answers = {
        state: bytes([len(row)]) + row.encode()
        for state, row in [(str(n), f"Primary,{n},ON") for n in range(6)]
        + [("minority", "non-Primary,4,ON"), ("not ready", "Primary,4,OFF")]
    }
    taken = [s for s, row in answers.items() if re.search(pattern, row.hex().upper())]
    assert taken == list(states)


def test_keepalived_spreads_priorities_and_prefers_no_one(any_lab: Rendered) -> None:
    texts = [
        file.data.decode()
        for (_, path), file in any_lab.files.items()
        if path == "/etc/keepalived/keepalived.conf"
    ]
    priorities = [int(re.findall(r"priority (\d+)", text)[0]) for text in texts]
    assert priorities[0] == 200
    assert all(a - b >= 50 for a, b in pairwise(priorities))
    assert all(p > 0 for p in priorities)
    assert all("state BACKUP" in t and "nopreempt" in t and "unicast" not in t for t in texts)


def test_keepalived_speaks_unicast_when_told_to() -> None:
    rendered = Rendered(shipped("three-controller", keepalived={"unicast": True}))
    text = rendered.text("c2/keepalived", "/etc/keepalived/keepalived.conf")
    assert "unicast_src_ip 198.18.7.12" in text
    peers = text.split("unicast_peer {")[1].split("}")[0].split()
    assert peers == ["198.18.7.11", "198.18.7.13"]


def test_keepalived_tracks_the_page_that_haproxy_is_probed_by(three: Rendered) -> None:
    text = three.text("c1/keepalived", "/etc/keepalived/keepalived.conf")
    assert "http-check 198.18.7.11 8404 /health" in text


def test_keepalived_asks_nobody_when_that_is_the_mistake_to_be_made() -> None:
    rendered = Rendered(shipped("three-controller", keepalived={"check": False}))
    text = rendered.text("c1/keepalived", "/etc/keepalived/keepalived.conf")
    assert "http-check" not in text and "track_script" not in text
    assert text.count("{") == text.count("}")


def test_haproxy_spreads_the_clients_of_galera_when_that_is_the_mistake_to_be_made() -> None:
    rendered = Rendered(shipped("three-controller", mariadb={"spread_clients": True}))
    config = rendered.text("c1/haproxy", "/etc/haproxy/haproxy.cfg")
    section = config.split("listen mariadb")[1].split("listen ")[0]
    assert "balance leastconn" in section and "stick" not in section
    assert not re.search(r"^ +server .* backup$", section, re.M)
    assert len(re.findall(r"^ +server ", section, re.M)) == 3


@pytest.mark.parametrize(
    ("subnet", "mask"),
    [("198.18.0.0/23", "255.255.254.0"), ("198.18.0.0/16", "255.255.0.0")],
)
def test_database_users_come_from_the_labs_network(subnet: str, mask: str) -> None:
    rendered = Rendered(shipped("single", subnet))
    sql = rendered.text("c1/mariadb", "/etc/labctl/accounts.sql")
    assert f"CREATE OR REPLACE USER 'monitor'@'198.18.0.0/{mask}'" in sql
    assert "'%'" not in sql


def test_galera_listens_and_transfers_on_the_nodes_own_address(three: Rendered) -> None:
    config = three.text("c3/mariadb", "/etc/mysql/mariadb.conf.d/90-labctl.cnf")
    own = "198.18.7.13"
    assert f"bind_address = {own}" in config
    assert f"wsrep_sst_receive_address = {own}:4444" in config
    assert f"gmcast.listen_addr=tcp://{own}:4567;ist.recv_addr={own}:4568" in config
    assert "innodb_flush_log_at_trx_commit = 1" in config
    assert "gcomm://198.18.7.11,198.18.7.12,198.18.7.13" in config


def test_redis_follows_the_seed_at_first(three: Rendered) -> None:
    configs = [three.text(f"c{n}/redis", "/etc/redis/redis.conf") for n in (1, 2, 3)]
    assert ["replicaof 198.18.7.11" in config for config in configs] == [False, True, True]
    assert all("min-replicas-to-write 1" in config for config in configs)


def test_a_lone_redis_needs_no_replica_to_write() -> None:
    config = Rendered(shipped("single")).text("c1/redis", "/etc/redis/redis.conf")
    assert "min-replicas-to-write 0" in config


def test_sentinels_have_ids_of_their_own_and_a_majority(any_lab: Rendered) -> None:
    texts = [f.data.decode() for (_, p), f in any_lab.files.items() if p.endswith("sentinel.conf")]
    ids = [re.findall(r"^sentinel myid ([0-9a-f]{40})$", text, re.M)[0] for text in texts]
    assert len(set(ids)) == len(texts)
    quorum = len(texts) // 2 + 1
    assert all(re.search(rf"^sentinel monitor \S+ \S+ 6379 {quorum}$", t, re.M) for t in texts)


def test_a_new_service_is_registered_by_its_data_alone() -> None:
    keystone = CATALOGUE["keystone"]
    image = keystone.model_validate(
        {
            **keystone.model_dump(exclude={"jobs", "files", "secrets", "row"}),
            "endpoint": {"port": 9292},
            "database": {"name": "glance", "user": "glance"},
            "identity": {"user": "glance"},
            "catalog": [{"type": "image", "name": "glance"}],
        }
    )
    lab = shipped("single")
    service = replace(lab.services["keystone"], name="glance", doc=image)
    rendered = Rendered(replace(lab, services={**lab.services, "glance": service}))
    databases = json.loads(rendered.text("mariadb/databases", "/etc/labctl/databases.json"))
    bootstrap = json.loads(rendered.text("keystone/bootstrap", "/etc/labctl/bootstrap.json"))
    assert [d["names"] for d in databases["databases"]] == [["keystone"], ["glance"]]
    assert bootstrap["users"][0]["password"] == rendered.secrets["glance.identity"]
    assert [e["url"] for e in bootstrap["catalog"]] == [
        "http://198.18.7.250:5000/v3",
        "http://198.18.7.250:9292",
    ]
    config = rendered.text("c1/haproxy", "/etc/haproxy/haproxy.cfg")
    assert "bind 198.18.7.250:9292" in config


def test_schemas_wait_for_every_node_of_galera() -> None:
    """A node that copies another's state while tables are made is left with half of them."""
    for name, doc in CATALOGUE.items():
        for job in doc.jobs:
            assert "mariadb/databases" not in job.needs, name
    assert [job.when for job in CATALOGUE["mariadb"].jobs] == ["ready"]
