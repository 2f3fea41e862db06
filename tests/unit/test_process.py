"""Programs: results, limits, output by lines, and one that outlives us."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
import tenacity

from labctl.errors import EngineError
from labctl.host import process


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def test_a_result_is_whole() -> None:
    code = "import sys; print(sys.stdin.read()); print('no', file=sys.stderr); sys.exit(3)"
    done = process.run(python(code), stdin="in", timeout=30)
    assert done == process.Completed(3, "in\n", "no\n")


def test_the_environment_is_added_to() -> None:
    done = process.run(
        python("import os; print(os.environ['COLOUR'], 'HOME' in os.environ)"),
        env={"COLOUR": "green"},
        timeout=30,
    )
    assert done.stdout == "green True\n"


@pytest.mark.parametrize("start", [process.run, process.spawn_detached, process.stream])
def test_a_program_that_is_not_there(start: object, tmp_path: Path) -> None:
    more = {process.run: {"timeout": 1.0}, process.spawn_detached: {"log": tmp_path / "log"}}
    with pytest.raises(EngineError) as refused:
        list(start(["labctl-none"], **more.get(start, {})))  # type: ignore[operator]
    assert str(refused.value) == "the program labctl-none is not installed on this machine"


def test_a_program_that_takes_too_long() -> None:
    with pytest.raises(EngineError, match=r"did not end within 0\.1 seconds$"):
        process.run(["sleep", "10"], timeout=0.1)


def test_output_by_lines_and_the_last_one_as_the_reason() -> None:
    code = "import sys; print('one'); print('two', file=sys.stderr); sys.exit(4)"
    seen = process.stream(python(code), env={"PYTHONUNBUFFERED": "1"})
    assert [next(seen), next(seen)] == ["one", "two"]
    with pytest.raises(EngineError, match=r" failed with exit code 4: two$"):
        next(seen)


def test_a_detached_program_leads_a_session_of_its_own(tmp_path: Path) -> None:
    log = tmp_path / "deep" / "log"
    pid = process.spawn_detached(python("import os; print(os.getpid() == os.getsid(0))"), log)
    assert pid > 0
    said = tenacity.Retrying(
        wait=tenacity.wait_fixed(0.01),
        stop=tenacity.stop_after_delay(20),
        retry=tenacity.retry_if_result(lambda text: not text),
    )(log.read_text)
    assert said == "True\n"


def test_system_programs_are_found_without_their_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert process.which("sh") is None
    assert process.which("ldconfig") is not None


def test_programs_that_are_waited_for_are_ended_with_labctl() -> None:
    """In whatever thread: a bootstrap of minutes does not go on behind an interrupt."""
    lines = process.stream(["sh", "-c", "echo begun; exec sleep 60"])
    assert next(lines) == "begun"
    ending = threading.Thread(target=process.terminate_all)
    ending.start()
    with pytest.raises(EngineError, match="failed with exit code -15"):
        list(lines)
    ending.join()
    assert not process._children
