"""The workloads there are, as data: what each is called, needs, and can be told.

What their operations mean (``f``: value as invoked → value when ok):

==================== =========================================================================
set, quorum, ...     ``add``: number → number
bank                 ``transfer``: {from, to, amount}; ``read``: null → {account: balance}
register             ``read``: [key, null] → [key, value]; ``write``: [key, value];
                     ``cas``: [key, [old, new]], which fails when the old value is another
read-after-write     ``write``: [key, n] with n rising; ``read``: [key, null] → [key, n], ``at``
                     another member, begun after the write was acknowledged
append               ``txn``: [["append", key, n], ["r", key, null]] → the same with lists read
quorum, classic      ``enqueue``: number; ``dequeue`` by consumers: null → number
counter              ``incr``: null → the counter afterwards
answers              ``validate``: null → status and digest of the answer
probe                ``connect`` and ``ping``: null → {holder: node, mac: address}
token                ``login``: number
dashboard            ``login``: number; ``page``: null → whether the session is known
poll                 ``measure``: null → {age: seconds, moment} of the newest measure
floating             ``ping``: null → "echo"; ``fetch``: null → the name of the server
balanced             ``fetch``: null → digest of the page
the other APIs       ``create``, ``delete``: name; ``read``: name → {name, status, intact};
                     status ``absent`` is what 404 says; intact: the content is what was sent
==================== =========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Entry:
    """A workload: where it is made, what the lab must have, and what may be set about it."""

    module: str
    name: str
    services: tuple[str, ...]
    """Services of the catalogue that the lab needs."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Setting → default; a setting is of its default's type."""
    rate: float = 20.0
    """Operations a second, unless said otherwise."""
    workers: int = 4
    most: float = 200.0
    """The highest rate that one client can do without measuring itself."""


_SQL = ("mariadb", "haproxy", "keepalived")
_SERVED = ("keystone", "haproxy", "keepalived")
_REDIS = ("redis", "sentinel")
_POLLED = (*_SERVED, "glance", "gnocchi-api", "ceilometer-central")
"""``bound``: seconds that the newest measure may be old, three polls and their way to Gnocchi."""
_OUTSIDE = (*_SERVED, "neutron-api", "neutron-l3-agent", "provider-gateway")
_CLUSTER = ("sahara-api", "sahara-engine", "heat-engine", "nova-api", "neutron-api", "glance")
_FEW = 6
"""``keep``: things above which each is deleted again. A project may have ten servers, volumes and
backups, and each of another's is one less."""
_CONSUMERS = {"consumers": 2}
"""A classic queue is ``durable``, or goes with its node, as its messages do."""
_BANK = {"accounts": 8, "balance": 100, "locking": True, "spread": False}
"""Whether a transfer locks what it reads; whether the tellers are spread over the members, each
connected to its own, instead of the virtual IP."""
_FOLLOWED = {"sync_wait": False, "through_vip": False}
"""Whether reads wait for what was committed before them; whether they go through the virtual IP,
each on a connection of its own, instead of to the members."""
_KEYS = {"keys": 5, "per_key": 100}
"""So many keys at a time, each left for another after so many operations."""


def _api(kind: str, *services: str, **settings: Any) -> Entry:
    needed = (*_SERVED, *services)
    defaults = {"delete_every": 3, "settle": 30.0, "keep": 100} | settings
    return Entry("api", "Things", needed, {"resource": kind, **defaults}, 0.5, 2, 2.0)


KINDS: Mapping[str, Mapping[str, Entry]] = {
    "galera": {
        "set": Entry("galera", "Set", _SQL),
        "register": Entry("galera", "Register", _SQL, _KEYS),
        "read-after-write": Entry("galera", "ReadAfterWrite", _SQL, _FOLLOWED),
        "bank": Entry("galera_transactions", "Bank", _SQL, _BANK),
        "append": Entry("galera_transactions", "Append", _SQL, {"keys": 5, "per_key": 50}),
    },
    "rabbitmq": {
        "quorum": Entry("rabbitmq", "Queue", ("rabbitmq",), _CONSUMERS),
        "classic": Entry("rabbitmq", "Queue", ("rabbitmq",), _CONSUMERS | {"durable": True}),
    },
    "redis": {
        "set": Entry("redis", "Set", _REDIS),
        "counter": Entry("redis", "Counter", _REDIS),
    },
    "mongodb": {
        "majority": Entry("mongodb", "Set", ("mongodb",)),
        "w1": Entry("mongodb", "Set", ("mongodb",)),
        "register": Entry("mongodb", "Register", ("mongodb",), _KEYS),
    },
    "memcached": {
        "answers": Entry("tokens", "Answers", ("memcached", *_SERVED), {}, 5.0, 2, 50.0),
    },
    "vip": {
        "probe": Entry("vip", "Probe", ("haproxy", "keepalived"), {"timeout": 0.5}, 10.0, 4, 50.0),
    },
    "tenant": {
        "floating": Entry(
            "tenant", "Floating", (*_OUTSIDE, "nova-api", "glance"), {"timeout": 1.0}, 5.0, 2, 20.0
        ),
        "balanced": Entry(
            "tenant", "Balanced", (*_OUTSIDE, "octavia-amphora"), {"timeout": 2.0}, 5.0, 2, 20.0
        ),
    },
    "api": {
        "token": Entry("tokens", "Login", _SERVED, {}, 1.0, 2, 20.0),
        "image": _api("image", "glance", size=65536),
        "network": _api("network", "neutron-api"),
        "server": _api("server", "nova-api", "glance", "neutron-api", settle=90.0, keep=_FEW),
        "volume": _api("volume", "cinder-api", settle=60.0, keep=_FEW),
        "backup": replace(
            _api("backup", "cinder-backup", "cinder-volume", settle=90.0, keep=_FEW),
            # One at a time: a volume that is being backed up takes no second backup.
            workers=1,
        ),
        "object": _api("object", "swift-proxy", size=65536),
        "stack": _api("stack", "heat-api", settle=60.0),
        "metric": _api("metric", "gnocchi-api"),
        "alarm": _api("alarm", "aodh-api"),
        "message": _api("message", "zaqar"),
        "balancer": _api("balancer", "octavia-api", "octavia-worker", settle=60.0),
        "template": _api("template", "sahara-api", "nova-api"),
        "cluster": _api("cluster", *_CLUSTER, settle=90.0),
        "datastore": _api("datastore", "trove-api", "glance"),
        "dashboard": Entry("dashboard", "Dashboard", (*_SERVED, "horizon"), {}, 0.5, 2, 5.0),
        "poll": Entry("polled", "Polled", _POLLED, {"bound": 120.0}, 0.5, 1, 2.0),
    },
}
"""Kind → as → workload."""
