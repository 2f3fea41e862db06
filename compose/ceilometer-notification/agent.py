"""Ceilometer's notification agent, which waits until its publishers can log in.

A publisher logs in to Keystone when the agent starts. When that fails, because Keystone is busy or
its last instance has just died, the agent says so once and from then on takes samples from the bus
and throws them away.
"""

import sys

import tenacity
from ceilometer.cmd import agent_notification
from ceilometer.pipeline import base
from oslo_log import log

LOG = log.getLogger("ceilometer.agent")


def waits(state: tenacity.RetryCallState) -> None:
    """Tell what it waits for."""
    LOG.warning("publisher %s is tried again: %s", state.args[1], state.outcome.exception())


if __name__ == "__main__":
    base.PublisherManager.get = tenacity.retry(wait=tenacity.wait_fixed(2), before_sleep=waits)(
        base.PublisherManager.get
    )
    sys.exit(agent_notification.main())
