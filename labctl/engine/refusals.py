"""Turn an engine's error messages into one sentence that says what to do. Pure."""

from __future__ import annotations

import re

from labctl.errors import EngineError, SubnetTakenError

_OVERLAP = r"pool overlaps with other one|subnet \S+ is already (used|being used)"
_KNOWN: tuple[tuple[str, str], ...] = (
    (
        r"no space left on device|disk quota exceeded",
        "{doing}: the engine's disk is full; free some space there and run again",
    ),
    (
        r"container name \"?/?(?P<name>[^\" ]+)\"? is already in use",
        "the container name {name} is taken by a container that is not the lab's;"
        " remove it or give the lab another name",
    ),
    (
        r"address already in use|address already allocated"
        r"|requested ip address \S+ is already allocated",
        "{doing}: its address is taken on the network;"
        " give the node another `address`, or the lab another `network.subnet`",
    ),
    (
        _OVERLAP,
        "{doing}: its subnet overlaps that of another network;"
        " set another `network.subnet` in the topology",
    ),
    (
        r"network with name (?P<name>\S+) already exists|network name (?P<other>\S+) already used",
        "the network name {name} is taken by a network that is not the lab's;"
        " remove it or give the lab another name",
    ),
    (
        r"is already using parent interface",
        "{doing}: another network already uses its link; remove that network",
    ),
    (
        r"no such image|image not known|unable to find .* in local storage",
        "{doing}: its image is missing; run `labctl images build`",
    ),
    (
        r"no such (container|exec)|no container with (name|id)",
        "{doing}: there is no such container",
    ),
    (
        r"has dependent containers",
        "{doing}: containers that share its network must be removed first",
    ),
    (r"is paused", "{doing}: the container is paused; `labctl unpause` it"),
    (
        r"is not running|container state improper|can only .* running containers",
        "{doing}: the container is not running",
    ),
    (
        r"unable to set memory limit to \d+ \(current usage: (?P<name>\d+)",
        "{doing}: its processes use {name} bytes of memory, which cannot be reclaimed; set a"
        " higher limit",
    ),
    (
        r"error setting rlimit|setrlimit .*operation not permitted",
        "{doing}: the machine does not allow its `ulimits`; lower them",
    ),
)


def refusal(doing: str, said: str) -> str:
    """The sentence; ``doing`` as in ``cannot start x``, ``said`` is the engine's message."""
    for pattern, sentence in _KNOWN:
        matched = re.search(pattern, said, re.IGNORECASE)
        if matched:
            groups = {key: value for key, value in matched.groupdict().items() if value}
            name = groups.get("name") or groups.get("other") or ""
            return sentence.format(doing=doing, name=name)
    return f"{doing}: the engine says: {' '.join(said.split())}"


def refused(doing: str, said: str) -> EngineError:
    """The error to raise, with the sentence of :func:`refusal`."""
    taken = re.search(_OVERLAP, said, re.IGNORECASE)
    return (SubnetTakenError if taken else EngineError)(refusal(doing, said))


def unreachable(url: str) -> str:
    """The sentence for an engine that does not answer, or no longer does."""
    if url.startswith("unix:"):
        return f"the container engine at {url} does not answer; run `labctl doctor --fix`"
    return (
        f"the container engine at {url} does not answer: check that it is running and that you "
        "have permission to use it"
    )
