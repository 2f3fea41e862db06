"""Map compute nodes into the cell: ``discover.py HOST,HOST``; ends when all of them are.

What ``nova-manage cell_v2 discover_hosts`` does. May be run again at any time.
"""

import contextlib
import os
import sys
import time

os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"

from nova import config, context, exception, objects
from nova.objects import host_mapping

PATIENCE = 540
"""Seconds: a node registers when its nova-compute has met libvirt, the bus and Placement."""


def mapped(admin: context.RequestContext, host: str) -> bool:
    """Whether a host is known to be in a cell."""
    try:
        objects.HostMapping.get_by_host(admin, host)
    except exception.HostMappingNotFound:
        return False
    return True


def main() -> None:
    """Look until every host has been found."""
    # Taken off the command line, which oslo.config reads too.
    wanted = set(sys.argv.pop().split(","))
    config.parse_args(["nova-manage"])
    objects.register_all()
    admin = context.get_admin_context()
    give_up = time.monotonic() + PATIENCE
    while missing := {host for host in wanted if not mapped(admin, host)}:
        if time.monotonic() > give_up:
            sys.exit(f"not registered: {', '.join(sorted(missing))}")
        # The schedulers look too, now and then: whoever comes second finds it done.
        with contextlib.suppress(exception.HostMappingExists):
            host_mapping.discover_hosts(admin)
        time.sleep(1)
    sys.stdout.write(f"in the cell: {', '.join(sorted(wanted))}\n")


if __name__ == "__main__":
    main()
