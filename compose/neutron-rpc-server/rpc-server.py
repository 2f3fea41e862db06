"""neutron-rpc-server in one process.

As packaged it is two: one that only waits for the other. And with the API in uWSGI nobody runs the
plugins' own workers, among them the one that moves networks away from dead DHCP agents; here they
run beside RPC.
"""

import sys

import neutron.cmd.eventlet.server  # first: it takes the threads' place
from neutron import service

rpc_workers = service._get_rpc_workers


def in_this_process(plugin: object = None) -> list[object]:
    """The workers that the server would fork, as threads of this process."""
    workers = rpc_workers(plugin) + service._get_plugins_workers()
    for worker in workers:
        worker._worker_process_count = 0
    return workers


service._get_rpc_workers = in_this_process
sys.exit(neutron.cmd.eventlet.server.main_rpc_eventlet())
