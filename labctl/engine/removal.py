"""Remove a container, including where engines differ: concurrent removal and dependents."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Literal

import requests
import tenacity

from labctl.engine import podman

_ID = re.compile(r"[0-9a-f]{64}")
_REMOVAL_SECONDS = 60.0


def remove(api: Any, name: str, kind: Literal["docker", "podman"]) -> None:
    """Kill and remove with anonymous volumes; no-op if absent.

    Podman refuses while other containers share the network namespace: those are useless without
    it, so they are removed first.
    """
    if kind == "podman":
        podman.kill(api, name)
    error = _try(api, name)
    if error is None:
        return
    if "dependent containers" in error.explanation:
        _, *dependents = _ID.findall(error.explanation)
        for dependent in dependents:
            remove(api, dependent, kind)
        error = _try(api, name)
    if error is not None and error.status_code == HTTPStatus.CONFLICT:
        # It is already being removed; the name is free only when that is done.
        error = _retry(api, name)
    if error is not None:
        raise error


def _try(api: Any, name: str) -> Any:
    """Remove once; returns the engine's error, or None if the container is gone."""
    try:
        api.remove_container(name, v=True, force=True)
    except requests.RequestException as error:
        status = getattr(error.response, "status_code", None)
        if status is None:
            raise
        return None if status == HTTPStatus.NOT_FOUND else error
    return None


def _retry(api: Any, name: str) -> Any:
    """Repeat :func:`_try` until it succeeds or the time is up; returns the last error."""
    return tenacity.Retrying(
        stop=tenacity.stop_after_delay(_REMOVAL_SECONDS),
        wait=tenacity.wait_fixed(0.1),
        retry=tenacity.retry_if_result(lambda error: error is not None),
        retry_error_callback=lambda attempt: attempt.outcome and attempt.outcome.result(),
    )(_try, api, name)
