"""Progress output: lines, and on a terminal a status that is updated in place."""

from __future__ import annotations

import threading
import time
from typing import Self

from rich.console import Console
from rich.text import Text


class Live:
    """Prints lines with the elapsed time; on a terminal also a live status while entered."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._status = console.status("") if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    def line(self, text: str | Text) -> None:
        """Print a line with the seconds since the start."""
        at = f"{time.monotonic() - self._began:6.1f} s  "
        with self._lock:
            if self._console.is_terminal:
                self._console.print(Text.assemble((at, "dim"), text), soft_wrap=True)
                return
            self._console.file.write(f"{at}{text}\n")
            self._console.file.flush()
