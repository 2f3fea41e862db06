"""labctl as a person runs it: the real program, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM = (str(Path(sys.executable).with_name("labctl")),)


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Labctl:
    """labctl with a state directory of the tests' own."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    program: Sequence[str] = PROGRAM

    def __call__(
        self, *arguments: str, code: int | None = 0, timeout: float = 400, stdin: str = ""
    ) -> Ended:
        """Run a command to its end; its exit code is checked unless ``code`` is None."""
        done = subprocess.run(
            [*self.program, *arguments],
            env=self._environment(),
            capture_output=True,
            text=True,
            input=stdin,
            timeout=timeout,
            check=False,
        )
        ended = Ended(done.returncode, done.stdout, done.stderr)
        assert code is None or ended.code == code, f"exit {ended.code}\n{ended.err[-4000:]}"
        assert "Traceback" not in ended.err
        return ended

    def clear(self, lab: str) -> None:
        """Take down what an earlier session left of a lab, if it left anything."""
        ended = self("down", "--lab", lab, code=None)
        assert ended.code == 0 or "there is no lab" in ended.err, ended.err[-4000:]

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command and do not wait for it."""
        return subprocess.Popen(
            [*self.program, *arguments],
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def status(self, lab: str) -> dict[str, Any]:
        """The lab's status, whatever it is."""
        return dict(self("status", "--lab", lab, "--json", code=None).json)

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "LABCTL_HOME": str(self.home), **self.environment}
