"""Makes the changes of a timeline, one after another, by what ``up`` does; records each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tenacity

from labctl.chaos.folder import layout as files
from labctl.chaos.run import settings
from labctl.chaos.run.becoming import Step
from labctl.chaos.run.changes import Change
from labctl.chaos.run.schedule import Clock, Watcher
from labctl.chaos.run.windows import Windows
from labctl.engine.port import Engine
from labctl.errors import LabctlError
from labctl.faults import targets
from labctl.faults.targets import Clusters
from labctl.running import lifecycle, nodes
from labctl.running.lifecycle import Prepared

_TOO_LATE = "the run ended before it was due"
_AFTER_FAILURE = "a change before it did not come to its end"
_LOOKS, _PAUSE = 3, 2.0
"""Times that a changed lab is asked whether it is what it should be, and seconds between them."""

Row = dict[str, Any]


class Changer:
    """The changes of a run. ``ask`` says how the clusters are, ``follow`` is told the lab to come.

    A change begins at its moment, or when the one before it has ended. Unless they are to be
    kept, the lab's record on disk stays what it was: should labctl be killed, ``up`` undoes them.
    """

    def __init__(
        self,
        engine: Engine,
        prepared: Prepared,
        steps: Sequence[Step],
        *,
        keep: bool,
        folder: Path,
        clock: Clock,
        watcher: Watcher,
        ask: Callable[[], Clusters],
        follow: Callable[[Prepared], None],
    ) -> None:
        self._engine, self._first, self._steps, self._keep = engine, prepared, steps, keep
        self._folder, self._clock, self._watcher = folder, clock, watcher
        self._ask, self._follow = ask, follow
        self._now = prepared
        """The lab as the last change that began makes it."""
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._defect: Exception | None = None
        self._lock = threading.Lock()
        self.rows: list[Row] = []
        self.going_on = ""
        """What is being changed now."""

    def start(self, limit: float) -> None:
        """Make the changes at their times, which count from now, in a thread of its own.

        After ``limit``, in seconds since the run began, none is begun.
        """
        offset = self._clock()
        self.rows = [_row(step.change, offset) for step in self._steps]
        if not self.rows:
            return
        self._save()
        self._thread = threading.Thread(target=self._make_all, args=(offset, limit), daemon=True)
        self._thread.start()

    def join(self, limit: float) -> None:
        """Wait until the last change has ended; at ``limit`` one that goes on is stopped."""
        if self._thread is not None:
            self._thread.join(max(0.0, limit - self._clock()))
            self.end()
        if self._defect is not None:
            raise self._defect

    def end(self) -> None:
        """Begin no more, and stop one that goes on: its steps that run finish, no more begin."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def change_back(self) -> None:
        """Make the lab what it was, unless it is to be kept or a change failed."""
        name = self._first.lab.name
        if any(row["error"] for row in self.rows if row["began"] is not None):
            self._watcher.note(f"the lab is left half changed: `labctl up --name {name}` mends it")
        elif self._now is not self._first and not self._keep:
            self._undo()

    def _undo(self) -> None:
        self._over.clear()
        was, now = self._first.record.topology.nodes, self._now.record.topology.nodes
        leaving = [name for name in now if name not in was]
        index = self.rows[-1]["index"] + 1
        row = {**_empty(index, "change back", self._clock()), "verb": "change", "back": True}
        self.rows.append(row)
        self._carry_out(row, self._first, lifecycle.Change(), leaving)

    def _make_all(self, offset: float, limit: float) -> None:
        """Keep an unexpected error for :meth:`join` to raise: a thread would only print it."""
        try:
            for row, step in zip(self.rows, self._steps, strict=True):
                self._over.wait(max(0.0, offset + step.change.at - self._clock()))
                if self._over.is_set() or self._clock() >= limit:
                    self._set(row, error=_TOO_LATE)
                elif any(other["error"] for other in self.rows):
                    self._set(row, error=_AFTER_FAILURE)
                else:
                    self._make(row, step)
        except Exception as error:
            self._defect = error

    def _make(self, row: Row, step: Step) -> None:
        try:
            chosen = self._nodes(step.change)
        except LabctlError as error:
            self._set(row, error=str(error))
            self._watcher.note(f"{step.change.said}: {error}")
            return
        self._set(row, nodes=chosen)
        emptied = step.change.verb == "replace"
        anew = step.change.verb in ("replace", "reboot")
        change = lifecycle.Change(
            dict.fromkeys(chosen, emptied) if anew else {}, step.change.roles(self._now.lab)
        )
        self._carry_out(row, step.prepared, change, step.leaving)

    def _nodes(self, change: Change) -> list[str]:
        """The nodes that are made anew: of parts, those of who plays them now."""
        if change.verb not in ("replace", "reboot"):
            return []
        lab = self._now.lab
        found = (targets.resolve(self._engine, lab, name, self._ask) for name in change.names)
        return list(dict.fromkeys(target.node for target in found))

    def _carry_out(
        self, row: Row, prepared: Prepared, change: lifecycle.Change, leaving: Sequence[str]
    ) -> None:
        before, self._now = self._now, prepared
        self._follow(prepared)
        labs, probed = (before.lab, prepared.lab), prepared.desired.probes
        windows = Windows(self._clock, labs, probed, self._watcher.note, self._save)
        self.going_on = row["said"]
        self._set(row, began=self._clock(), windows=windows.rows, notes=windows.notes)
        self._set(row, settings=settings.effective(prepared.desired))
        self._watcher.note(f"{row['said']} begins")
        try:
            made = lifecycle.carry_out(
                self._engine,
                prepared,
                change,
                windows,
                recorded=self._keep,
                stopped=self._over.is_set,
            )
            nodes.drop_volumes(self._engine, prepared.desired, leaving)
            self._set(row, ended=self._clock(), steps=len(made.steps))
            self._set(row, left=self._left(prepared))
        except LabctlError as error:
            stopped = self._over.is_set()
            self._set(row, ended=self._clock(), error=str(error), stopped=stopped)
            self._watcher.note(f"{row['said']}: {error}")
            return
        finally:
            self.going_on = ""
        self._watcher.note(f"{row['said']} is complete ({row['ended'] - row['began']:.1f} s)")

    def _left(self, prepared: Prepared) -> list[str]:
        """What ``up`` would still do: nothing, in a lab that is what its document says."""

        def look() -> list[str]:
            steps = lifecycle.plan(self._engine, prepared).steps
            return [step.title for step in steps.values()]

        looks = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(_LOOKS),
            wait=tenacity.wait_fixed(_PAUSE),
            retry=tenacity.retry_if_result(bool),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else [],
        )
        return looks(look)

    def _set(self, row: Row, **fields: Any) -> None:
        for key in ("began", "ended"):
            if key in fields:
                fields[key] = round(fields[key], 3)
        with self._lock:
            row.update(fields)
        self._save()

    def _save(self) -> None:
        with self._lock:
            files.write_json(self._folder, files.CHANGES, self.rows)


def _row(change: Change, offset: float) -> Row:
    return {
        **_empty(change.index, change.said, offset + change.at),
        "verb": change.verb,
        "step": change.step,
        "spec": change.keys.altered,
    }


def _empty(index: int, said: str, asked: float) -> Row:
    return {
        "index": index,
        "verb": "",
        "said": said,
        "step": -1,
        "spec": {},
        "asked": round(asked, 3),
        "began": None,
        "ended": None,
        "nodes": [],
        "steps": 0,
        "windows": [],
        "notes": [],
        "left": None,
        "error": None,
        "stopped": False,
        "back": False,
        "settings": {},
    }
