"""Beside the L3 agent: it starts its routers' watchers, and lends the routers' namespaces.

A watcher (neutron-keepalived-state-change) tells the agent which node VRRP has chosen for a router:
one process for each router on each node. Loaded for itself it takes 120 MB and seconds of CPU time;
forked from the agent, just after that is loaded, it shares nearly all of its memory.

Names of network namespaces live in one container. The metering agent, a container of its own, is
given descriptors of the routers' namespaces over a Unix socket, as they come and go.
"""

import array
import gc
import os
import socket
import sys
import traceback
from pathlib import Path
from types import FrameType

import eventlet
import pyroute2
import setproctitle
from eventlet import patcher
from neutron.agent.l3 import keepalived_state_change
from neutron.agent.l3.keepalived_state_change import MonitorDaemon
from pyroute2.netlink.nlsocket import NetlinkSocket

# As they were before green threads took their place.
native_os, native_socket = patcher.original("os"), patcher.original("socket")
native_threading, native_time = patcher.original("threading"), patcher.original("time")

NAMESPACES = Path("/run/netns")
REQUESTS = Path("/run/neutron/watchers")
LENDER = Path("/run/labctl/namespaces/l3")


def leave(watcher: MonitorDaemon, signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
    """End at a signal at once: green threads cannot be joined in its handler."""
    watcher.delete_pid()
    native_os._exit(0)


def receive(netlink: pyroute2.IPRoute) -> None:
    """Queue what the kernel says unasked: as pyroute2 does it, but without poll.

    Green threads have none.
    """
    while True:
        data = bytearray(64000)
        try:
            netlink._sock.recv_into(data, len(data))
        except OSError as error:
            netlink.buffer_queue.put(error)
            return
        netlink.buffer_queue.put(data)


def watch(arguments: list[str]) -> None:
    """Become the watcher of a router; this returns in no process."""
    sys.argv = ["neutron-keepalived-state-change", *arguments]
    # By the name of its pid file in its command line the agent knows it again, to end it; a title
    # has no room for all arguments.
    known = [a for a in arguments if a.startswith("--pid_file=")]
    setproctitle.setproctitle(" ".join([sys.argv[0], *known]))
    # What was made before the fork, the parent waits with.
    eventlet.hubs.use_hub()
    # It waits for the kernel in one thread while others go on.
    pyroute2.config.SocketBase = socket.socket
    NetlinkSocket.async_recv = receive
    MonitorDaemon.handle_sigterm = leave
    keepalived_state_change.main()


def start_watchers() -> None:
    """Fork the process that forks watchers, one for each line in the pipe."""
    REQUESTS.parent.mkdir(exist_ok=True)
    REQUESTS.unlink(missing_ok=True)
    native_os.mkfifo(REQUESTS, 0o600)
    # What is loaded by now is never looked at again by the collector, and so stays shared.
    gc.collect()
    gc.freeze()
    if native_os.fork():
        return
    setproctitle.setproctitle("neutron-keepalived-state-change (starter)")
    # Opened for writing too, so that it never ends.
    with open(native_os.open(REQUESTS, os.O_RDWR)) as requests:  # noqa: PTH123
        for line in iter(requests.readline, ""):
            child = native_os.fork()
            if child == 0:
                try:
                    watch(line.split())
                except BaseException:
                    traceback.print_exc()
                finally:
                    native_os._exit(1)
            # It puts itself into the background, as daemons do.
            native_os.waitpid(child, 0)


def lend(borrower: "native_socket.socket") -> None:
    """Tell one borrower of namespaces as they come (with a descriptor) and go, until it leaves."""
    lent: set[str] = set()
    while True:
        present = {name for name in native_os.listdir(NAMESPACES) if name.startswith("qrouter-")}
        for name in lent - present:
            borrower.sendmsg([f"-{name}".encode()])
        for name in present - lent:
            descriptor = native_os.open(NAMESPACES / name, os.O_RDONLY)
            rights = array.array("i", [descriptor])
            borrower.sendmsg(
                [f"+{name}".encode()],
                [(native_socket.SOL_SOCKET, native_socket.SCM_RIGHTS, rights)],
            )
            native_os.close(descriptor)
        lent = present
        native_time.sleep(1)


def lender() -> None:
    """Serve one borrower after the other."""
    LENDER.unlink(missing_ok=True)
    NAMESPACES.mkdir(exist_ok=True)
    with native_socket.socket(native_socket.AF_UNIX, native_socket.SOCK_SEQPACKET) as server:
        server.bind(str(LENDER))
        server.listen(1)
        while True:
            borrower, _ = server.accept()
            try:
                with borrower:
                    lend(borrower)
            except OSError:
                continue  # it left, or a namespace went away meanwhile: it asks again


start_watchers()
native_threading.Thread(target=lender, daemon=True).start()
