"""Run one of Cinder's services as its own user in one process: ``start.py volume|backup ...``.

What Cinder does as root needs no root here: the NFS driver works on files of its own, on a share
that is mounted already. So the commands that it prefixes with sudo and its rootwrap run as they
are, and what it would hand to privsep's helpers (90 MB each) runs in this process. For its only
backend cinder-volume needs no process to watch over another one either.
"""

import importlib
import sys

# Imported first: it puts eventlet in the place of threads and sockets.
main = importlib.import_module(f"cinder.cmd.{sys.argv.pop(1)}").main

import cinder.privsep  # noqa: E402
import os_brick.privileged  # noqa: E402
from cinder import service, utils  # noqa: E402

service.get_launcher = service.Launcher
utils.get_root_helper = lambda: "env"
cinder.privsep.sys_admin_pctxt.set_client_mode(False)
os_brick.privileged.default.set_client_mode(False)

main()
