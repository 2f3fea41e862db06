"""Faults: made on purpose, journalled with a lease, proved to bite, healed without a rest.

``halt`` and ``cut`` say what to do, ``inject`` does it, ``heal`` and ``heal_all`` undo it. What
is here imports neither an engine's SDK nor the documents: the guardian lives on it.
"""

from labctl.faults.build import act, cut, degraded, halt, shaped
from labctl.faults.model import DEFAULT_LEASE, Evidence, Fault, parse_duration
from labctl.faults.resources import clocked, delayed, filled, limited
from labctl.faults.targets import PARTS, VIP_HOLDER, Target, resolve, vip_holders
from labctl.faults.verbs import active, expire, forget, heal, heal_all, inject, start, unpause

__all__ = [
    "DEFAULT_LEASE",
    "PARTS",
    "VIP_HOLDER",
    "Evidence",
    "Fault",
    "Target",
    "act",
    "active",
    "clocked",
    "cut",
    "degraded",
    "delayed",
    "expire",
    "filled",
    "forget",
    "halt",
    "heal",
    "heal_all",
    "inject",
    "limited",
    "parse_duration",
    "resolve",
    "shaped",
    "start",
    "unpause",
    "vip_holders",
]
