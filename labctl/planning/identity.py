"""What a lab is, apart from its name, its addresses and its secrets. Pure.

Two labs with the same identity can do with each other's data: they consist of the same nodes,
images and configuration. So a checkpoint of the one is one of the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace

from labctl.model.lab import Service
from labctl.planning.desired import Desired, Unit, digest

Identity = Mapping[str, str]
"""Part of a lab, in words → what tells it from others."""


def identity(desired: Desired) -> Identity:
    """The parts of a lab that was rendered with a name, addresses and secrets that are no lab's."""
    lab = desired.lab
    return {
        "release": lab.release,
        **{f"image {role}": tag for role, tag in desired.images.items()},
        **{f"node {node.name}": ", ".join(node.roles) for node in lab.nodes},
        **{
            f"configuration of {service.name}": _configuration(desired, service)
            for service in lab.services.values()
        },
    }


def differences(saved: Identity, wanted: Identity) -> list[str]:
    """What is not the same, in words; empty when the data fit."""
    found = []
    for part in sorted(saved.keys() | wanted.keys()):
        before, now = saved.get(part), wanted.get(part)
        if before == now:
            continue
        if before is None:
            found.append(f"{part} (not in the checkpoint)")
        elif now is None:
            found.append(f"{part} (only in the checkpoint)")
        else:
            found.append(part)
    return found


def _configuration(desired: Desired, service: Service) -> str:
    """A digest of all that a service's instances and jobs are made of, but for their images."""
    units = {
        instance.name: desired.instances[instance.name]
        for instance in desired.lab.of_service(service)
    } | {job.name: desired.jobs[f"{service.name}/{job.name}"] for job in service.doc.jobs}
    parts = {name: _without_image(unit) for name, unit in units.items()}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _without_image(unit: Unit) -> str:
    return digest(replace(unit.spec, image="", labels={}), unit.files)
