"""Commands about single nodes of a lab that is up: node add, remove, replace, reboot."""

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

node = typer.Typer(help="Add, remove, replace or reboot nodes while the others serve.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(node, name="node")
    node.command(epilog="Example: labctl node add c4 c5 --like c1")(add)
    node.command(epilog="Example: labctl node remove c4 c5")(remove)
    node.command(epilog="Example: labctl node replace c2")(replace)
    node.command(epilog="Example: labctl node reboot c2")(reboot)


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

    driver, record = _lab(engine, lab)
    left = _up(driver, changes.removed(record, nodes), {}, f"{_named(nodes)} removed")
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


def _named(nodes: list[str]) -> str:
    return ", ".join(dict.fromkeys(nodes))


def _up(engine: Engine, record: Record, renew: dict[str, bool], done: str) -> Prepared:
    """Bring the changed lab up, and say what has been done."""
    from labctl.cli.progress import display
    from labctl.cli.show import out
    from labctl.running import lifecycle
    from labctl.state import store

    with store.lock(record.name), interruptible(_UNFINISHED), display() as report:
        prepared, _ = lifecycle.up(engine, lifecycle.prepare(record), report, renew)
    out().print(f"lab {record.name}: {done}", highlight=False)
    return prepared
