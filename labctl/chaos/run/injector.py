"""An action of a timeline as a fault of this lab now: targets looked up at the last moment."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from labctl.engine.port import Engine
from labctl.errors import LabError
from labctl.faults import Fault, Target, build, targets
from labctl.faults.kind import Request
from labctl.faults.kinds import registered
from labctl.faults.targets import Clusters
from labctl.model.lab import Lab


def require(engine: Engine, lab: Lab, words: Collection[str]) -> None:
    """Ask the machine whether it can do what faults need. EngineError when it cannot."""
    for word in sorted(words):
        if (check := registered()[word].check_machine) is not None:
            check(engine, lab.name, build.stations_of(lab))


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

    def follow(self, lab: Lab) -> None:
        """Look targets up in the lab that it becomes from now on."""
        self._lab = lab

    def fault(self, action: Action) -> Fault:
        """The fault, not made yet. LabError when nobody is its target now."""
        kind = registered()[action.fault]
        lasts = self._longest if action.heal_at is None else action.heal_at - action.at
        groups = [self._all(group) for group in action.groups]
        return kind.build(
            Request(
                engine=self._engine,
                lab=self._lab,
                targets=tuple(self._all(action.targets)),
                groups=tuple(tuple(dict.fromkeys(t.node for t in group)) for group in groups),
                pairs=tuple((one, other) for one, other in action.pairs),
                terms=kind.read(action.terms),
                lasts=lasts,
            )
        )

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
