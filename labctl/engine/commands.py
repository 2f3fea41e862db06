"""Commands in containers: starting one, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tenacity

from labctl.engine.streams import Channel

_KILLED = 128 + 9
_NOTICED_WITHIN = 10.0


def start(
    api: Any,
    container: str,
    command: Sequence[str],
    *,
    with_input: bool = False,
    tty: bool = False,
    user: str | None = None,
) -> tuple[str, Channel]:
    """Start a command with the SDK's low-level client; the command's id and its channel."""
    created = api.exec_create(container, list(command), stdin=with_input, tty=tty, user=user or "")
    run = str(created["Id"])
    return run, Channel(api.exec_start(run, tty=tty, socket=True))


def exit_code(api: Any, run: str) -> int:
    """The exit code of a command whose output has ended.

    The engine may notice the command's end a moment after that of its output.
    """
    state = tenacity.Retrying(
        stop=tenacity.stop_after_delay(_NOTICED_WITHIN),
        wait=tenacity.wait_exponential(0.01, max=0.5),
        retry=tenacity.retry_if_result(lambda state: state["Running"]),
        retry_error_callback=lambda attempt: attempt.outcome and attempt.outcome.result(),
    )(api.exec_inspect, run)
    # No code: the container ended under the command.
    return _KILLED if state["ExitCode"] is None else int(state["ExitCode"])
