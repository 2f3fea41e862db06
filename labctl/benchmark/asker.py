"""Requests one HTTP address at a fixed rate, as a client of the lab, and prints when it answered.

Runs by itself, in the client node: standard library only. Arguments: host, port, path, total
seconds, interval and timeout in seconds. Each request has a new connection, and they start at each
interval whether or not earlier ones have ended. Each answer is a line ``began ended ok`` (monotonic
seconds, 1 or 0) on standard output, as it comes.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """Where to send which request; ``timeout`` in seconds."""

    host: str
    port: int
    path: str
    timeout: float


async def ask(question: Question) -> bool:
    """Whether a GET succeeds in time."""
    writer = None
    try:
        async with asyncio.timeout(question.timeout):
            reader, writer = await asyncio.open_connection(question.host, question.port)
            request = f"GET {question.path} HTTP/1.0\r\nHost: {question.host}\r\n\r\n"
            writer.write(request.encode())
            status = await reader.readline()
            return status.split()[1:2] in ([b"200"], [b"300"])
    except (OSError, TimeoutError):
        return False
    finally:
        if writer is not None:
            writer.transport.abort()


async def run(question: Question, seconds: float, interval: float) -> None:
    """Send requests until the time is over."""

    async def once() -> None:
        began = time.monotonic()
        ok = await ask(question)
        sys.stdout.write(f"{began:.4f} {time.monotonic():.4f} {ok:d}\n")
        sys.stdout.flush()

    start = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(int(seconds / interval)):
            await asyncio.sleep(max(0.0, start + number * interval - time.monotonic()))
            group.create_task(once())


if __name__ == "__main__":
    host, port, path, *numbers = sys.argv[1:]
    seconds, interval, timeout = map(float, numbers)
    asyncio.run(run(Question(host, int(port), path, timeout), seconds, interval))
