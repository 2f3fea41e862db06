"""Commands about the machine and its images: doctor, images build|list|prune."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from labctl.cli.options import EngineOption, JsonOption, connect

RELEASE = "zed"

images = typer.Typer(no_args_is_help=True, help="Build, list and remove the images of node roles.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: labctl doctor --fix")(doctor)
    app.add_typer(images, name="images")


def doctor(
    fix: Annotated[
        bool, typer.Option("--fix", help="Install and start an engine if there is none.")
    ] = False,
    as_json: JsonOption = False,
    engine: EngineOption = None,
) -> None:
    """Check whether this machine can run labs, and say what to do if it cannot.

    Exit code 3 when something that labs need is missing.
    """
    from labctl.cli import show
    from labctl.doctor import machine

    if fix:
        for line in machine.fix(engine):
            sys.stderr.write(f"{line}\n")
    found = machine.checks(engine)
    if as_json:
        show.as_json([vars(check) for check in found])
    else:
        marks = {True: "ok", False: "missing", None: "note"}
        show.table(
            ["check", "", "finding", "what to do"],
            [(c.name, marks[c.ok], c.detail, c.remedy) for c in found],
        )
    if any(check.ok is False for check in found):
        raise typer.Exit(3)


@images.command(name="build", epilog="Example: labctl images build node client")
def build_images(
    roles: Annotated[
        list[str] | None, typer.Argument(metavar="[ROLE]...", help="Which; by default all.")
    ] = None,
    refresh: Annotated[
        bool,
        typer.Option("--refresh", help="Also rebuild existing ones, from today's packages."),
    ] = False,
    engine: EngineOption = None,
) -> None:
    """Build the images that are missing; does nothing if nothing changed.

    An existing image stays as it was built: --refresh brings its packages up to date. A lab that
    is up keeps its images; 'labctl down' and 'labctl up' give it the new ones.
    """
    from labctl.cli.show import out
    from labctl.errors import InputError
    from labctl.images import build as builder

    known = builder.image_tags(RELEASE)
    for role in roles or ():
        if role not in known:
            raise InputError(f"there is no image role '{role}' (roles: {', '.join(known)})")
    make = builder.refresh if refresh else builder.build_all
    built = make(connect(engine), RELEASE, roles or None, _say)
    out().print(f"built: {', '.join(built)}" if built else "every image is there; nothing to do")


@images.command(name="list", epilog="Example: labctl images list --json")
def list_images(as_json: JsonOption = False, engine: EngineOption = None) -> None:
    """List the image of every role: tag, size, date of its packages, main versions."""
    from labctl.cli import show
    from labctl.images import build as builder

    driver = connect(engine)
    there = {tag: i for i in driver.images("labctl.image") for tag in i.tags}
    since = {role: f"{at:%Y-%m-%d}" for role, at in builder.package_dates(driver, RELEASE).items()}
    wanted = builder.image_tags(RELEASE)
    found = {role: there.get(tag) for role, tag in wanted.items()}
    versions = {
        role: json.loads(image.labels.get("labctl.versions", "{}")) if image else {}
        for role, image in found.items()
    }
    if as_json:
        show.as_json(
            [
                {
                    "role": role,
                    "tag": wanted[role],
                    "built": image is not None,
                    "size": image.size if image else None,
                    "packages_of": since.get(role),
                    "build_seconds": image.labels.get(builder.SECONDS_LABEL) if image else None,
                    "versions": versions[role],
                }
                for role, image in found.items()
            ]
        )
        return
    show.table(
        ["role", "tag", "MB", "packages of", "versions"],
        [
            (
                role,
                wanted[role],
                f"{image.size / 1e6:.0f}" if image else "not built",
                since.get(role, ""),
                ", ".join(f"{name} {version}" for name, version in versions[role].items()),
            )
            for role, image in found.items()
        ],
    )


@images.command(name="prune", epilog="Example: labctl images prune")
def prune_images(engine: EngineOption = None) -> None:
    """Remove labctl's outdated images that no container uses."""
    from labctl.cli.show import out
    from labctl.images import build as builder

    removed = builder.prune(connect(engine), builder.current_tags(RELEASE))
    out().print(f"removed: {', '.join(removed)}" if removed else "nothing to remove")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
