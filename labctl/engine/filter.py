"""The link's filter: nftables rules that stop a lab from reaching its engine's host. Pure text.

The host has an address in the lab, so that the lab can be reached from there. Without a filter
the lab could in turn reach everything that listens on any address of the host and, if the host
forwards packets, the networks behind it. The rules are stateless, so they do not turn on
connection tracking on the host. What they accept as a reply is ICMP, or a TCP segment that does
not open a connection; replies over UDP are dropped.
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
    """One transaction for ``nft -f`` that creates the lab's table, replacing an existing one."""
    return _RULES.format(table=table_name(lab), lab=lab, host_end=host_end)
