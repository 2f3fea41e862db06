"""Convert a :class:`ContainerSpec` to the Docker API, for Docker and for Podman. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from labctl.engine import podman
from labctl.engine.port import ContainerSpec

ENDPOINT_MAC = (1, 44)
"""Since this API version a MAC address belongs to the endpoint, not to the container."""


def container_config(
    spec: ContainerSpec,
    *,
    kind: Literal["docker", "podman"],
    api: tuple[int, int],
    ulimits: Mapping[str, int],
) -> dict[str, Any]:
    """The body of ``POST /containers/create``.

    ``ulimits`` are the engine's own defaults for those that the spec does not name.
    """
    config: dict[str, Any] = {
        "Image": spec.image,
        "User": spec.user,
        "Labels": dict(spec.labels),
        "Env": [f"{key}={value}" for key, value in spec.environment.items()],
        "StopSignal": spec.stop_signal,
        "StopTimeout": spec.stop_seconds,
        "HostConfig": _host_config(spec, kind, ulimits),
    }
    if spec.command:
        config["Cmd"] = list(spec.command)
    if spec.hostname and spec.join is None:
        config["Hostname"] = spec.hostname
    if spec.attachment:
        endpoint: dict[str, Any] = {"IPAMConfig": {"IPv4Address": spec.attachment.address}}
        if kind == "podman" or api >= ENDPOINT_MAC:
            endpoint["MacAddress"] = spec.attachment.mac
        else:
            config["MacAddress"] = spec.attachment.mac
        config["NetworkingConfig"] = {"EndpointsConfig": {spec.attachment.network: endpoint}}
    return config


def volume_options(size: int) -> dict[str, str]:
    """Options of the local volume driver: in memory, if the volume has a size in bytes."""
    return {"type": "tmpfs", "device": "tmpfs", "o": f"size={size}"} if size else {}


def confinement(spec: ContainerSpec) -> list[str]:
    """The security option, for the API and for Compose, that turns off AppArmor's profile."""
    return [] if spec.apparmor else ["apparmor=unconfined"]


def _host_config(
    spec: ContainerSpec, kind: Literal["docker", "podman"], ulimits: Mapping[str, int]
) -> dict[str, Any]:
    host: dict[str, Any] = {
        "NetworkMode": _network_mode(spec),
        "CapDrop": ["ALL"],
        "CapAdd": list(spec.cap_add),
        # No process gains privileges through a set-uid program.
        "SecurityOpt": ["no-new-privileges", *confinement(spec)],
        "Sysctls": dict(spec.sysctls),
        "Binds": [f"{volume.volume}:{volume.target}" for volume in spec.volumes],
        "Tmpfs": podman.tmpfs(spec) if kind == "podman" else dict(spec.tmpfs),
        "Devices": [_device(device) for device in spec.devices],
        "Ulimits": [
            {"Name": name, "Soft": value, "Hard": value}
            for name, value in {**ulimits, **spec.ulimits}.items()
        ],
        "Memory": spec.memory_bytes,
        "MemorySwap": spec.memory_bytes,
        "CpuShares": spec.cpu_shares,
        "RestartPolicy": {"Name": "no"},
    }
    if spec.join is not None and kind == "podman":
        # Docker shares the host name along with the network; Podman must be told.
        host["UTSMode"] = f"container:{spec.join}"
    if spec.host_pid:
        host["PidMode"] = "host"
    return host


def _network_mode(spec: ContainerSpec) -> str:
    if spec.attachment:
        return spec.attachment.network
    if spec.join is not None:
        return f"container:{spec.join}"
    return "host" if spec.host_network else "none"


def _device(device: str) -> dict[str, str]:
    path, _, rest = device.partition(":")
    inside, _, permissions = rest.partition(":")
    return {
        "PathOnHost": path,
        "PathInContainer": inside or path,
        "CgroupPermissions": permissions or "rwm",
    }
