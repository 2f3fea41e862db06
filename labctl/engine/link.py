"""The lab's link: a veth pair on the engine's host that the lab's network is built on.

One end is the parent of the macvlan network, the other gives the host an address in the lab
(macvlan itself lets no traffic pass between a parent and its children). The pair is made by a
short-lived helper container in the host's network namespace, so labctl needs no privileges of its
own and the engine may be on another machine. Both ends have the lab's name as their alias, by
which they are found. Traffic from the lab is filtered (:mod:`labctl.engine.filter`) before the
pair is up.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import NamedTuple

from labctl.engine import filter as filtering
from labctl.engine.helper import NO_LAB, run_helper
from labctl.engine.port import Engine
from labctl.errors import EngineError
from labctl.model.topology import HostServices

_ALIAS = "labctl:"

# All or nothing; an existing pair (with our alias) is kept and its filter replaced. No IPv6 on the
# ends: they would send router solicitations into the lab. Turning off address generation needs no
# writable /proc/sys.
_CREATE = """
set -eu
parent=$1 host=$2 address=$3 alias=$4 table=$5 rules=$6
for end in "$parent" "$host"; do
    if ip link show dev "$end" >/dev/null 2>&1; then
        ip link show dev "$end" | grep -qxF "    alias $alias" && continue
        echo "the interface $end already exists and is not the lab's"
        exit 1
    fi
done
if ! ip link show dev "$parent" >/dev/null 2>&1; then
    ip link add "$parent" type veth peer name "$host"
    trap 'test $? = 0 || { ip link delete "$parent"; nft delete table inet "$table"; }' EXIT
fi
if [ -n "$rules" ]; then
    printf %s "$rules" | nft -f - || {
        echo "the kernel cannot filter what comes from the lab (nf_tables, family inet);" \
            "set 'network: {host_services: reachable}' in the topology to run without a filter"
        exit 1
    }
elif nft list table inet "$table" >/dev/null 2>&1; then
    nft delete table inet "$table"
fi
for end in "$parent" "$host"; do
    ip link set dev "$end" alias "$alias"
    ip link set dev "$end" addrgenmode none
done
ip -oneline -4 address show dev "$host" | while read -r _ _ _ other _; do
    test "$other" = "$address" || ip address delete "$other" dev "$host"
done
ip address replace "$address" dev "$host"
ip link set dev "$parent" up
ip link set dev "$host" up
"""

_REMOVE = """
set -eu
for end in "$1" "$2"; do
    if ip link show dev "$end" 2>/dev/null | grep -qxF "    alias $3"; then
        ip link delete dev "$end"
        echo removed
    fi
done
if nft list table inet "$4" >/dev/null 2>&1; then nft delete table inet "$4"; fi
"""

# Without nf_tables in the kernel there is no table to list, and nft fails.
_FIND = """
set -eu
ip -json link show
nft -j list tables inet 2>/dev/null || echo '{"nftables": []}'
"""


class Link(NamedTuple):
    """A lab's link: the pair's ends, and whether traffic from the lab is filtered."""

    parent: str
    host_end: str
    filtered: bool


def link_names(lab: str) -> tuple[str, str]:
    """Names of the pair's ends (parent, host's end), from the lab's; at most 15 characters."""
    digest = hashlib.sha256(lab.encode()).hexdigest()[:8]
    return f"lab-{digest}-p", f"lab-{digest}-h"


def create_link(  # noqa: PLR0917
    engine: Engine,
    lab: str,
    parent: str,
    host_end: str,
    address_cidr: str,
    image: str,
    *,
    host_services: HostServices = "blocked",
) -> None:
    """Create the pair, bring it up and give the host's end its address (198.18.0.254/24).

    An existing pair is kept, but its filter is replaced. ``image`` needs iproute2 and nftables.
    EngineError when the host refuses; nothing is left behind then.
    """
    rules = filtering.rules(lab, host_end) if host_services == "blocked" else ""
    table = filtering.table_name(lab)
    arguments = (parent, host_end, address_cidr, _ALIAS + lab, table, rules)
    code, output = run_helper(
        engine,
        f"{lab}-link",
        image,
        _CREATE,
        arguments,
        lab=lab,
        cap_add=("NET_ADMIN",),
        host_network=True,
    )
    if code:
        raise EngineError(f"cannot create the link of lab {lab}: {_last_line(output)}")


def remove_link(engine: Engine, lab: str, parent: str, host_end: str, image: str) -> bool:
    """Remove the pair if it is the lab's, and the filter; returns whether the pair existed."""
    code, output = run_helper(
        engine,
        f"{lab}-link",
        image,
        _REMOVE,
        (parent, host_end, _ALIAS + lab, filtering.table_name(lab)),
        lab=lab,
        cap_add=("NET_ADMIN",),
        host_network=True,
    )
    if code:
        raise EngineError(f"cannot remove the link of lab {lab}: {_last_line(output)}")
    return "removed" in output


def find_links(engine: Engine, image: str) -> dict[str, Link]:
    """The links on the engine's host: lab → link."""
    name = f"{NO_LAB}-links-{os.getpid()}"
    code, output = run_helper(engine, name, image, _FIND, cap_add=("NET_ADMIN",), host_network=True)
    if code:
        raise EngineError(f"cannot list the links of labs: {_last_line(output)}")
    links, tables = (json.loads(line) for line in output.splitlines())
    labs = {
        link["ifalias"].removeprefix(_ALIAS)
        for link in links
        if link.get("ifalias", "").startswith(_ALIAS)
    }
    found = {item["table"]["name"] for item in tables["nftables"] if "table" in item}
    return {lab: Link(*link_names(lab), filtering.table_name(lab) in found) for lab in sorted(labs)}


def _last_line(output: str) -> str:
    return next((line for line in reversed(output.splitlines()) if line.strip()), "no reason given")
