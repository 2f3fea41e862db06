"""A run's history in the formats of other checkers, so that strangers can referee.

What may enter are formats: each is a file here that turns operations into text. Nothing here judges
or needs a lab.

- ``jepsen``: ``history.edn`` as Jepsen's own tests write it, one operation map to a line; Knossos
  and ``elle-cli`` read it. A register's keys are tuples, ``[key value]``.
- ``elle``: the same of transactions alone (``:f :txn``, ``[:append k v]`` and ``[:r k [...]]``),
  which is what ``elle-cli --model list-append`` takes; registers are for ``rw-register``.
- ``porcupine``: the lines of Porcupine's test data for etcd. It is a library without a file format
  of its own; these are what its tests read. They have one register, so each key is a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from labctl.chaos.export import jepsen, porcupine
from labctl.chaos.folder.history import Operation, by_workload
from labctl.errors import InputError

Format = Callable[[Sequence[Operation]], Mapping[str, str]]

FORMATS: Mapping[str, Format] = {
    "elle": jepsen.transactions,
    "jepsen": jepsen.whole,
    "porcupine": porcupine.registers,
}
"""Name → from the operations of one workload to the texts, by the end of a file's name."""


def files(operations: Sequence[Operation], to: str) -> dict[str, str]:
    """The files of a history in a format: name → text. InputError if it takes none of it."""
    if to not in FORMATS:
        raise InputError(f"there is no format '{to}': {', '.join(FORMATS)}")
    found = {
        f"{workload}{end}": text
        for workload, mine in sorted(by_workload(operations).items())
        for end, text in FORMATS[to](mine).items()
    }
    if not found:
        raise InputError(f"no workload of the run can be written in the format '{to}'")
    return found
