"""Run programs on this machine; no other module starts processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.errors import EngineError
from labctl.host.files import open_private

_SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
"""Directories of system programs, which an ordinary user's PATH often lacks."""

_children: set[subprocess.Popen[Any]] = set()
"""Running programs that are being waited for."""


@dataclass(frozen=True)
class Completed:
    """A finished program's exit code and output."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Measured:
    """A finished program with its elapsed seconds, and CPU-seconds including its children's."""

    completed: Completed
    wall: float
    cpu: float


def which(program: str) -> str | None:
    """The program's path, or None; the directories of system programs are searched as well."""
    return shutil.which(program, path=_search_path(os.environ))


def run(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    timeout: float,
    env: Mapping[str, str] | None = None,
) -> Completed:
    """Run a program and wait for it, at most ``timeout`` seconds; any exit code is accepted.

    ``env`` is added to this process's environment. EngineError when the program is not installed
    or does not end in time (it is killed then).
    """
    with _started(
        argv,
        env,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        try:
            out, err = process.communicate(stdin, timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise EngineError(f"{argv[0]} did not end within {timeout:g} seconds") from None
    return Completed(process.returncode, out, err)


def measure(
    argv: Sequence[str], *, timeout: float, env: Mapping[str, str] | None = None
) -> Measured:
    """Like :func:`run`, and measure the time that it takes.

    EngineError when the program is not installed or does not end in time (it is killed then).
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        began = time.monotonic()
        with _started(argv, env, stdin=subprocess.DEVNULL, stdout=out, stderr=errors) as process:
            watchdog = threading.Timer(timeout, process.kill)
            watchdog.daemon = True
            watchdog.start()
            # Only wait4 reports the CPU time of a single child. Popen must then be told its status.
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.monotonic() - began
            watchdog.cancel()
            process.returncode = os.waitstatus_to_exitcode(status)
        if wall >= timeout:
            raise EngineError(f"{argv[0]} did not end within {timeout:g} seconds")
        texts = [(file.seek(0), file.read())[1].decode(errors="replace") for file in (out, errors)]
    completed = Completed(process.returncode, *texts)
    return Measured(completed, wall, usage.ru_utime + usage.ru_stime)


def stream(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run a program and yield lines of its standard output and error as they arrive.

    EngineError with the last line when it fails. Leaving the iteration early kills it.
    """
    last = ""
    with _started(
        argv,
        env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            last = line.strip() or last
            yield line.rstrip("\n")
    if process.returncode:
        raise EngineError(f"{argv[0]} failed with exit code {process.returncode}: {last}")


def terminate_all() -> None:
    """Send SIGTERM to all programs that are being waited for: labctl is about to exit."""
    for process in list(_children):
        with contextlib.suppress(OSError):
            process.terminate()


@contextlib.contextmanager
def _started(
    argv: Sequence[str], env: Mapping[str, str] | None, **options: Any
) -> Iterator[subprocess.Popen[Any]]:
    """A program that ends with the block: by itself, or killed if the block raises."""
    try:
        process = subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
            argv, env=_environment(env), **options
        )
    except FileNotFoundError:
        raise _missing(argv) from None
    _children.add(process)
    try:
        with process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise
    finally:
        _children.discard(process)


class Companion:
    """A background program that ends when this process does, in whatever way.

    That works because its input ends then, at which the program must exit. The terminal's ctrl-C
    does not reach it, so it keeps running until this process is done.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        """Start it. EngineError when the program is not installed."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - nobody may be there to read a pipe
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=_environment(None),
                start_new_session=True,
            )
        except FileNotFoundError:
            raise _missing(argv) from None

    def answers(self, timeout: float) -> bool:
        """Whether it echoes a line within ``timeout`` seconds; if not, it is killed.

        To be called once.
        """
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101
        watchdog = threading.Timer(timeout, self._process.kill)
        watchdog.start()
        try:
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()
            heard = self._process.stdout.readline()
        except BrokenPipeError:
            heard = b""
        finally:
            watchdog.cancel()
        return bool(heard)

    def last_error(self) -> str:
        """Kill it; returns the last line that it wrote to standard error, or ""."""
        self._process.kill()
        self._process.communicate()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read().decode(errors="replace").splitlines()]
        return next((line for line in reversed(lines) if line), "")


def spawn_detached(
    argv: Sequence[str],
    log: Path,
    env: Mapping[str, str] | None = None,
    *,
    only: Mapping[str, str] | None = None,
) -> int:
    """Start a program that outlives this process, its output appended to ``log`` (mode 0600).

    Returns its process id. It runs in a new session, in ``/``. ``env`` is added to this process's
    environment; ``only`` replaces it. EngineError when the program is not installed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(open_private(log, os.O_APPEND), "ab") as output:
            process = subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(env) if only is None else only,
                cwd="/",
                start_new_session=True,
            )
    except FileNotFoundError:
        raise _missing(argv) from None
    return process.pid


def _environment(env: Mapping[str, str] | None) -> dict[str, str]:
    merged = {**os.environ, **(env or {})}
    merged["PATH"] = _search_path(merged)
    return merged


def _search_path(environment: Mapping[str, str]) -> str:
    return os.pathsep.join(filter(None, [environment.get("PATH"), _SYSTEM_PATH]))


def _missing(argv: Sequence[str]) -> EngineError:
    return EngineError(f"the program {argv[0]} is not installed on this machine")
