"""Faults: made on purpose, journalled with a lease, proved to be in effect, healed completely.

``halt``, ``cut`` and the like build a fault, ``inject`` makes it, ``heal`` and ``heal_all`` undo
it. This package imports neither an engine's SDK nor the documents, to keep the guardian small.
"""

from labctl.faults.kinds.action import act
from labctl.faults.kinds.bandwidth import throttled
from labctl.faults.kinds.clock import clocked
from labctl.faults.kinds.cut import cut, shaped
from labctl.faults.kinds.delay import delayed
from labctl.faults.kinds.fill import filled
from labctl.faults.kinds.halts import halt
from labctl.faults.kinds.limit import limited
from labctl.faults.kinds.loss import lossy
from labctl.faults.model import DEFAULT_LEASE, Evidence, Fault, parse_duration
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
    "delayed",
    "expire",
    "filled",
    "forget",
    "halt",
    "heal",
    "heal_all",
    "inject",
    "limited",
    "lossy",
    "parse_duration",
    "resolve",
    "shaped",
    "start",
    "throttled",
    "unpause",
    "vip_holders",
]
