"""The link's filter: nftables rules that keep a lab away from its engine's host. Pure text.

The host has an address in the lab, so that people reach the lab from there. Without a filter the
lab reached in return whatever the host listens on at all of its addresses, and, where the host
forwards, the networks behind it. The rules keep no state, so the host's connections are not
tracked because of them; a reply is a TCP segment that does not open a connection, or ICMP. So
replies over UDP don't come back either.
"""

from __future__ import annotations

import hashlib

_RULES = """\
table inet {table}
delete table inet {table}
table inet {table} {{
    chain from_lab {{
        icmp type {{ echo-request, echo-reply, destination-unreachable, time-exceeded }} accept
        tcp flags & (syn | ack) != syn accept
        counter drop comment "from labctl's lab {lab} to this host"
    }}
    chain to_host {{
        type filter hook input priority filter; policy accept;
        iifname "{host_end}" jump from_lab
    }}
    chain through_host {{
        type filter hook forward priority filter; policy accept;
        iifname "{host_end}" counter drop comment "from labctl's lab {lab}"
        oifname "{host_end}" counter drop comment "to labctl's lab {lab}"
    }}
}}
"""


def table_name(lab: str) -> str:
    """Name of the lab's table, in the family inet of the engine's host."""
    return f"labctl_{hashlib.sha256(lab.encode()).hexdigest()[:8]}"


def rules(lab: str, host_end: str) -> str:
    """One transaction for ``nft -f``: the lab's whole table, in place of one that is there."""
    return _RULES.format(table=table_name(lab), lab=lab, host_end=host_end)
