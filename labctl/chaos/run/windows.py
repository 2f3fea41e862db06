"""The planned outages of a change, instance by instance, as its plan is carried out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from labctl.model.lab import Lab
from labctl.planning.steps import (
    AwaitReady,
    Forget,
    Plan,
    Remove,
    StartHolder,
    StartInstance,
    Step,
    Stop,
)
from labctl.running.probe import Answer

Window = dict[str, Any]
"""``name`` (an instance, or a node), ``what`` (replaced, restarted, removed, new), ``began`` and
``ended`` (None until it has), in seconds since the run began."""


class Windows:
    """Follows the steps of a plan; ``rows`` are the windows so far, in the order of their begin.

    A window begins when an instance is drained or stopped, and ends when it is ready again. One
    that is new begins when it is started; one that leaves ends when it is gone. One thread calls
    it, but for notes.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        labs: Iterable[Lab],
        probed: Iterable[str],
        note: Callable[[str], None],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """``labs``: before and after; ``probed``: instances whose readiness is asked for.

        ``changed`` is called when a window has begun or ended.
        """
        self._clock, self._note, self._changed = clock, note, changed
        self._names: dict[str, str] = {}
        for lab in labs:
            self._names |= {lab.container(each): each.name for each in lab.instances}
            self._names |= {lab.holder(node): node.name for node in lab.nodes}
        self._probed = frozenset(probed)
        self._open: dict[str, Window] = {}
        self._returning: frozenset[str] = frozenset()
        """Those that the plan starts."""
        self.rows: list[Window] = []
        self.notes: list[str] = []
        self.steps = 0

    def planned(self, plan: Plan) -> None:
        """The plan, before its first step."""
        self.steps = len(plan.steps)
        starts = {s.instance for s in plan.steps.values() if isinstance(s, StartInstance)}
        nodes = {s.node for s in plan.steps.values() if isinstance(s, StartHolder)}
        self._returning = frozenset(starts | nodes)

    def started(self, step: Step) -> None:
        """A step begins."""
        if isinstance(step, Remove | Stop | Forget):
            name = self._names.get(step.container)
            if name is not None:
                self._begin(name, "removed")
        elif isinstance(step, StartInstance):
            self._start(step.instance, new=step.action == "create")
        elif isinstance(step, StartHolder):
            self._start(step.node, new=step.action == "create")

    def done(self, step: Step, seconds: float) -> None:  # noqa: ARG002 - as every report takes
        """A step succeeded."""
        if isinstance(step, AwaitReady):
            for name in step.probes:
                self._end(name)
        elif isinstance(step, StartInstance) and step.instance not in self._probed:
            self._end(step.instance)
        elif isinstance(step, StartHolder):
            self._end(step.node)
        elif isinstance(step, Remove):
            name = self._names.get(step.container, "")
            if name not in self._returning:
                self._end(name)

    def note(self, text: str) -> None:
        """A line of progress: what could not be drained, for instance."""
        self.notes.append(text)
        self._note(text)

    def answer(self, name: str, answer: Answer) -> None:
        """Nothing: a window ends when the plan has taken note of an answer."""

    def _start(self, name: str, *, new: bool) -> None:
        window = self._begin(name, "new" if new else "restarted")
        if window["what"] == "removed":
            window["what"] = "replaced" if new else "restarted"

    def _begin(self, name: str, what: str) -> Window:
        if name not in self._open:
            window = {"name": name, "what": what, "began": self._now(), "ended": None}
            self._open[name] = window
            self.rows.append(window)
            self._changed()
        return self._open[name]

    def _end(self, name: str) -> None:
        if window := self._open.pop(name, None):
            window["ended"] = self._now()
            self._changed()

    def _now(self) -> float:
        return round(self._clock(), 3)
