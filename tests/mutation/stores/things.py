"""APIs: things that are created, read and deleted."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from labctl.workloads.registry import KINDS
from tests.mutation.stores import INCOMPLETE, Mutant, Simulated
from tests.mutation.world import Row, Run, Step


class Things:
    """Name → status."""

    harmless = ("read",)

    def __init__(self, random: Random, settings: Mapping[str, Any]) -> None:
        self._every = settings["delete_every"]
        self._there: dict[str, str] = {}

    def turn(self, number: int, worker: int) -> Generator[Step, Any, None]:
        name = f"thing-{number}"
        if (yield "create", name, "") is None:
            return
        yield "read", name, ""
        if number % self._every == 0:
            yield "delete", name, ""

    def apply(self, f: str, value: Any, at: str) -> Any:
        if f == "create":
            self._there[value] = "active"
        elif f == "delete":
            self._there.pop(value, None)
        else:
            return {"name": value, "status": self._there.get(value, "absent"), "intact": True}
        return value

    def finals(self, nodes: Sequence[str]) -> Any:
        listed = [{"name": n, "status": s, "intact": True} for n, s in self._there.items()]
        return {"listed": listed}

    def beside(self, t: float, workers: int) -> Iterator[Row]:
        return iter(())


def _early(run: Run, name: str, before: float = 14.0) -> list[Row]:
    """The things that are there in the end, and were asked for before any fault."""
    first = min((row["began"] for row in run.timeline), default=1e9)
    made = {
        r["value"] for r in run.events("ok", f="create", workload=name) if r["t"] < first - before
    }
    return [thing for thing in run.finals[name]["listed"] if thing["name"] in made]


def missing(run: Run, name: str, dice: Random) -> object:
    run.finals[name]["listed"].remove(dice.choice(_early(run, name)))
    return True


def damaged(run: Run, name: str, dice: Random) -> object:
    dice.choice(_early(run, name))["intact"] = False
    return True


def twice(run: Run, name: str, dice: Random) -> object:
    run.finals[name]["listed"].append(dict(dice.choice(_early(run, name))))
    return True


def stuck(run: Run, name: str, dice: Random) -> object:
    """In transition for ever, though it was asked for in peace."""
    dice.choice(_early(run, name, 33.0))["status"] = "creating"
    return True


def deleted_and_there(run: Run, name: str, dice: Random) -> object:
    rows = run.events("ok", f="delete", workload=name)
    if not rows:
        return False
    listed = run.finals[name]["listed"]
    listed.append({"name": dice.choice(rows[:2])["value"], "status": "active", "intact": True})
    return True


def unlisted(run: Run, name: str, _: Random) -> object:
    run.finals[name] = {"error": "status 503"}
    return True


def refused_and_there(run: Run, name: str, dice: Random) -> object:
    rows = run.events("fail", f="create", workload=name)
    if not rows:
        return False
    thing = {"name": dice.choice(rows)["value"], "status": "active", "intact": True}
    run.finals[name]["listed"].append(thing)
    return True


MUTANTS = (
    Mutant("missing", missing),
    Mutant("damaged", damaged),
    Mutant("there twice", twice),
    Mutant("stuck", stuck),
    Mutant("deleted and there", deleted_and_there),
    Mutant("it was not listed", unlisted, INCOMPLETE),
    Mutant("refused and there", refused_and_there),
)


def _make(random: Random, settings: Mapping[str, Any]) -> Things:
    return Things(random, settings)


def _target(way: str) -> Any:
    services = KINDS["api"][way].services
    return {"one": services[3]}


SIMULATED = tuple(
    Simulated("api", way, _make, MUTANTS if way == "image" else (), _target(way), profile="full")
    for way, entry in KINDS["api"].items()
    if entry.check == "api"
)
