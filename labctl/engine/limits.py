"""Convert a container's hard limits to and from the Docker API, and set them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from labctl.engine import podman
from labctl.engine.port import ENDLESS, Limits

PERIOD = 100_000
"""Microseconds over which CPU time is counted: the kernel's own default."""
UNLIMITED = (1 << 63) - (1 << 12)
"""Bytes of memory, the kernel's own number for no limit: engines have no name for it."""


def found(host: Mapping[str, Any]) -> Limits:
    """From ``HostConfig`` of ``/containers/<name>/json``."""
    quota, period = int(host.get("CpuQuota") or 0), int(host.get("CpuPeriod") or PERIOD)
    memory = int(host.get("Memory") or 0)
    return Limits(
        cpus=round(quota / period, 5) if quota > 0 else 0.0,
        memory=memory if 0 < memory < ENDLESS else 0,
    )


def update(api: Any, name: str, limits: Limits, kind: Literal["docker", "podman"]) -> None:
    """Set limits. The memory limit includes swap, so none is used; raises the SDK's errors."""
    quota = round(limits.cpus * PERIOD) or -1
    memory = limits.memory or UNLIMITED
    if kind == "podman":
        podman.update(api, name, quota, PERIOD, memory)
        return
    api.update_container(
        name, cpu_period=PERIOD, cpu_quota=quota, mem_limit=memory, memswap_limit=memory
    )
