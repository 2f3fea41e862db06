"""One of Neutron's agents in one process: ``neutron-agent.py MODULE [arguments]``.

As packaged, an agent does privileged work in helper processes, up to six, each as large as itself.
Here the container has exactly the capabilities that are needed, so the agent may do it itself, as
Neutron's own functional tests do. A netlink socket is opened in a namespace by a visit there, not
by a process that is forked for each question and asked over a pipe.
"""

import ctypes
import importlib
import os
import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The agent's module comes first: it takes the threads' place.
agent = importlib.import_module(sys.argv.pop(1))

import eventlet  # noqa: E402
import pyroute2  # noqa: E402
from neutron import privileged  # noqa: E402
from oslo_privsep.priv_context import PrivContext  # noqa: E402
from pyroute2 import netns  # noqa: E402

# Given each time, for pyroute2 runs ldconfig when it must look for it.
libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def visit(namespace: str) -> Iterator[None]:
    """Be in the namespace with this thread; nothing in the block may let another green one run."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        netns.setns(namespace, flags=0, libc=libc)
        try:
            yield
        finally:
            netns.setns(home, libc=libc)
    finally:
        os.close(home)


def netlink(namespace: str, **_: object) -> pyroute2.IPRoute:
    """A netlink socket of the namespace, which it keeps."""
    with visit(namespace):
        return pyroute2.IPRoute()


for context in vars(privileged).values():
    if isinstance(context, PrivContext):
        context.set_client_mode(False)
pyroute2.NetNS = netlink
# The kernel answers at once, so these sockets may block. pyroute2's own for green threads keeps its
# methods in the class: the second socket takes those of the first.
pyroute2.config.SocketBase = eventlet.patcher.original("socket").socket
if Path("/etc/labctl/beside.py").exists():
    runpy.run_path("/etc/labctl/beside.py")
sys.exit(agent.main())
