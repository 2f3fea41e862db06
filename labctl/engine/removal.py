"""Removing a container, where engines differ: somebody else removing it, and its tenants."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Literal

import requests
import tenacity

from labctl.engine import podman

_ID = re.compile(r"[0-9a-f]{64}")
_GONE_WITHIN = 60.0


def remove(api: Any, name: str, kind: Literal["docker", "podman"]) -> None:
    """Kill and remove with anonymous volumes; absent is well.

    Podman refuses while other containers share the network namespace: those cannot live on
    without it, so they go first.
    """
    if kind == "podman":
        podman.kill(api, name)
    error = _try(api, name)
    if error is None:
        return
    if "dependent containers" in error.explanation:
        _, *tenants = _ID.findall(error.explanation)
        for tenant in tenants:
            remove(api, tenant, kind)
        error = _try(api, name)
    if error is not None and error.status_code == HTTPStatus.CONFLICT:
        # Somebody else removes it right now; the name is free only when that is done.
        error = _gone(api, name)
    if error is not None:
        raise error


def _try(api: Any, name: str) -> Any:
    """What the engine objected, if it did."""
    try:
        api.remove_container(name, v=True, force=True)
    except requests.RequestException as error:
        status = getattr(error.response, "status_code", None)
        if status is None:
            raise
        return None if status == HTTPStatus.NOT_FOUND else error
    return None


def _gone(api: Any, name: str) -> Any:
    return tenacity.Retrying(
        stop=tenacity.stop_after_delay(_GONE_WITHIN),
        wait=tenacity.wait_fixed(0.1),
        retry=tenacity.retry_if_result(lambda error: error is not None),
        retry_error_callback=lambda attempt: attempt.outcome and attempt.outcome.result(),
    )(_try, api, name)
