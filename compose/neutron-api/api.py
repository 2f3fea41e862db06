"""Neutron's API in one process of green threads.

Neutron Zed counts on them: it leaves notifications to Nova and the like to green threads. Under
uWSGI these run only while a request does, and its real threads wake each other's green threads,
which fails ("cannot switch to a different thread"). Neutron's own server is both the API and RPC;
this is its half that answers the API, and neutron-rpc-server is the other.
"""

import sys

import neutron.cmd.eventlet.server  # first: it takes the threads' place
from neutron.server import wsgi_eventlet
from neutron_lib.callbacks import events, registry, resources


def answer(api: object) -> None:
    """What follows when the API listens; the workers for RPC are another process's."""
    registry.publish(resources.PROCESS, events.AFTER_SPAWN, None)
    api.wait()


wsgi_eventlet.start_api_and_rpc_workers = answer
sys.exit(neutron.cmd.eventlet.server.main())
