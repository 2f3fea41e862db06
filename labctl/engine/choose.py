"""Choose the container engine to work with."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from labctl.engine.port import Engine
from labctl.errors import EngineError

KINDS = ("docker", "podman")
_DOCKER = "/var/run/docker.sock"
_PODMAN = "/run/podman/podman.sock"


def connect(choice: str | None = None) -> Engine:
    """Connect to the chosen engine, or to the first one that is available.

    ``choice`` is docker, podman, a URL or a socket's path. Without it, $LABCTL_ENGINE is used,
    then $DOCKER_HOST, then Docker's socket and Podman's. EngineError, with what to do, when none
    of them answers.
    """
    from labctl.engine.docker import DockerEngine  # the SDK takes a tenth of a second

    refused: EngineError | None = None
    for url in urls(choice, os.environ):
        try:
            _check_access(url)
            return DockerEngine(url)
        except EngineError as error:
            refused = refused or error
    raise refused or EngineError(_none(_chosen(choice, os.environ)))


def urls(choice: str | None, environment: Mapping[str, str]) -> Iterator[str]:
    """URLs to try, in order of preference; sockets that do not exist are left out."""
    chosen = _chosen(choice, environment)
    if chosen is not None and chosen not in KINDS:
        yield _url(chosen)
        return
    host = environment.get("DOCKER_HOST")
    if host and chosen != "podman":
        yield host
        return
    for kind in (chosen,) if chosen else KINDS:
        for path in sockets(kind, environment):
            if _is_socket(path):
                yield f"unix://{path}"


def local_kind(choice: str | None, environment: Mapping[str, str]) -> str | None:
    """The kind of engine to expect on this machine; None when a URL points somewhere else."""
    chosen = _chosen(choice, environment)
    if chosen is not None and chosen not in KINDS:
        return None
    named = environment.get("DOCKER_HOST")
    if named and named != f"unix://{_DOCKER}" and chosen != "podman":
        return None
    return chosen or KINDS[0]


def forbidden(kind: str, environment: Mapping[str, str]) -> bool:
    """Whether the engine's socket exists but we lack permission: starting it would not help."""
    existing = [path for path in sockets(kind, environment) if _is_socket(path)]
    return bool(existing) and not any(os.access(path, os.R_OK | os.W_OK) for path in existing)


def sockets(kind: str, environment: Mapping[str, str]) -> list[str]:
    """The default sockets of a kind of engine: the system's, then the user's."""
    paths = [_DOCKER] if kind == "docker" else [_PODMAN]
    runtime = environment.get("XDG_RUNTIME_DIR")
    if runtime:
        paths.append(f"{runtime}/docker.sock" if kind == "docker" else f"{runtime}{_PODMAN[4:]}")
    return paths


def _chosen(choice: str | None, environment: Mapping[str, str]) -> str | None:
    return choice or environment.get("LABCTL_ENGINE") or None


def _url(chosen: str) -> str:
    if "://" in chosen:
        return chosen
    if chosen.startswith("/"):
        return f"unix://{chosen}"
    raise EngineError(
        f"there is no engine '{chosen}': write docker, podman, or a URL such as unix://{_DOCKER}"
    )


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(Path(path).stat().st_mode)
    except PermissionError:
        return True  # it exists but we lack permission: _check_access reports that
    except OSError:
        return False


def _check_access(url: str) -> None:
    """Raise EngineError, with what to do, for a socket that we have no permission to use."""
    scheme, _, path = url.partition("://")
    if scheme != "unix" or not _is_socket(path) or os.access(path, os.R_OK | os.W_OK):
        return
    if path == _DOCKER:
        raise EngineError(
            f"you may not use Docker's socket {path}:"
            " join its group (`sudo usermod -aG docker $USER`), log in again and run again"
        )
    raise EngineError(f"you may not use the engine's socket {path}: run as its owner")


def _none(chosen: str | None) -> str:
    if chosen == "podman":
        return "no Podman service answers; run `labctl doctor --fix --engine podman`"
    return "no container engine answers on this machine; run `labctl doctor --fix`"
