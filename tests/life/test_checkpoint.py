"""A lab's data saved, and a second lab started from them beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import yaml

from labctl.engine.port import Engine
from tests.lab.command import Labctl
from tests.lab.remains import remains

CHECKPOINT, OTHER = "lab-test-data", "lab-test-b"
QUEUE = """
import json, sys
import pika
document = json.load(sys.stdin)
where = pika.ConnectionParameters(
    document["host"],
    credentials=pika.PlainCredentials(document["user"], document["password"]),
)
with pika.BlockingConnection(where) as connection:
    channel = connection.channel()
    if document["put"]:
        channel.queue_declare("kept", durable=True, arguments={"x-queue-type": "quorum"})
        channel.confirm_delivery()
        channel.basic_publish(
            "", "kept", document["put"].encode(), pika.BasicProperties(delivery_mode=2)
        )
    else:
        print(channel.basic_get("kept")[2].decode())
"""
DOCUMENTS = """
import json, sys
import pymongo
document = json.load(sys.stdin)
client = pymongo.MongoClient(
    document["hosts"], replicaSet="rs0", username="root", password=document["password"]
)
kept = client.test.get_collection("kept", write_concern=pymongo.WriteConcern("majority"))
if document["put"]:
    kept.insert_one({"_id": document["put"]})
else:
    print(json.dumps([each["_id"] for each in kept.find()]))
