"""What runs inside a FakeEngine's containers: a handful of programs, and the link's helper."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.engine.port import ContainerSpec, ExecResult

if TYPE_CHECKING:
    from tests.fakes.engine import FakeEngine

Program = Callable[["FakeEngine", str, Sequence[str], bytes], ExecResult]
"""engine, container, command, standard input → how it ended."""


@dataclass(frozen=True)
class Main:
    """What a container's main process does: ends with ``code``, or (None) goes on."""

    code: int | None = None
    log: str = ""


def main(engine: FakeEngine, spec: ContainerSpec) -> Main:
    """The default main process: true, false and echo end, helpers make links, others go on."""
    if spec.labels.get("labctl.kind") == "helper" and spec.host_network:
        return _link_helper(engine, spec.command[4:])
    match spec.command:
        case ("true",):
            return Main(0)
        case ("false",):
            return Main(1)
        case ("echo", *words):
            return Main(0, " ".join(words) + "\n")
    return Main()


def _link_helper(engine: FakeEngine, arguments: Sequence[str]) -> Main:
    links = engine.links
    match arguments:
        case (parent, host, _address, alias, table, rules):
            if any(links.get(end, alias) != alias for end in (parent, host)):
                return Main(1, f"the interface {parent} already exists and is not the lab's\n")
            links.update({parent: alias, host: alias})
            engine.tables.discard(table)
            if "hook input" in rules:
                engine.tables.add(table)
        case (parent, host, alias, table):
            engine.tables.discard(table)
            mine = [end for end in (parent, host) if links.get(end) == alias]
            for end in mine:
                del links[end]
            return Main(0, "removed\n" if mine else "")
        case _:
            found = [{"ifname": name, "ifalias": alias} for name, alias in links.items()]
            tables = [{"table": {"family": "inet", "name": name}} for name in engine.tables]
            return Main(0, f"{json.dumps(found)}\n{json.dumps({'nftables': tables})}\n")
    return Main(0)


def program(engine: FakeEngine, container: str, command: Sequence[str], stdin: bytes) -> ExecResult:
    """The default for commands: true, false, echo, cat and hostname; others are not found."""
    code, out, err = 0, "", ""
    match tuple(command):
        case ("true",):
            pass
        case ("false",):
            code = 1
        case ("echo", *words):
            out = " ".join(words) + "\n"
        case ("cat",):
            out = stdin.decode()
        case ("cat", path):
            data = engine.read_file(container, path)
            code, out = (1, "") if data is None else (0, data.decode())
        case ("hostname",):
            out = engine.hostname(container) + "\n"
        case _:
            code, err = 127, f"{command[0]}: executable file not found\n"
    return ExecResult(code, out, err)
