"""A lab in memory whose network obeys the faults: links, nftables tables, pings, a death."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from labctl.engine.port import ExecResult, Limits
from labctl.faults.wire import DROPPED
from labctl.model.clock import FILE
from labctl.planning.desired import Desired
from tests.fakes.engine import FakeEngine

Table = dict[str, dict[str, int]]
"""Set of a cut's table → MAC address → frames counted."""


class KilledError(BaseException):
    """labctl is killed here: nothing of it runs on."""


@dataclass
class Namespace:
    up: bool = True
    tables: dict[str, Table] = field(default_factory=dict)
    delay: tuple[float, float] = (0.0, 0.0)
    """Milliseconds by which what it sends is late, and the jitter."""
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
        self.dozing: set[str] = set()
        """Containers whose action is in force."""
        self.kernel: dict[str, Limits] = {}
        """Limits by container where the kernel has others than the engine says."""
        self.preloaded = 1
        """Whether processes run under libfaketime."""
        self.full: set[str] = set()
        """Containers of disks that something fills."""
        self.netem = True
        """Whether the kernel has it."""
        self.broken: set[str] = set()
        """Programs and methods that do nothing and say that all is well."""
        for tag in wanted.images.values():
            self.add_image(tag)
        for unit in [
            *wanted.holders.values(),
            *wanted.disks.values(),
            *wanted.instances.values(),
        ]:
            self.create(unit.spec)
            self.put_files(unit.spec.name, unit.files)
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
        if "kill" in self.broken:
            return
        super().kill(name, signal)
        if signal == "SIGTERM":
            self.end(name)

    def pause(self, name: str) -> None:
        if "pause" not in self.broken:
            super().pause(name)

    def limit(self, name: str, wanted: Limits) -> None:
        if "limit" not in self.broken:
            super().limit(name, wanted)

    def status(self, name: str) -> str:
        return next(c.status for c in self.containers() if c.name == name)

    def state(self) -> dict[str, str]:
        """Everything that a fault may change, to compare."""
        seen: dict[str, str] = {c.name: c.status for c in self.containers()}
        for holder, space in self.spaces.items():
            tables = sorted(space.tables)
            seen[f"{holder} eth0"] = f"up={space.up} tables={tables} delay={space.delay}"
        seen |= dict.fromkeys(self.dozing, "dozing")
        seen |= {f"{name} full": "yes" for name in self.full}
        seen |= {f"{n} clock": f"{self.offset(n):+g}" for n in self._boxes if self.offset(n)}
        limited = {name: self.limits(name) for name in seen if name in self._boxes}
        seen |= {f"{name} limits": str(each) for name, each in limited.items() if each != Limits()}
        return seen

    def _run(  # noqa: PLR0911, PLR0912, C901 - a table of programs
        self, _: FakeEngine, holder: str, command: Sequence[str], stdin: bytes
    ) -> ExecResult:
        if holder not in self.spaces:
            return self._act(holder, command)
        space = self.spaces[holder]
        if self.broken & {command[0], *command[3:4]}:
            return ExecResult(0, "", "")
        match tuple(command):
            case ("sh", "-c", _, "blink", addresses, _, _):
                self._transaction(space, stdin.decode())
                for address in addresses.split():
                    self._ping(holder, address)
                for table in space.tables.values():
                    table.pop("deaf", None)
                return ExecResult(0, "", "")
            case ("sh", "-c", _, "knock" | "pings", addresses, *_):
                for address in addresses.split():
                    self._ping(holder, address, only=command[3] == "knock")
                return ExecResult(0, "", "")
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
            case ("tc", *words):
                return self._tc(space, words)
            case ("sh", "-c", _, "try"):
                unknown = "Error: Specified qdisc kind is unknown."
                return ExecResult(0, "", "") if self.netem else ExecResult(2, "", unknown)
            case ("ping", *_, address):
                return self._timed(holder, address)
        return ExecResult(127, "", f"{command[0]}: executable file not found")

    def _tc(self, space: Namespace, words: Sequence[str]) -> ExecResult:
        if "show" in words:
            queues = [{"kind": "netem"}] if any(space.delay) else [{"kind": "noqueue"}]
            return _json(queues)
        space.delay = (0.0, 0.0)
        if "netem" in words:
            by, jitter = (float(word.removesuffix("ms")) for word in words[-2:])
            space.delay = (by, jitter)
        return ExecResult(0, "", "")

    def _timed(self, asker: str, address: str) -> ExecResult:
        other = next(h for h, node in self.nodes.items() if node.address == address)
        if not self._ping(asker, address):
            return ExecResult(1, "", "")
        late = sum(by - jitter for by, jitter in (self.spaces[h].delay for h in (asker, other)))
        return ExecResult(0, f"rtt min/avg/max/mdev = {late + 0.1:.3f}/1.0/2.0/0.1 ms\n", "")

    def _act(self, container: str, command: Sequence[str]) -> ExecResult:
        """The action of an instance: ``doze on``, ``doze off``, and ``doze`` says which.

        The rest is what a container sees of its control group, and of the time.
        """
        if command[3:4] and command[3] in ("fill", "free", "look"):
            return self._disk(container, command[3])
        if "cpu.max" in command[-1]:
            limits = self.kernel.get(container, self.limits(container))
            quota = f"{limits.cpus * 100_000:.0f}" if limits.cpus else "max"
            return ExecResult(0, f"{quota} 100000\n{limits.memory or 'max'}\n", "")
        if "date" in command[-1]:
            off = self.offset(container) if "date" not in self.broken else 0.0
            return ExecResult(0, f"{self.preloaded}\n100.0\n{100.1 + off}\n100.2\n", "")
        if command[0] != "doze":
            return ExecResult(127, "", f"{command[0]}: executable file not found")
        if command[0] not in self.broken and len(command) > 1:
            (self.dozing.add if command[1] == "on" else self.dozing.discard)(container)
        return ExecResult(0, "dozing\n" if container in self.dozing else "awake\n", "")

    def _disk(self, container: str, asked: str) -> ExecResult:
        """What keeps an instance's volumes: 256 MiB, of which 200 are free, if it is not full."""
        if asked == "look":
            filled = container in self.full
            return ExecResult(0, f"{int(filled)}\n{0 if filled else 200 << 20}\n", "")
        if asked not in self.broken:
            (self.full.add if asked == "fill" else self.full.discard)(container)
        return ExecResult(0, "", "")

    def offset(self, container: str) -> float:
        """Seconds that a container's clock is off, by its file."""
        return float(self.read_file(container, FILE) or b"0")

    def _ping(self, asker: str, address: str, *, only: bool = False) -> bool:
        other = next(h for h, node in self.nodes.items() if node.address == address)
        return self._frame(asker, other, only) and self._frame(other, asker, only)

    def _frame(self, sender: str, receiver: str, only: bool = False) -> bool:
        """Send a frame, count it in the receiver's tables; whether it is let through."""
        to = self.spaces[receiver]
        if not (self.spaces[sender].up and to.up) or self.status(receiver) != "running":
            return False
        mac, passed = self.nodes[sender].mac.lower(), True
        for table in to.tables.values():
            for name, macs in table.items():
                partial = DROPPED in table
                if mac in macs and (not partial or only or "lossy" in table):
                    macs[mac] += 1
                    if partial and name == "deaf":
                        table[DROPPED][""] += 1
                    passed = passed and (name != "deaf" or partial)
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
            if f"counter {DROPPED}" in body:
                space.tables[name][DROPPED] = {"": 0}
            if "numgen" in body or "limit rate" in body or re.search(r"timeout \d+ms", body):
                space.tables[name]["lossy"] = {}


def _set(name: str, macs: dict[str, int]) -> dict[str, object]:
    if name == DROPPED:
        return {"counter": {"name": name, "packets": macs[""]}}
    elements = [{"elem": {"val": mac, "counter": {"packets": n}}} for mac, n in macs.items()]
    return {"set": {"name": name, "elem": elements}}


def _json(value: object) -> ExecResult:
    return ExecResult(0, json.dumps(value), "")
