"""What Octavia says about an amphora and its interfaces, in the words of ``ip``. Pure."""

import configparser
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Heartbeats:
    """To whom an amphora says that it lives, how often (seconds), and what signs it."""

    amphora: str
    managers: tuple[tuple[str, int], ...]
    interval: float
    key: str


def heartbeats(config: str) -> Heartbeats:
    """Read them from the file that Octavia gives each amphora as it is built."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(config)
    manager = parser["health_manager"]
    told = manager["controller_ip_port_list"].split(",")
    pairs = (pair.strip().rpartition(":") for pair in told if pair.strip())
    return Heartbeats(
        amphora=parser["amphora_agent"]["amphora_id"],
        managers=tuple((host, int(port)) for host, _, port in pairs),
        interval=manager.getfloat("heartbeat_interval"),
        key=manager["heartbeat_key"],
    )


@dataclass(frozen=True)
class Addressing:
    """What an interface gets: addresses, the first of which is the source of what it sends."""

    addresses: tuple[str, ...]
    routes: tuple[tuple[str, str], ...]
    """destination → next hop; ``default`` among them."""
    announced: tuple[str, ...] = ()
    """Addresses that move from amphora to amphora: neighbours must learn where they are now."""


def of_vip(vip: str, info: Mapping[str, Any]) -> Addressing:
    """The interface that holds a load balancer's address, as ``plug/vip`` describes it."""
    more = info.get("additional_vips", ())
    moving = (vip, *(each["ip_address"] for each in more))
    own = info.get("vrrp_ip")
    length = ipaddress.ip_network(info["subnet_cidr"]).prefixlen
    addresses = [f"{own}/{length}"] if own else []
    addresses += [str(ipaddress.ip_interface(address)) for address in moving]
    gateway = info.get("gateway")
    routes = [("default", gateway)] if gateway else []
    for each in (info, *more):
        routes += _routes(each)
    return Addressing(tuple(addresses), tuple(routes), moving)


def of_network(info: Mapping[str, Any]) -> Addressing:
    """An interface in a network of members, as ``plug/network`` describes it."""
    addresses: list[str] = []
    routes: list[tuple[str, str]] = []
    for each in info.get("fixed_ips") or ():
        length = ipaddress.ip_network(each["subnet_cidr"]).prefixlen
        addresses.append(f"{each['ip_address']}/{length}")
        routes += _routes(each)
    shared = info.get("vip_net_info")
    if not shared:
        return Addressing(tuple(addresses), tuple(routes))
    # Members of another subnet on the network of the load balancer's address: one interface.
    vip = of_vip(shared["vip"], shared)
    wanted = dict.fromkeys((*vip.addresses, *addresses))
    return Addressing(tuple(wanted), (*vip.routes, *routes), vip.announced)


def _routes(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(each["destination"], each["nexthop"]) for each in info.get("host_routes") or ()]


def haproxy_version(said: str) -> str:
    """``2.6.12-1+deb12u4`` of what ``haproxy -v`` says."""
    found = re.search(r"version (\S+)", said)
    if found is None:
        raise ValueError(f"haproxy -v says {said!r}")
    return found[1]
