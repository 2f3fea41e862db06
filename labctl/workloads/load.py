"""A workload seen from outside: put into the client node, started, its history collected."""

from __future__ import annotations

import io
import json
import secrets as randomness
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from labctl.checkers import Event, Promise, parse
from labctl.desired import Desired
from labctl.engine.port import Engine, FileEntry
from labctl.errors import LabError
from labctl.model.lab import Lab
from labctl.probe import client_container

Kind = Literal["galera", "rabbitmq", "redis", "mongodb", "identity"]

PROMISES: Mapping[Kind, Promise] = {
    "galera": Promise(
        "innodb_flush_log_at_trx_commit=1: a commit that was acknowledged is on every member"
    ),
    "rabbitmq": Promise(
        "quorum queue with publisher confirms: a confirmed message is delivered at least once",
        once=False,
    ),
    "redis": Promise(
        "asynchronous replication: writes of the last seconds before a failover may be lost",
        durable=False,
    ),
    "mongodb": Promise("w:majority with j:true: an acknowledged write survives"),
}
"""Kind → what its store promises; logins promise nothing that lasts."""

ARCHIVE = "/run/labctl/workloads.pyz"
_MODULES = ("client", "galera", "identity", "mongodb", "rabbitmq", "redis")
_MAIN = "import sys\nfrom labctl.workloads.client import main\nsys.exit(main(sys.argv[1:]))\n"
_START_LIMIT = 30.0
_READ_LIMIT = 120.0


class Load:
    """A workload of one run. ``rate`` is in operations a second, times are in seconds.

    It writes until it is stopped, and for ``seconds`` at most.
    """

    def __init__(
        self,
        engine: Engine,
        desired: Desired,
        secrets: Mapping[str, str],
        kind: Kind,
        *,
        seconds: float = 600,
        rate: float = 20,
        workers: int = 4,
        timeout: float = 5,
    ) -> None:
        self.kind: Kind = kind
        self._engine = engine
        self._container = client_container(desired.lab)
        self._config: dict[str, Any] = {
            "kind": kind,
            "name": f"run_{randomness.token_hex(4)}",
            "seconds": seconds,
            "rate": rate,
            "workers": workers,
            "timeout": timeout,
            **settings(desired.lab, secrets, kind),
        }
        self._path = f"/run/labctl/{self._config['name']}.json"
        user = desired.instances[desired.lab.toolbox.name].spec.user.partition(":")[0]
        self._uid = int(user)
        self._lines: list[str] = []
        self._ready = threading.Event()
        self.member: str | None = None
        """Who served the store when it was prepared."""
        self._thread = threading.Thread(target=self._collect, daemon=True)

    def start(self) -> None:
        """Start to write; returns once the store is prepared.

        LabError when the store cannot be prepared.
        """
        config = json.dumps(self._config).encode()
        self._engine.put_files(
            self._container,
            [
                FileEntry(ARCHIVE, archive(), 0o444),
                FileEntry(self._path, config, 0o400, self._uid, self._uid),
            ],
        )
        self._thread.start()
        if not self._ready.wait(_START_LIMIT) or not (self._lines or self._thread.is_alive()):
            raise LabError(f"the {self.kind} workload did not start: try it with `labctl exec`")

    def stop(self) -> list[Event]:
        """Let what has begun end; everything that was recorded."""
        stop = self._path.removesuffix(".json") + ".stop"
        self._engine.put_files(self._container, [FileEntry(stop, b"")])
        self._thread.join(10 * self._config["timeout"] + _START_LIMIT)
        return parse(self._lines)

    def acknowledged(self) -> int:
        """How many operations have been acknowledged so far."""
        return sum('"type": "ok"' in line for line in list(self._lines))

    def final(self) -> Mapping[str, list[int]]:
        """What is there now: place → values. LabError when the store cannot be read."""
        result = self._engine.exec(
            self._container, ["python3", ARCHIVE, self._path, "read"], timeout=_READ_LIMIT
        )
        if result.code != 0:
            last = (result.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise LabError(f"what the {self.kind} workload wrote cannot be read: {last}")
        found: Mapping[str, list[int]] = json.loads(result.stdout)
        return found

    def _collect(self) -> None:
        command = ["python3", ARCHIVE, self._path, "write"]
        try:
            for line in self._engine.exec_stream(self._container, command):
                said = json.loads(line)
                if said["type"] == "ready":
                    self.member = said.get("member")
                    self._ready.set()
                else:
                    self._lines.append(line)
        finally:
            self._ready.set()


def settings(lab: Lab, secrets: Mapping[str, str], kind: Kind) -> dict[str, Any]:
    """Where a workload finds its store in this lab, and with which account."""
    if kind == "galera":
        account = {"user": "root", "password": secrets["mariadb.root"]}
        return {"host": lab.vip, "port": 3306, **account, **_members(lab, "mariadb")}
    if kind == "identity":
        account = {"user": "admin", "password": secrets["keystone.admin"], "project": "admin"}
        return {"host": lab.vip, "port": 5000, **account}
    if kind == "rabbitmq":
        user = lab.services["rabbitmq"].settings["user"]
        account = {"user": user, "password": secrets["rabbitmq.password"]}
        return {"port": 5672, "api_port": 15672, **account, **_members(lab, "rabbitmq")}
    if kind == "redis":
        master = lab.services["sentinel"].settings["master"]
        password = secrets["redis.password"]
        return {"port": 26379, "master": master, "password": password, **_members(lab, "sentinel")}
    replica_set = lab.services["mongodb"].settings["replica_set"]
    account = {"user": "root", "password": secrets["mongodb.root"]}
    return {"port": 27017, "replica_set": replica_set, **account, **_members(lab, "mongodb")}


def archive() -> bytes:
    """The workloads as one file that Python runs."""
    here = Path(__file__).parent
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("__main__.py", _MAIN)
        packed.writestr("labctl/__init__.py", "")
        packed.writestr("labctl/workloads/__init__.py", "")
        for module in _MODULES:
            packed.write(here / f"{module}.py", f"labctl/workloads/{module}.py")
    return buffer.getvalue()


def _members(lab: Lab, service: str) -> dict[str, dict[str, str]]:
    return {"members": {node.name: node.address for node in lab.services[service].nodes}}
