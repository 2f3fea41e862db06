"""What the adapter must do differently on Podman; nothing here is needed for Docker."""

from __future__ import annotations

import resource
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import requests

from labctl.engine import answers
from labctl.engine.port import ContainerSpec, FileEntry

_LIBPOD = "v4.0.0/libpod"

_ULIMITS = {
    "nofile": (resource.RLIMIT_NOFILE, 1 << 20),
    "nproc": (resource.RLIMIT_NPROC, 1 << 15),
}
"""Limit → its ``resource`` number, and a value that is plenty (Podman's own, for ``nproc``)."""


def default_ulimits(url: str) -> dict[str, int]:
    """Ulimits for those that a spec leaves out: name → value.

    Podman's own defaults raise limits, which not every machine allows. If the engine is on this
    machine, this process's hard limits show what is allowed; if not, the result is empty.
    """
    if not url.startswith("unix:"):
        return {}
    limits = {}
    for name, (number, plenty) in _ULIMITS.items():
        hard = resource.getrlimit(number)[1]
        limits[name] = plenty if hard == resource.RLIM_INFINITY else min(hard, plenty)
    return limits


def tmpfs(spec: ContainerSpec) -> dict[str, str]:
    """A spec's tmpfs mounts with options that Podman accepts: path → options.

    Podman has ``U`` instead of uid= and gid=: the container's own user owns the mount. A mount
    for another user is made writable by everyone in the container instead. ``notmpcopyup``:
    unlike Docker, Podman would copy what the image has at the path.
    """
    return {
        path: ",".join([*_tmpfs_options(options.split(","), spec.user), "notmpcopyup"])
        for path, options in spec.tmpfs.items()
    }


def _tmpfs_options(options: list[str], user: str) -> list[str]:
    owners = [option for option in options if option.startswith(("uid=", "gid="))]
    uid = next((option[4:] for option in owners if option.startswith("uid=")), "0")
    kept = [option for option in options if option and option not in owners]
    if uid == "0":
        return kept
    if uid == user.partition(":")[0]:
        return [*kept, "U"]
    return [*(option for option in kept if not option.startswith("mode=")), "mode=1777"]


def kill(api: Any, name: str) -> None:
    """Kill without waiting: Podman's forced removal first waits for the container to exit."""
    with suppress(requests.RequestException):
        api.kill(name, "SIGKILL")


def update(api: Any, name: str, quota: int, period: int, memory: int) -> None:
    """Set limits. Podman 4.3 does that only by its own API, which takes OCI runtime fields."""
    resources = {
        "cpu": {"quota": quota, "period": period},
        "memory": {"limit": memory, "swap": memory},
    }
    url = f"{api.base_url}/{_LIBPOD}/containers/{name}/update"
    response = api.post(url, json=resources, timeout=api.timeout)
    if not response.ok:
        raise answers.RefusedError(response.text)


def by_mount(
    api: Any, name: str, files: Sequence[FileEntry]
) -> Iterator[tuple[str, list[FileEntry]]]:
    """Group files by the directory in which their archive has to be unpacked.

    An archive for ``/`` reaches a Podman volume only if the volume is new, and is filled from the
    image when the container first starts. Files on other volumes are unpacked at the mount.
    """
    mounts = [m for m in api.inspect_container(name)["Mounts"] if m["Type"] == "volume"]
    used = [m["Destination"] for m in mounts if not _is_new(api, m["Name"])]
    groups: dict[str, list[FileEntry]] = {}
    for file in files:
        above = [mount for mount in used if file.path.startswith(mount.rstrip("/") + "/")]
        groups.setdefault(max(above, key=len, default="/"), []).append(file)
    yield from groups.items()


def _is_new(api: Any, volume: str) -> bool:
    answer = api.get(f"{api.base_url}/{_LIBPOD}/volumes/{volume}/json", timeout=api.timeout)
    return bool(answer.ok and answer.json().get("NeedsCopyUp"))
