"""Progress of a plan: a live display on a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from labctl.planning.steps import AwaitReady, Plan, Step

if TYPE_CHECKING:
    from labctl.running.probe import Answer

SHOWN = 14
"""Steps shown at a time on a terminal."""


class Lines:
    """Prints a line for each step that ends, with the time since the start, to standard error."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._total = self._count = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def planned(self, plan: Plan) -> None:
        """Print the number of steps; a recovery may have several plans."""
        self._total += len(plan.steps)
        if plan.steps:
            self._say(f"{len(plan.steps)} steps")

    def started(self, step: Step) -> None:
        """Print nothing: a step's line is printed when it ends."""

    def done(self, step: Step, seconds: float) -> None:
        """Print the step, how long it took, and how many are done."""
        self._count += 1
        self._say(f"[{self._count}/{self._total}] {step.title} ({seconds:.1f} s)")

    def note(self, text: str) -> None:
        """Print a line."""
        self._say(text)

    def answer(self, name: str, answer: Answer) -> None:
        """Print nothing: the step that waits for it has its own line."""

    def _say(self, text: str) -> None:
        with self._lock:
            sys.stderr.write(f"{time.monotonic() - self._start:6.1f} s  {text}\n")
            sys.stderr.flush()


class Screen:
    """Shows the steps that run or wait, for how long and why, and a progress bar."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._running: dict[str, tuple[Step, float]] = {}
        self._details: dict[str, str] = {}
        self._ready: set[str] = set()
        self._note = ""
        self._total = self._count = 0
        self._lock = threading.Lock()
        self._live = Live(
            get_renderable=self._render,
            console=Console(stderr=True),
            refresh_per_second=4,
            transient=True,
        )

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def planned(self, plan: Plan) -> None:
        """Remember how much there is to do."""
        self._total += len(plan.steps)

    def started(self, step: Step) -> None:
        """Show a step."""
        with self._lock:
            self._running[step.id] = (step, time.monotonic())

    def done(self, step: Step, seconds: float) -> None:
        """Remove a step from the list."""
        with self._lock:
            self._running.pop(step.id, None)
            self._count += 1
            self._note = f"{step.title}: {seconds:.1f} s"

    def note(self, text: str) -> None:
        """Show the newest line of a build or a pull."""
        self._note = text

    def answer(self, name: str, answer: Answer) -> None:
        """Remember why something is not ready yet."""
        with self._lock:
            self._details[name] = answer.detail
            (self._ready.add if answer.ready else self._ready.discard)(name)

    def _render(self) -> RenderableType:
        with self._lock:
            running = sorted(self._running.values(), key=lambda item: item[1])
            rows = [(step, since, self._why(step)) for step, since in running[:SHOWN]]
        grid = Table.grid(padding=(0, 2))
        now = time.monotonic()
        for step, since, why in rows:
            colour = "cyan" if isinstance(step, AwaitReady) else "green"
            grid.add_row(
                Text(step.title, style=colour), f"{now - since:4.0f} s", Text(why, style="dim")
            )
        if len(running) > SHOWN:
            grid.add_row(Text(f"and {len(running) - SHOWN} more", style="dim"))
        head = Table.grid(padding=(0, 2))
        head.add_row(
            f"{self._count} of {self._total} steps",
            ProgressBar(total=max(self._total, 1), completed=self._count, width=40),
            f"{now - self._start:.0f} s",
        )
        return Group(head, grid, Text(self._note[:100], style="dim"))

    def _why(self, step: Step) -> str:
        if not isinstance(step, AwaitReady):
            return ""
        silent = [name for name in step.probes if name not in self._ready]
        return self._details.get(silent[0], "") if silent else ""


class Timed:
    """Forwards everything to a display, and records how long each step took."""

    def __init__(self, shown: Lines | Screen) -> None:
        self._shown = shown
        self.began = time.time()
        """Seconds since the epoch."""
        self.steps: list[dict[str, Any]] = []
        """For each ended step: id, title, its seconds, and when it ended, from the start."""
        self.planned, self.started = shown.planned, shown.started
        self.note, self.answer = shown.note, shown.answer

    def done(self, step: Step, seconds: float) -> None:
        """Record the step."""
        ended = round(time.time() - self.began, 3)
        self.steps.append(
            {"id": step.id, "title": step.title, "seconds": round(seconds, 3), "ended": ended}
        )
        self._shown.done(step, seconds)


def display() -> Lines | Screen:
    """The display for where standard error goes: a terminal or not."""
    return Screen() if sys.stderr.isatty() else Lines()
