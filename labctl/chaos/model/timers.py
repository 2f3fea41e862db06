"""The timers in force that decide how long a failover takes, read from a resolved lab. Pure.

They are numbers by name, times in seconds, so that a run can record them (``settings.timers`` in
run.json) and be judged again without its lab.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from labctl.chaos.model.spans import seconds
from labctl.chaos.model.vrrp import Timers
from labctl.model.lab import Lab, Service

Numbers = Mapping[str, float]

CHECK_TIMEOUT = 3.0
"""Seconds that keepalived waits for its check script (``timeout`` in keepalived.conf.j2)."""
RETRIES = 3.0
"""HAProxy's ``retries``, each one second after the one before."""
TCP_RETRIES2 = 25.4
"""Seconds until unacknowledged data ends a connection: tcp_retries2 = 6 (desired.py), that is 0.2 s
doubled each time: 0.2 × (2^7 - 1)."""

_BUILT_IN: Mapping[str, Numbers] = {
    # Galera 26.4, gcs/gcomm defaults: evs.keepalive_period, inactive_check_period, install_timeout.
    "mariadb": {"galera.keepalive": 1.0, "galera.check": 0.5, "galera.install": 7.5},
    # Sentinel (sentinel.c) pings once a second (SENTINEL_PING_PERIOD), asks its peers as often,
    # delays an election by up to a second at random, reads INFO from the promoted replica once a
    # second, and acts on nothing for 30 pings (TILT) after it did not run for two seconds.
    "sentinel": {
        "sentinel.ping": 1.0,
        "sentinel.ask": 1.0,
        "sentinel.desync": 1.0,
        "sentinel.info": 1.0,
        "sentinel.tilt": 30.0,
    },
    # electionTimeoutMillis is lengthened by up to 15 percent at random; heartbeats every 2 s. A new
    # primary asks all members how far they are before it takes writes, and waits
    # heartbeatTimeoutSecs for one that does not answer (catch-up, SERVER-26848).
    "mongodb": {
        "mongodb.offset": 0.15,
        "mongodb.heartbeat": 2.0,
        "mongodb.heartbeat_timeout": 10.0,
    },
    # Quorum queues: RabbitMQ has aten poll every five seconds
    # (raft.adaptive_failure_detector.poll_interval); an election takes at most a second (ra). A
    # node that pauses itself for a partial partition stops its application and starts it again:
    # that was measured, no timer says so.
    "rabbitmq": {"rabbitmq.aten": 5.0, "rabbitmq.election": 1.0, "rabbitmq.restart": 10.0},
}


def corrected(numbers: Numbers) -> dict[str, float]:
    """The timers that a run recorded, with the constants of the software as known today.

    What a setting decides is as recorded. What is built into a program is not: an older labctl
    may have recorded it wrongly, or not at all.
    """
    there = {name.removeprefix("members.") for name in numbers if name.startswith("members.")}
    built_in = [constants for service, constants in _BUILT_IN.items() if service in there]
    return {**numbers, **{name: value for each in built_in for name, value in each.items()}}


def timers(lab: Lab) -> dict[str, float]:
    """Every timer of the lab that a bound is computed from, by name."""
    found: dict[str, float] = {"tcp.retries2": TCP_RETRIES2, f"client.{lab.client.name}": 1.0}
    for service in lab.services.values():
        found |= {f"members.{service.name}": float(len(service.nodes))}
        found |= _BUILT_IN.get(service.name, {})
        found |= dict(_settings(service))
        found |= dict(_checks(service))
    return found


def vrrp(numbers: Numbers) -> dict[str, Timers]:
    """Node → keepalived's timers, from the result of :func:`timers`."""
    prefix = "vrrp.priority."
    return {
        name.removeprefix(prefix): Timers(
            advert=numbers["vrrp.advert"],
            priority=int(value),
            check_interval=numbers["vrrp.check_interval"],
            check_fall=int(numbers["vrrp.check_fall"]),
        )
        for name, value in numbers.items()
        if name.startswith(prefix)
    }


def _settings(service: Service) -> Iterator[tuple[str, float]]:
    have = service.settings
    match service.name:
        case "keepalived":
            yield "vrrp.advert", float(have["advert_interval"])
            yield "vrrp.check_interval", float(have["check_interval"])
            yield "vrrp.check_fall", float(have["check_fall"])
            yield "vrrp.check_timeout", CHECK_TIMEOUT
            steps = max(len(service.nodes) - 1, 1)
            for index, node in enumerate(service.nodes):
                # As in keepalived.conf.j2.
                yield f"vrrp.priority.{node.name}", float(200 - 150 * index // steps)
        case "haproxy":
            yield "haproxy.connect", seconds(str(have["timeout_connect"]))
            yield "haproxy.check", seconds(str(have["timeout_check"]))
            yield "haproxy.retries", RETRIES
        case "mariadb":
            yield "galera.suspect", float(have["suspect_timeout"])
            yield "galera.inactive", float(have["inactive_timeout"])
        case "sentinel":
            yield "sentinel.down_after", float(have["down_after"]) / 1000
            yield "sentinel.failover", float(have["failover_timeout"]) / 1000
        case "mongodb":
            yield "mongodb.election", float(have["election_timeout_ms"]) / 1000
        case "neutron-l3-agent":
            yield "router.advert", float(have["vrrp_interval"])
            for node in service.nodes:
                yield f"router.on.{node.name}", 1.0
        case "rabbitmq":
            yield "rabbitmq.net_tick", float(have["net_ticktime"])


def _checks(service: Service) -> Iterator[tuple[str, float]]:
    """HAProxy's ``inter``, ``fastinter`` and ``fall`` for a service's servers."""
    if service.doc.endpoint is None:
        return
    options = service.doc.endpoint.server_options
    inter = _option(options, "inter") or 2.0
    yield f"haproxy.{service.name}.inter", inter
    yield f"haproxy.{service.name}.fastinter", _option(options, "fastinter") or inter
    yield f"haproxy.{service.name}.fall", _option(options, "fall") or 3.0


def _option(options: str, name: str) -> float | None:
    matched = re.search(rf"(?:^|\s){name}\s+([0-9.]+)(ms|s|m|h)?(?:\s|$)", options)
    if matched is None:
        return None
    if name == "fall":
        return float(matched[1])
    # HAProxy's times are in milliseconds unless they have a unit.
    return seconds(matched[1] + (matched[2] or "ms"))
