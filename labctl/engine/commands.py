"""Run commands in containers: start one, attach to it, get its exit code."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import tenacity

from labctl.engine import terminal
from labctl.engine.streams import Channel
from labctl.host import signals

_MARK = "LABCTL_COMMAND"
_KILL_SCRIPT = """
marked() { grep -lzxF "$1" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3; }
kill -"$2" $(marked "$1")
for _ in 1 2 3 4 5 6 7 8; do [ "$(marked "$1")" ] || exit; sleep 0.1; done
kill -KILL $(marked "$1")
"""
"""Signals all processes with the mark in their environment; after 0.8 s kills the rest."""

_KILLED = 128 + 9
_EXIT_CODE_SECONDS = 10.0
"""How long the engine may take to report a command's end after its output has ended."""


def start(
    api: Any,
    container: str,
    command: Sequence[str],
    *,
    with_input: bool = False,
    tty: bool = False,
    user: str | None = None,
    mark: str | None = None,
) -> tuple[str, Channel]:
    """Start a command with the SDK's low-level client; returns its exec id and its channel.

    ``mark`` (``NAME=VALUE``) is put in its environment, which its child processes inherit.
    """
    created = api.exec_create(
        container,
        list(command),
        stdin=with_input,
        tty=tty,
        user=user or "",
        environment=None if mark is None else [mark],
    )
    run = str(created["Id"])
    return run, Channel(api.exec_start(run, tty=tty, socket=True))


def attached(api: Any, container: str, command: Sequence[str], *, tty: bool, stdin: bool) -> int:
    """Run a command on our terminal or pipes; returns its exit code.

    If this is interrupted (by a signal, or because nobody reads the output), the command is
    ended too.
    """
    mark = f"{_MARK}={uuid.uuid4().hex}"
    run, channel = start(api, container, command, with_input=stdin, tty=tty, mark=mark)
    try:
        if tty:
            terminal.attach(channel, lambda height, width: _resize(api, run, height, width))
        else:
            terminal.pipe(channel, stdin=stdin)
    except BaseException as error:
        with suppress(Exception):  # the original error matters more
            _end(api, container, mark, signals.name(error))
        raise
    finally:
        channel.close()
    return exit_code(api, run)


def _end(api: Any, container: str, mark: str, signal: str) -> None:
    """End a command and its child processes: by a signal such as INT, then SIGKILL.

    Engines have no API call for that, so a shell in the container does it.
    """
    script = ["sh", "-c", _KILL_SCRIPT, "sh", mark, signal]
    api.exec_start(api.exec_create(container, script)["Id"], detach=True)


def _resize(api: Any, run: str, height: int, width: int) -> None:
    """Set the size of a command's terminal; no-op when the command has ended."""
    with suppress(Exception):
        api.exec_resize(run, height, width)


def exit_code(api: Any, run: str) -> int:
    """The exit code of a command whose output has ended.

    The engine may report that the command has ended a moment after its output has.
    """
    state = tenacity.Retrying(
        stop=tenacity.stop_after_delay(_EXIT_CODE_SECONDS),
        wait=tenacity.wait_exponential(0.01, max=0.5),
        retry=tenacity.retry_if_result(lambda state: state["Running"]),
        retry_error_callback=lambda attempt: attempt.outcome and attempt.outcome.result(),
    )(api.exec_inspect, run)
    # No exit code: the container ended before the command.
    return _KILLED if state["ExitCode"] is None else int(state["ExitCode"])
