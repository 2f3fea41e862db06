"""Asking until everything answers: often at first, ever more seldom, a line at each change."""

import heapq
import json
import os
import select
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import probes

FIRST, GROWTH, LONGEST = 0.1, 1.3, 1.0
"""Seconds between attempts at a probe: the first pause, what it grows by, its limit."""
TICK = 0.1
"""Seconds between looks at the specification."""


class Watch:
    """The state of one watch: what is due when, what is being asked, what was said last."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._read_at: tuple[int, int] | None = None
        self._probes: dict[str, dict] = {}
        self._final = False
        self._due: list[tuple[float, str, float]] = []
        self._asked: dict[Future, tuple[str, float]] = {}
        self._said: dict[str, probes.Answer] = {}

    def run(self) -> int:
        """Ask until all is ready and no more will come, or nobody listens any more."""
        with ThreadPoolExecutor(max_workers=probes.THREADS) as pool:
            while not self._done() and _listened_to():
                self._read()
                self._submit(pool)
                self._collect()
        return 0

    def _done(self) -> bool:
        ready = {name for name, (ready, _) in self._said.items() if ready}
        return self._final and ready >= set(self._probes)

    def _read(self) -> None:
        """Take in the specification when it is new; what it adds is due at once."""
        try:
            state = os.stat(self._path)  # noqa: PTH116 - pathlib is slow to import
            # Not the time of modification: an archive sets that, to whole seconds.
            stamp = (state.st_ctime_ns, state.st_ino)
            if stamp == self._read_at:
                return
            with open(self._path, encoding="utf-8") as file:  # noqa: PTH123 - likewise
                spec = json.load(file)
        except (OSError, ValueError):
            return  # being replaced: the next look finds it whole
        self._read_at = stamp
        self._final = bool(spec.get("final"))
        for probe in spec["probes"]:
            if probe["id"] not in self._probes:
                if "reports" in probe:
                    probe["reports"]["since"] = time.monotonic()
                self._probes[probe["id"]] = probe
                heapq.heappush(self._due, (time.monotonic(), probe["id"], FIRST))

    def _submit(self, pool: ThreadPoolExecutor) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            _, name, pause = heapq.heappop(self._due)
            self._asked[pool.submit(probes.ask, self._probes[name])] = (name, pause)

    def _collect(self) -> None:
        until = self._due[0][0] - time.monotonic() if self._due else TICK
        pause = max(0.0, min(TICK, until))
        if not self._asked:
            time.sleep(pause)
            return
        done, _ = wait(self._asked, timeout=pause, return_when=FIRST_COMPLETED)
        for future in done:
            name, interval = self._asked.pop(future)
            answer = future.result()
            if self._said.get(name) != answer:
                self._said[name] = answer
                _say(name, answer)
            if not answer[0]:
                again = (time.monotonic() + interval, name, min(interval * GROWTH, LONGEST))
                heapq.heappush(self._due, again)


def _say(name: str, answer: probes.Answer) -> None:
    sys.stdout.write(json.dumps({"id": name, "ready": answer[0], "detail": answer[1]}) + "\n")
    sys.stdout.flush()


def _listened_to() -> bool:
    """False when standard input is closed: labctl, at its other end, has gone."""
    readable, _, _ = select.select([0], [], [], 0)
    return not readable or bool(os.read(0, 4096))


def watch(path: str) -> int:
    """Watch what the specification at ``path`` names; the exit code."""
    try:
        return Watch(path).run()
    except BrokenPipeError:
        return 0
