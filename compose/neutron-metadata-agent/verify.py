"""What a server learns about itself."""

import re
from typing import Any


def run(ctx: Any) -> None:
    """The server has asked 169.254.169.254 and told on its console who it is."""
    log = ctx.state["console_log"]
    told = dict(re.findall(r"labctl-guest (hostname|instance-id|uuid)=(\S+)", log))
    if "instance-id" not in told:
        ctx.fail("the server's console names no instance-id: its metadata did not come")
    if told.get("uuid", ctx.state["server"]) != ctx.state["server"]:
        ctx.fail(f"the metadata is of {told['uuid']}, not of {ctx.state['server']}")
    ctx.say(f"metadata: instance-id {told['instance-id']}, hostname {told.get('hostname')}")
