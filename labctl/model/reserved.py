"""Names that no node can have, because they mean something else where nodes are named."""

from __future__ import annotations

from collections.abc import Mapping

FILES = "labctl-files"
"""The service of a lab's Compose document that installs the files of all others."""

_THIS_MACHINE = "a name that every machine has for itself"
_PART = "a part that faults can target"
_SHARE = "a share of a service's instances that faults can target"
_WORD = "a keyword of scenarios"

RESERVED: Mapping[str, str] = {
    **dict.fromkeys(("localhost", "ip6-localhost", "ip6-loopback"), _THIS_MACHINE),
    **dict.fromkeys(
        ("ip6-localnet", "ip6-mcastprefix", "ip6-allnodes", "ip6-allrouters"),
        "a name that engines write into every /etc/hosts",
    ),
    "host": "the engine's host in the lab",
    "vip": "the virtual IP",
    **dict.fromkeys(
        (
            "vip-holder",
            "galera-writer",
            "galera-donor",
            "rabbit-leader",
            "redis-master",
            "sentinel-leader",
            "mongo-primary",
            "l3-master",
            "amphora",
        ),
        _PART,
    ),
    **dict.fromkeys(("one", "minority", "majority", "all"), _SHARE),
    **dict.fromkeys(("others", "is", "not"), _WORD),
}
"""Name → what it means, for error messages."""
