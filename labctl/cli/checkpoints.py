"""Commands about checkpoints: copies of a lab's data, from which another lab starts."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from labctl.cli.options import EngineOption, JsonOption, LabOption, attach, interruptible
from labctl.errors import LabctlError

Name = Annotated[str, typer.Argument(metavar="NAME", help="The checkpoint's name.")]

checkpoint = typer.Typer(help="Save a lab's data, list what is saved, remove it.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(checkpoint, name="checkpoint")
    checkpoint.command(epilog="Example: labctl checkpoint save filled")(save)
    checkpoint.command("list", epilog="Example: labctl checkpoint list --json")(list_all)
    checkpoint.command(epilog="Example: labctl checkpoint remove filled")(remove)


def save(name: Name, lab: LabOption = None, engine: EngineOption = None) -> None:
    """Save a lab's data: databases, queues, images, keys.

    The lab is stopped in good order meanwhile, and started again. 'labctl up --from NAME' starts
    another from it, with addresses and secrets of its own.
    """
    from labctl.cli.progress import display
    from labctl.cli.show import out
    from labctl.running import checkpoints as work
    from labctl.state import checkpoints, store

    checkpoints.unused(name)
    driver, prepared = attach(engine, lab)
    unfinished = "the next 'labctl up' starts the lab again; nothing was saved"
    with (
        checkpoints.claimed(name),
        store.lock(prepared.lab.name),
        interruptible(unfinished),
        display() as report,
    ):
        manifest = work.save(driver, prepared, name, report)
    out().print(
        f"checkpoint {name} of lab {manifest.lab}: {_mib(manifest.size)}; "
        f"start another lab from it with: labctl up --name NAME --from {name}",
        highlight=False,
        soft_wrap=True,
    )


def list_all(as_json: JsonOption = False) -> None:
    """List the checkpoints: of which lab, from when, how large."""
    from labctl.cli import show
    from labctl.state import checkpoints

    found = [_row(name) for name in checkpoints.names()]
    if as_json:
        show.as_json(found)
        return
    rows = [[str(each.get(key, "")) for key in _COLUMNS] for each in found]
    show.table(_COLUMNS, rows)


_COLUMNS = ("name", "lab", "topology", "profile", "created", "size", "digest", "problem")


def _row(name: str) -> dict[str, Any]:
    from labctl.state import checkpoints

    try:
        manifest = checkpoints.load(name)
        digest = checkpoints.digest(name)
    except LabctlError as error:
        return {"name": name, "problem": str(error)}
    return {
        "name": name,
        "lab": manifest.lab,
        "topology": manifest.topology.name,
        "profile": manifest.choice.profile or manifest.topology.profile,
        "created": manifest.created,
        "size": manifest.size,
        "digest": digest,
    }


def remove(name: Name) -> None:
    """Remove a checkpoint; labs that were started from it stay as they are."""
    from labctl.cli.show import out
    from labctl.state import checkpoints

    checkpoints.find(name)
    with checkpoints.claimed(name):
        checkpoints.remove(name)
    out().print(f"checkpoint {name} is removed", highlight=False)


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
