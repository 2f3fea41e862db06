"""Beside the metering agent: gives it names for the routers' namespaces, which the L3 agent made.

The L3 agent, a container of its own, sends descriptors of them over a Unix socket. A name is a link
to the descriptor. When the L3 agent dies all are let go at once, so that its namespaces end as they
would without a borrower.
"""

import array
import contextlib
import os
from pathlib import Path

from eventlet import patcher

# As they were before green threads took their place.
native_os, native_socket = patcher.original("os"), patcher.original("socket")
native_threading, native_time = patcher.original("threading"), patcher.original("time")

NAMESPACES = Path("/run/netns")
LENDER = "/run/labctl/namespaces/l3"


def drop(held: dict[str, int], name: str) -> None:
    """Let a namespace go."""
    (NAMESPACES / name).unlink(missing_ok=True)
    if name in held:
        native_os.close(held.pop(name))


def borrow(held: dict[str, int]) -> None:
    """Follow what the L3 agent says until it ends or is not there."""
    with native_socket.socket(native_socket.AF_UNIX, native_socket.SOCK_SEQPACKET) as lender:
        lender.connect(LENDER)
        while True:
            rights = array.array("i")
            said, sent, _, _ = lender.recvmsg(256, native_socket.CMSG_SPACE(rights.itemsize))
            if not said:
                return
            name = said[1:].decode()
            drop(held, name)
            for _, _, data in sent:
                rights.frombytes(data)
                held[name] = rights[0]
                (NAMESPACES / name).symlink_to(f"/proc/{os.getpid()}/fd/{held[name]}")


def borrower() -> None:
    """Borrow again and again."""
    held: dict[str, int] = {}
    while True:
        # It may not be there, yet or for now.
        with contextlib.suppress(OSError):
            borrow(held)
        for name in list(held):
            drop(held, name)
        native_time.sleep(1)


NAMESPACES.mkdir(exist_ok=True)
native_threading.Thread(target=borrower, daemon=True).start()
