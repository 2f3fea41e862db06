"""Makes and heals the faults of a timeline at their times, and records each as it happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from labctl.chaos.folder import layout as files
from labctl.chaos.run.injector import Action, Injector
from labctl.engine.port import Engine
from labctl.errors import LabctlError
from labctl.faults import Fault, kinds, verbs

_TOO_LATE = "the run ended before it was due"

Clock = Callable[[], float]
"""Seconds since the run began."""


class Watcher(Protocol):
    """Follows a run while it goes on."""

    def note(self, text: str) -> None:
        """Something happened that is worth a line."""
        ...

    def now(self, broken: Sequence[str], counts: Mapping[str, Mapping[str, int]]) -> None:
        """Faults in force now, and each workload's operations so far by their end."""
        ...


class Schedule:
    """The timeline of a run; each action has a thread of its own, so that none delays another."""

    def __init__(
        self,
        engine: Engine,
        injector: Injector,
        actions: Sequence[Action],
        *,
        folder: Path,
        clock: Clock,
        watcher: Watcher,
    ) -> None:
        self._engine, self._injector, self._actions = engine, injector, actions
        self._folder, self._clock, self._watcher = folder, clock, watcher
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._made: dict[int, Fault] = {}
        self._threads: list[threading.Thread] = []
        self._defects: list[Exception] = []
        self.rows: list[dict[str, Any]] = []

    def run(self, limit: float) -> None:
        """Carry out all actions; returns when the last one that has an end is healed.

        They count from now. After ``limit``, in seconds since the run began, none is started.
        """
        offset = self._clock()
        self.rows = [_row(action, offset) for action in self._actions]
        self._save()
        self._threads = [
            threading.Thread(target=self._act_safely, args=(action, offset, limit), daemon=True)
            for action in self._actions
        ]
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join()
        if self._defects:
            raise self._defects[0]

    def end(self) -> None:
        """Start nothing more and heal all faults in force.

        Waits for actions under way: one of them might make its fault after all were healed.
        """
        self._over.set()
        for thread in self._threads:
            thread.join()
        for index in sorted(self._made, reverse=True):
            self._heal(index)

    @property
    def broken(self) -> list[str]:
        """Titles of the faults in force."""
        return [fault.title for fault in list(self._made.values())]

    def _act_safely(self, action: Action, offset: float, limit: float) -> None:
        """Keep an unexpected error for :meth:`run` to raise: a thread would only print it."""
        try:
            self._act(action, offset, limit)
        except Exception as error:
            self._defects.append(error)

    def _act(self, action: Action, offset: float, limit: float) -> None:
        self._until(offset + action.at)
        if self._over.is_set() or self._clock() >= limit:
            self._set(action.index, error=_TOO_LATE)
            return
        self._make(action)
        made = self._made.get(action.index)
        if made is not None and kinds.of(made).is_over(made):
            self._heal(action.index)
        elif action.heal_at is not None and made is not None:
            self._until(min(offset + action.heal_at, limit))
            if not self._over.is_set():
                self._heal(action.index)

    def _make(self, action: Action) -> None:
        began = self._clock()
        self._set(action.index, began=began)
        try:
            fault = self._injector.fault(action)
            if self._over.is_set():
                # The run was ended while the target was looked up.
                self._set(action.index, error=_TOO_LATE)
                return
            self._set(action.index, targets=list(fault.targets), resolved=_resolved(fault))
            evidence = verbs.inject(self._engine, fault)
        except LabctlError as error:
            self._set(action.index, error=str(error))
            self._watcher.note(f"{action.said}: {error}")
            return
        self._made[action.index] = fault
        took = {"took": evidence.took, "made": round(self._clock(), 3)}
        seen = {**evidence.seen, **took}
        self._set(action.index, bites=self._clock(), said=fault.title, evidence=seen)
        self._watcher.note(f"{evidence.said} ({evidence.took:.2f} s)")

    def _heal(self, index: int) -> None:
        with self._lock:
            fault = self._made.pop(index, None)
        if fault is None:
            return
        try:
            evidence = verbs.heal(self._engine, fault)
        except LabctlError as error:
            self._set(index, heal_error=str(error))
            self._watcher.note(str(error))
            return
        seen = {**evidence.seen, "took": evidence.took}
        self._set(
            index,
            healed=self._clock(),
            heal_evidence=seen,
            overtaken=dict(evidence.overtaken),
            healed_by=evidence.healed_by,
        )
        self._watcher.note(evidence.said)

    def _until(self, moment: float) -> None:
        self._over.wait(max(0.0, moment - self._clock()))

    def _set(self, index: int, **fields: Any) -> None:
        for key in ("began", "bites", "healed"):
            if key in fields:
                fields[key] = round(fields[key], 3)
        with self._lock:
            next(row for row in self.rows if row["index"] == index).update(fields)
            self._save()

    def _save(self) -> None:
        files.write_json(self._folder, files.TIMELINE, self.rows)


def _row(action: Action, offset: float) -> dict[str, Any]:
    return {
        "index": action.index,
        "fault": action.fault,
        "traits": kinds.registered()[action.fault].traits,
        "said": action.said,
        "asked": round(offset + action.at, 3),
        "began": round(offset + action.at, 3),
        "bites": None,
        "healed": None,
        "targets": [],
        "spec": action.spec,
        "lasts": None if action.heal_at is None else round(action.heal_at - action.at, 3),
        "resolved": {},
        "evidence": {},
        "heal_evidence": {},
        "overtaken": {},
        "healed_by": "",
        "error": None,
    }


def _resolved(fault: Fault) -> dict[str, Any]:
    """What is needed to make the same fault again, whoever plays which part by then."""
    return {
        "kind": fault.kind,
        "targets": list(fault.targets),
        "groups": [list(group) for group in fault.groups],
        "pairs": [list(pair) for pair in fault.pairs],
        "direction": fault.direction,
        "terms": dict(fault.terms),
        "lease": fault.lease,
    }
