"""What one program took, measured apart from everything else that this process has run."""

from __future__ import annotations

import sys

import pytest

from labctl.errors import EngineError
from labctl.host.process import measure

BURN = "import sys, time\nwhile time.process_time() < 0.1: pass\nprint('out')\nsys.exit(3)"


def test_what_a_program_took_and_said() -> None:
    measured = measure([sys.executable, "-ISc", BURN], timeout=20)
    assert (measured.completed.code, measured.completed.stdout) == (3, "out\n")
    assert 0.1 <= measured.cpu < 5
    assert measured.wall > 0
    # Another child's time is not counted again.
    assert measure([sys.executable, "-ISc", "0"], timeout=20).cpu < measured.cpu


def test_a_program_that_does_not_end_is_killed() -> None:
    with pytest.raises(EngineError, match=r"did not end within 0.2 seconds$"):
        measure([sys.executable, "-ISc", "import time; time.sleep(60)"], timeout=0.2)


def test_a_program_that_is_not_there_is_said() -> None:
    with pytest.raises(EngineError, match=r"^the program labctl-none is not installed"):
        measure(["labctl-none"], timeout=1)
