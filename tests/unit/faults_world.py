"""A lab in memory whose network obeys the faults: links, nftables tables, pings, a death."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from labctl.desired import Desired
from labctl.engine.port import ExecResult
from tests.fakes.engine import FakeEngine

Table = dict[str, dict[str, int]]
"""Set of a cut's table → MAC address → frames counted."""


class KilledError(BaseException):
    """labctl is killed here: nothing of it runs on."""


@dataclass
class Namespace:
    up: bool = True
    tables: dict[str, Table] = field(default_factory=dict)
    extra: set[str] = field(default_factory=set)
    """Addresses besides the node's own."""


class World(FakeEngine):
    """All of a lab's containers, running. ``deaths`` calls from now, labctl is killed."""

    url = "fake://"

    def __init__(self, wanted: Desired) -> None:
        super().__init__(program=self._run)
        self.lab = wanted.lab
        self.nodes = {self.lab.holder(node): node for node in self.lab.nodes}
        self.spaces = {holder: Namespace() for holder in self.nodes}
        self.deaths: int | None = None
        self.broken: set[str] = set()
        """Programs and methods that do nothing and say that all is well."""
        for tag in wanted.images.values():
            self.add_image(tag)
        for unit in [*wanted.holders.values(), *wanted.instances.values()]:
            self.create(unit.spec)
            super().start(unit.spec.name)

    @contextmanager
    def _doing(self, method: str, name: str) -> Iterator[None]:
        if self.deaths is not None:
            self.deaths -= 1
            if self.deaths < 0:
                raise KilledError
        with super()._doing(method, name):
            yield

    def start(self, name: str) -> None:
        if "start" in self.broken:
            return
        if name in self.spaces and self.status(name) != "running":
            self.spaces[name] = Namespace()
        super().start(name)

    def kill(self, name: str, signal: str = "SIGKILL") -> None:
        if "kill" not in self.broken:
            super().kill(name, signal)

    def pause(self, name: str) -> None:
        if "pause" not in self.broken:
            super().pause(name)

    def status(self, name: str) -> str:
        return next(c.status for c in self.containers() if c.name == name)

    def state(self) -> dict[str, str]:
        """Everything that a fault may change, to compare."""
        seen: dict[str, str] = {c.name: c.status for c in self.containers()}
        for holder, space in self.spaces.items():
            seen[f"{holder} eth0"] = f"up={space.up} tables={sorted(space.tables)}"
        return seen

    def _run(  # noqa: PLR0911 - a table of programs
        self, _: FakeEngine, holder: str, command: Sequence[str], stdin: bytes
    ) -> ExecResult:
        space = self.spaces[holder]
        if command[0] in self.broken:
            return ExecResult(0, "", "")
        match tuple(command):
            case ("nft", "-f", "-"):
                self._transaction(space, stdin.decode())
                return ExecResult(0, "", "")
            case ("nft", "-j", "list", "tables", "netdev"):
                tables = [{"table": {"family": "netdev", "name": name}} for name in space.tables]
                return _json({"nftables": [{"metainfo": {}}, *tables]})
            case ("nft", "-j", "list", "table", "netdev", name):
                if name not in space.tables:
                    return ExecResult(1, "", "No such file or directory")
                return _json({"nftables": [_set(*item) for item in space.tables[name].items()]})
            case ("ip", "link", "set", "eth0", state):
                space.up = state == "up"
                return ExecResult(0, "", "")
            case ("ip", "-j", "-4", "address", "show", "dev", "eth0"):
                addresses = [self.nodes[holder].address, *space.extra]
                return _json([{"addr_info": [{"local": a} for a in addresses]}])
            case ("sh", "-c", _, "ask", expected, silent):
                asked = f"{expected} {silent}".split()
                return ExecResult(0, "\n".join(a for a in asked if self._ping(holder, a)), "")
        return ExecResult(127, "", f"{command[0]}: executable file not found")

    def _ping(self, asker: str, address: str) -> bool:
        other = next(h for h, node in self.nodes.items() if node.address == address)
        return self._frame(asker, other) and self._frame(other, asker)

    def _frame(self, sender: str, receiver: str) -> bool:
        """Send a frame, count it in the receiver's tables; whether it is let through."""
        to = self.spaces[receiver]
        if not (self.spaces[sender].up and to.up) or self.status(receiver) != "running":
            return False
        mac, passed = self.nodes[sender].mac.lower(), True
        for table in to.tables.values():
            for name, macs in table.items():
                if mac in macs:
                    macs[mac] += 1
                    passed = passed and name != "deaf"
        return passed

    def _transaction(self, space: Namespace, text: str) -> None:
        for name in re.findall(r"^delete table netdev (\S+)$", text, re.MULTILINE):
            space.tables.pop(name, None)
        for name, body in re.findall(r"^table netdev (\S+) \{\n(.*?)^\}", text, re.M | re.S):
            sets = re.findall(r"set (\w+) \{.*?elements = \{ (.*?) \}", body, re.S)
            space.tables[name] = {
                kind: dict.fromkeys(re.findall(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", macs), 0)
                for kind, macs in sets
            }


def _set(name: str, macs: dict[str, int]) -> dict[str, object]:
    elements = [{"elem": {"val": mac, "counter": {"packets": n}}} for mac, n in macs.items()]
    return {"set": {"name": name, "elem": elements}}


def _json(value: object) -> ExecResult:
    return ExecResult(0, json.dumps(value), "")
