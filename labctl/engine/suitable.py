"""Check whether an engine can run labs at all, regardless of its machine's resources. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.engine.port import EngineInfo

OLDEST = {"docker": (20, 10), "podman": (4, 3)}


@dataclass(frozen=True)
class Objection:
    """Why an engine cannot run labs, and what to do about it."""

    reason: str
    remedy: str


def objection(info: EngineInfo) -> Objection | None:
    """The first objection to the engine; None when it is suitable."""
    name = f"{info.kind.capitalize()} {info.version}"
    oldest = OLDEST[info.kind]
    numbers = tuple(int(part) for part in info.version.split(".")[:2] if part.isdigit())
    if numbers < oldest:
        return Objection(f"{name} is too old", f"install {'.'.join(map(str, oldest))} or later")
    if info.remapped:
        return Objection(
            f"{name} remaps users (userns-remap), so no container can create a lab's link",
            "run labs on an engine without userns-remap (see /etc/docker/daemon.json)",
        )
    return None
