"""Commands about single nodes of a lab: node off, on, add, remove, replace, reboot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from labctl.cli.options import EngineOption, LabOption, attach_and_warn, interruptible

if TYPE_CHECKING:
    from labctl.engine.port import Engine
    from labctl.running.lifecycle import Prepared
    from labctl.state.store import Record

_UNFINISHED = "the next 'labctl up' finishes what was started"

Nodes = Annotated[list[str], typer.Argument(metavar="NODE...", help="Names of nodes.")]

node = typer.Typer(help="Switch nodes off and on; add, remove, replace and reboot them.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(node, name="node")
    node.command(epilog="Example: labctl node off c2")(off)
    node.command(epilog="Example: labctl node on c2")(on)
    node.command(epilog="Example: labctl node add c4 c5 --like c1")(add)
    node.command(epilog="Example: labctl node remove c4 c5")(remove)
    node.command(epilog="Example: labctl node replace c2")(replace)
    node.command(epilog="Example: labctl node reboot c2")(reboot)


def off(nodes: Nodes, lab: LabOption = None, engine: EngineOption = None) -> None:
    """Cut the power of nodes: all on them is killed at once, and their peers hear nothing.

    They stay off until 'labctl node on' or 'labctl up' starts them; 'heal' does not, for it is no
    fault with an end.
    """
    from labctl.running import nodes as changes
    from labctl.running import power
    from labctl.state import store

    driver, prepared = attach_and_warn(engine, lab)
    changes.known(prepared.record, nodes)
    with store.lock(prepared.lab.name):
        hit = power.off(driver, prepared.lab, nodes)
    told = [f"{name} is off" if name in hit else f"{name} was off" for name in _each(nodes)]
    _say(prepared.record, told)


def on(nodes: Nodes, lab: LabOption = None, engine: EngineOption = None) -> None:
    """Start nodes that are off, and wait until all on them is ready and their clusters count it.

    Only these nodes are touched. Where a cluster has lost all its members, 'labctl up' is needed.
    """
    from labctl.cli.progress import display
    from labctl.running import nodes as changes
    from labctl.running import power
    from labctl.state import store

    driver, prepared = attach_and_warn(engine, lab)
    changes.known(prepared.record, nodes)
    with store.lock(prepared.lab.name), interruptible(_UNFINISHED), display() as report:
        started = power.on(driver, prepared.desired, nodes, report.note)
    told = [f"{name} is on" if name in started else f"{name} was on" for name in _each(nodes)]
    _say(prepared.record, told)


def add(
    nodes: Nodes,
    like: Annotated[
        str, typer.Option("--like", metavar="NODE", help="The node whose roles they get.")
    ],
    lab: LabOption = None,
    engine: EngineOption = None,
) -> None:
    """Add nodes that have the roles of another; their instances join its clusters.

    A cluster where a majority decides keeps an odd number of members: add two at a time.
    """
    from labctl.running import nodes as changes

    driver, record = _lab(engine, lab)
    _up(driver, changes.added(record, nodes, like), {}, f"{_named(nodes)} added")


def remove(nodes: Nodes, lab: LabOption = None, engine: EngineOption = None) -> None:
    """Remove nodes for good, with their data: their instances leave clusters, which forget them."""
    from labctl.running import nodes as changes

    driver, prepared = attach_and_warn(engine, lab)
    changes.check_majorities(prepared.lab, nodes)
    record = changes.removed(prepared.record, nodes)
    left = _up(driver, record, {}, f"{_named(nodes)} removed")
    changes.drop_volumes(driver, left.desired, nodes)


def replace(nodes: Nodes, lab: LabOption = None, engine: EngineOption = None) -> None:
    """Replace nodes by new ones without data, one at a time; they resynchronise from the others.

    As when a machine has died and another takes its place. What only this node had is lost.
    """
    from labctl.running import nodes as changes

    driver, record = _lab(engine, lab)
    changes.known(record, nodes)
    _up(driver, record, dict.fromkeys(nodes, True), f"{_named(nodes)} replaced")


def reboot(nodes: Nodes, lab: LabOption = None, engine: EngineOption = None) -> None:
    """Stop nodes in good order and start them again, one at a time; their data stay."""
    from labctl.running import nodes as changes

    driver, record = _lab(engine, lab)
    changes.known(record, nodes)
    _up(driver, record, dict.fromkeys(nodes, False), f"{_named(nodes)} rebooted")


def _lab(engine: str | None, lab: str | None) -> tuple[Engine, Record]:
    driver, prepared = attach_and_warn(engine, lab)
    return driver, prepared.record


def _each(nodes: list[str]) -> list[str]:
    return list(dict.fromkeys(nodes))


def _named(nodes: list[str]) -> str:
    return ", ".join(_each(nodes))


def _say(record: Record, told: list[str]) -> None:
    from labctl.cli.show import out

    out().print(f"lab {record.name}: {', '.join(told)}", highlight=False)


def _up(engine: Engine, record: Record, renew: dict[str, bool], done: str) -> Prepared:
    """Bring the changed lab up, and say what has been done."""
    from labctl.cli.progress import display
    from labctl.running import lifecycle
    from labctl.state import store

    with store.lock(record.name), interruptible(_UNFINISHED), display() as report:
        prepared, _ = lifecycle.up(engine, lifecycle.prepare(record), report, renew)
    _say(record, [done])
    return prepared
