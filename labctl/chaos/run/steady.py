"""Whether a lab is steady: healthy, with no fault in force and one leader in each cluster."""

from __future__ import annotations

import time
from threading import Event
from typing import Any

from labctl.engine.port import Engine
from labctl.errors import LabctlError
from labctl.planning.desired import Desired
from labctl.running.status import OFF, Status, status

_LEAST_LOOKS = 3
"""Times that a lab is looked at before it counts as not steady: it may be so for a moment only."""
_INTERVAL = 1.0
_MOST_REASONS = 20


def await_steady(engine: Engine, desired: Desired, within: float) -> dict[str, Any]:
    """Wait up to ``within`` seconds until the lab is steady; ``held`` and ``said`` of run.json.

    ``said`` are the reasons why it is not.
    """
    limit, looks = time.monotonic() + within, 0
    while True:
        looks += 1
        reasons = unsteady(engine, desired)
        if not reasons:
            return {"held": True, "said": []}
        if looks >= _LEAST_LOOKS and time.monotonic() > limit:
            return {"held": False, "said": reasons}
        Event().wait(_INTERVAL)


def unsteady(engine: Engine, desired: Desired) -> list[str]:
    """Why the lab is not steady; empty when it is."""
    try:
        seen: Status = status(engine, desired)
    except LabctlError as error:
        return [str(error)]
    reasons = _rivals(seen)
    if seen["state"] == "healthy" and not seen["faults"]:
        return reasons
    reasons += [f"{fault['fault']} is in force" for fault in seen["faults"]]
    if len(seen["vip"]["holders"]) > 1:
        reasons.append(f"{' and '.join(seen['vip']['holders'])} hold the virtual IP")
    reasons += [f"{node['name']} is off" for node in seen["nodes"] if node["state"] == OFF]
    reasons += [
        f"{node['name']}/{instance['service']}: {instance['detail']}"
        for node in seen["nodes"]
        if node["state"] != OFF
        for instance in node["instances"]
        if not instance["ready"]
    ]
    reasons += [
        f"{kind} has {cluster.get('size')} of {cluster.get('expected')} members"
        for kind, cluster in seen["clusters"].items()
        if cluster.get("size") != cluster.get("expected")
    ]
    return reasons[:_MOST_REASONS] or [f"labctl status says {seen['state']}"]


def _rivals(seen: Status) -> list[str]:
    """Clusters with more than one leader: all members answer, but one does not know better yet.

    Sentinels turn a master that comes back into a replica after 8 s, at their next INFO, which
    they send every 10 s.
    """
    return [
        f"{' and '.join(names)} are {part} of {kind}"
        for kind, cluster in seen["clusters"].items()
        for part in ("masters", "primaries")
        if len(names := cluster.get(part) or ()) > 1
    ]
