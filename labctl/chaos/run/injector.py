"""An action of a timeline as a fault of this lab now: targets looked up at the last moment."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Literal, Protocol, cast

from labctl.chaos.model import spans
from labctl.engine.port import Engine
from labctl.errors import InputError, LabError
from labctl.faults import Fault, Target, build, delay, resources, targets
from labctl.faults.model import BLINK, Direction, Halt
from labctl.faults.targets import Clusters
from labctl.model.lab import Lab
from labctl.model.sizes import size_bytes

_WHOLE: Mapping[str, Halt] = {"power-off": "kill", "reboot": "reboot"}
"""Words for what happens to whole nodes, whoever on them was named."""


def require(engine: Engine, lab: Lab, words: Collection[str]) -> None:
    """Ask the machine whether it can do what faults need. EngineError when it cannot."""
    if "delay" in words:
        delay.ask_kernel(engine, lab.name, build.stations_of(lab))


class Choice(Protocol):
    """Targets of which the first ``take`` count that are not on the node of one in ``unless``."""

    @property
    def take(self) -> int: ...  # noqa: D102
    @property
    def of(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def unless(self) -> tuple[str, ...]: ...  # noqa: D102


class Action(Protocol):
    """What a timeline says of a fault; see ``labctl.chaos.run.timeline``. Seconds."""

    @property
    def index(self) -> int: ...  # noqa: D102
    @property
    def at(self) -> float: ...  # noqa: D102
    @property
    def heal_at(self) -> float | None: ...  # noqa: D102
    @property
    def fault(self) -> str: ...  # noqa: D102
    @property
    def targets(self) -> Sequence[Any]: ...  # noqa: D102
    @property
    def groups(self) -> Sequence[Sequence[Any]]: ...  # noqa: D102
    @property
    def pairs(self) -> Sequence[tuple[str, str]]: ...  # noqa: D102
    @property
    def terms(self) -> dict[str, Any]: ...  # noqa: D102
    @property
    def spec(self) -> dict[str, Any]: ...  # noqa: D102
    @property
    def said(self) -> str: ...  # noqa: D102


class Injector:
    """Makes faults of actions. ``ask`` says how the clusters are now; it is asked when needed.

    ``longest`` is the lease (seconds) of what the run heals in its end, beyond which it does not
    last: nobody else would, were labctl killed. ``called`` says how a workload's queue is called,
    so that its leader can be a target.
    """

    def __init__(
        self,
        engine: Engine,
        lab: Lab,
        ask: Callable[[], Clusters],
        longest: float,
        called: Mapping[str, str] | None = None,
    ) -> None:
        self._engine, self._lab, self._ask, self._longest = engine, lab, ask, longest
        self._called = called or {}

    def fault(self, action: Action) -> Fault:
        """The fault, not made yet. LabError when nobody is its target now."""
        word, terms = action.fault, action.terms
        lease = self._longest if action.heal_at is None else action.heal_at - action.at
        if word == "cut":
            return self._cut(action, lease)
        found = self._all(action.targets)
        # The run heals in time: the lease is for a labctl that is gone by then.
        lease = max(1.0, lease) + 30
        makers = {
            "loss": self._degraded,
            "bandwidth": self._degraded,
            "delay": self._delayed,
            "limit": self._limited,
            "clock": self._clocked,
            "fill": self._filled,
            "action": self._acted,
        }
        if word in makers:
            return makers[word](found, terms, lease)
        if word in _WHOLE:
            return self._halt(_WHOLE[word], [Target(node) for node in _nodes(found)], lease)
        return self._halt(cast(Halt, word), found, lease)

    def _degraded(self, found: Sequence[Target], terms: Mapping[str, Any], lease: float) -> Fault:
        return build.degraded(
            self._lab,
            [_nodes(found)],
            percent=terms.get("percent"),
            rate=None if "rate" not in terms else bytes_a_second(terms["rate"]),
            direction=cast(Direction, terms.get("direction", "both")),
            lease=lease,
        )

    def _delayed(self, found: Sequence[Target], terms: Mapping[str, Any], lease: float) -> Fault:
        return resources.delayed(
            self._engine,
            self._lab,
            _nodes(found),
            by=spans.offset(terms["by"]),
            jitter=spans.seconds(terms.get("jitter", "0s")),
            lease=lease,
        )

    def _limited(self, found: Sequence[Target], terms: Mapping[str, Any], lease: float) -> Fault:
        memory = None if "memory" not in terms else size_bytes(terms["memory"])
        return resources.limited(
            self._engine, self._lab, found, cpus=terms.get("cpu"), memory=memory, lease=lease
        )

    def _clocked(self, found: Sequence[Target], terms: Mapping[str, Any], lease: float) -> Fault:
        by = spans.offset(terms["by"])
        return resources.clocked(self._engine, self._lab, found, by=by, lease=lease)

    def _filled(self, found: Sequence[Target], _: Mapping[str, Any], lease: float) -> Fault:
        return resources.filled(self._engine, self._lab, found, lease=lease)

    def _acted(self, found: Sequence[Target], terms: Mapping[str, Any], lease: float) -> Fault:
        return build.act(self._engine, self._lab, terms["action"], found, lease=lease)

    def _halt(self, kind: Halt, found: Sequence[Target], lease: float) -> Fault:
        return build.halt(self._engine, self._lab, kind, found, lease=lease)

    def _cut(self, action: Action, lease: float) -> Fault:
        said = action.terms.get("only")
        only = int(said.removeprefix("port ")) if said and said.startswith("port ") else said
        # A very short cut ends by itself: there its lease is the thing.
        lease = lease if lease < BLINK and only is None else max(BLINK, lease) + 30
        if action.pairs:
            nodes = sorted({node for pair in action.pairs for node in pair})
            made = build.shaped(self._lab, "ring", nodes, Random(0), only=only, lease=lease)  # noqa: S311
            return replace(made, pairs=tuple((one, other) for one, other in action.pairs))
        groups = [_nodes(self._all(group)) for group in action.groups]
        direction = cast(Literal["both", "in", "out"], action.terms.get("direction", "both"))
        return build.cut(self._lab, groups, direction=direction, only=only, lease=lease)

    def _all(self, symbols: Sequence[Any]) -> list[Target]:
        found = [target for symbol in symbols for target in self._who(symbol)]
        return list(dict.fromkeys(found))

    def _who(self, symbol: str | Choice) -> list[Target]:
        if isinstance(symbol, str):
            return [self._one(symbol)]
        out = {self._one(name).node for name in symbol.unless}
        left = [t for name in symbol.of if (t := self._one(name)).node not in out]
        if len(left) < symbol.take:
            raise LabError(
                f"{' and '.join(symbol.of)} but not {' or '.join(symbol.unless)} is nobody now"
            )
        return left[: symbol.take]

    def _one(self, name: str) -> Target:
        part, colon, thing = name.partition(":")
        thing, slash, service = thing.partition("/")
        asked = "".join((part, colon, self._called.get(thing, thing), slash, service))
        return targets.resolve(self._engine, self._lab, asked, self._ask)


def bytes_a_second(text: str) -> int:
    """Of ``800kbit`` or ``1mbit``. InputError for anything else."""
    matched = re.fullmatch(r"([0-9]+)(kbit|mbit)", text)
    if matched is None:
        raise InputError(f"{text!r} is no rate such as 800kbit or 1mbit")
    return int(matched[1]) * (1000 if matched[2] == "kbit" else 1_000_000) // 8


def _nodes(found: Sequence[Target]) -> list[str]:
    return list(dict.fromkeys(target.node for target in found))