"""


class Data:
    """What is in the stores of a lab."""

    def __init__(self, labctl: Labctl, lab: str) -> None:
        self._labctl, self._lab = labctl, lab
        self.status = labctl.status(lab)
        directory = labctl.home / "labs" / lab
        self.secrets = dict(yaml.safe_load((directory / "secrets.yml").read_text()))
        self.addresses = {node["name"]: node["address"] for node in self.status["nodes"]}

    def _exec(self, instance: str, *words: str) -> str:
        return self._labctl("exec", "--lab", self._lab, instance, "--", *words).out.strip()

    def _python(self, script: str, document: dict[str, object]) -> str:
        done = self._labctl(
            *("exec", "--lab", self._lab, "-i", "client/toolbox", "--", "python3", "-c", script),
            stdin=json.dumps(document),
        )
        return done.out.strip()

    def sql(self, text: str, node: str = "c1") -> str:
        return self._exec(f"{node}/mariadb", "mariadb", "-N", "-B", "-e", text)

    def redis(self, *words: str, node: str) -> str:
        script = f"REDISCLI_AUTH=$(sed -n 's/^requirepass //p' /etc/redis/redis.conf) redis-cli -h {self.addresses[node]} {' '.join(words)}"  # noqa: E501
        return self._exec(f"{node}/redis", "sh", "-c", script)

    def queue(self, put: str = "") -> str:
        account = {"user": "openstack", "password": self.secrets["rabbitmq.password"]}
        return self._python(QUEUE, {"host": self.addresses["c2"], "put": put, **account})

    def documents(self, put: str = "") -> str:
        hosts = [self.addresses[node] for node in ("c1", "c2", "c3")]
        account = {"password": self.secrets["mongodb.root"]}
        return self._python(DOCUMENTS, {"hosts": hosts, "put": put, **account})

    def openstack(self, *words: str) -> str:
        return self._exec("client/toolbox", "openstack", *words)


@pytest.fixture(scope="module")
def first(labctl: Labctl, lab: str) -> Iterator[Data]:
    """The lab whose data were saved, and which runs again."""
    data = Data(labctl, lab)
    data.sql("CREATE DATABASE kept; CREATE TABLE kept.t (a INT PRIMARY KEY)")
    data.sql("INSERT INTO kept.t VALUES (17)")
    data.redis("SET", "kept", "seventeen", node=data.status["clusters"]["redis"]["master"])
    data.queue("a message")
    data.documents("a document")
    data.openstack("project", "create", "kept")
    labctl("checkpoint", "save", CHECKPOINT, "--lab", lab)
    yield data
    labctl("checkpoint", "remove", CHECKPOINT)


@pytest.fixture(scope="module")
def second(labctl: Labctl, first: Data, driver: Engine) -> Iterator[Data]:
    """A lab from the checkpoint, beside the first."""
    labctl.clear(OTHER)
    labctl("up", "--name", OTHER, "--from", CHECKPOINT)
    yield Data(labctl, OTHER)
    labctl("down", "--lab", OTHER)
    assert remains(driver, OTHER) == []


def test_it_is_listed(labctl: Labctl, lab: str, first: Data) -> None:
    (row,) = labctl("checkpoint", "list", "--json").json
    assert (row["name"], row["lab"], row["profile"]) == (CHECKPOINT, lab, "support")
    assert row["size"] > 1 << 20


def test_the_saved_lab_is_whole_again(labctl: Labctl, lab: str, first: Data) -> None:
    assert labctl.status(lab)["state"] == "healthy"
    said = labctl("up", "--name", lab, "three-controller")
    assert said.out.startswith(f"lab {lab} is as it should be; nothing to do\n")


def test_the_other_is_whole(labctl: Labctl, second: Data) -> None:
    assert second.status["state"] == "healthy"
    sizes = {kind: cluster["size"] for kind, cluster in second.status["clusters"].items()}
    assert sizes == {"galera": 3, "rabbitmq": 3, "redis": 3, "mongodb": 3}
    said = labctl("up", "--name", OTHER)
    assert said.out.startswith(f"lab {OTHER} is as it should be; nothing to do\n")


def test_its_addresses_and_secrets_are_its_own(first: Data, second: Data) -> None:
    assert not set(first.addresses.values()) & set(second.addresses.values())
    same = {name for name, value in second.secrets.items() if first.secrets[name] == value}
    assert same == {"keystone.credential_primary", "keystone.credential_staged"}


def test_its_stores_have_the_data(first: Data, second: Data) -> None:
    for node in ("c1", "c2", "c3"):
        assert second.sql("SELECT a FROM kept.t", node) == "17"
        assert second.redis("GET", "kept", node=node) == "seventeen"
    assert second.documents() == '["a document"]'
    assert second.queue() == "a message"


def test_keystone_issues_tokens_and_names_the_new_addresses(first: Data, second: Data) -> None:
    assert second.openstack("token", "issue", "-f", "value", "-c", "project_id")
    assert second.openstack("project", "show", "kept", "-f", "value", "-c", "name") == "kept"
    urls = second.openstack("endpoint", "list", "-f", "value", "-c", "URL").split()
    vip = second.status["vip"]["address"]
    assert len(urls) == 3
    assert all(url.startswith(f"http://{vip}:5000") for url in urls)


def test_nobody_has_an_account_from_the_other_lab(first: Data, second: Data) -> None:
    hosts = second.sql("SELECT DISTINCT Host FROM mysql.user", "c3").split()
    network = first.addresses["c1"].rpartition(".")[0] + "."
    assert not [host for host in hosts if host.startswith(network)]
    with pytest.raises(AssertionError, match="ACCESS_REFUSED"):
        second.secrets["rabbitmq.password"] = first.secrets["rabbitmq.password"]
        second.queue()


def test_damaged_or_of_another_lab_it_is_refused(
    labctl: Labctl, first: Data, driver: Engine
) -> None:
    name = f"{OTHER}-no"
    refused = labctl("up", "single", "--name", name, "--from", CHECKPOINT, code=2)
    assert refused.err.startswith(
        f"labctl: checkpoint '{CHECKPOINT}' does not fit lab '{name}'; what differs: "
    )
    path = labctl.home / "checkpoints" / CHECKPOINT / "mariadb-data.tar.gz"
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:1000] + b"x" + whole[1001:]):
        path.write_bytes(damaged)
        refused = labctl("up", "--name", name, "--from", CHECKPOINT, code=2)
        assert refused.err.startswith(f"labctl: checkpoint '{CHECKPOINT}' is damaged (")
        assert len(refused.err.splitlines()) == 1
    path.write_bytes(whole)
    assert remains(driver, name) == []
    assert not (labctl.home / "labs" / name).exists()
