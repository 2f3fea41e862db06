"""Check whether the machine has what labs need. :mod:`labctl.doctor.provision` fixes things."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from labctl.doctor.provision import BOOTSTRAPPERS, fix
from labctl.engine.choose import connect, local_kind
from labctl.engine.helper import run_helper
from labctl.engine.port import Engine, EngineInfo
from labctl.engine.suitable import objection
from labctl.errors import EngineError
from labctl.host import process
from labctl.model.service import PROFILES
from labctl.planning.fit import MEMORY_SPARE, memory_bytes
from labctl.resolve.request import example

__all__ = ["Check", "checks", "fix"]

GIB = 1 << 30
TOPOLOGY = "three-controller"
"""The lab that a machine is checked for."""
DISK_NEEDED = 8 * GIB
PROCESSORS_WANTED = 2

_FIX = "labctl doctor --fix"
_HERE = "unix:"
"""Start of the URL of an engine on this machine."""

# Tries the features: the kernel's configuration and its list of modules are often misleading.
_KERNEL_SCRIPT = """
try() {
    feature=$1; shift
    if said=$("$@" 2>&1); then echo "$feature ok"; else echo "$feature" $said | head -n 1; fi
}
try veth ip link add lc0 type veth peer name lc1
try macvlan ip link add link lc0 name lc2 type macvlan mode bridge
nft add table netdev labctl
nft add table inet labctl
chain() {
    nft "add chain netdev labctl $1 { type filter hook $1 device \\"lc0\\" priority 0; }"
}
try ingress chain ingress
try egress chain egress
try inet nft "add chain inet labctl input { type filter hook input priority 0; }"
try netem tc qdisc add dev lc0 root netem delay 1ms
"""

_KERNEL = {
    "veth": ("veth pairs, which connect a lab to the host", True),
    "macvlan": ("macvlan, which labs' networks are made of", True),
    "ingress": ("nf_tables on a device's input, which cuts nodes off", True),
    "egress": ("nf_tables on a device's output", False),
    "inet": ("nf_tables for the family inet, which protects the host from a lab", True),
    "netem": ("sch_netem, which delays packets", False),
}
"""Feature → what it is for, and whether labs need it."""


@dataclass(frozen=True)
class Check:
    """One result. ``ok`` is None if it is unknown, or something optional is missing."""

    name: str
    ok: bool | None
    detail: str
    remedy: str = ""
    """What to do about it, when something can be done."""


def checks(choice: str | None = None) -> list[Check]:
    """All checks, in the order to show them; without an engine, that is the first result.

    ``choice`` is as for :func:`labctl.engine.choose.connect`.
    """
    try:
        engine = connect(choice)
        info = engine.info()
    except EngineError as error:
        remedy = _FIX if local_kind(choice, os.environ) else ""
        return [Check("engine", False, str(error), remedy), _bootstrap(), _pip(), *_devices()]
    here = engine.url.startswith(_HERE)
    return [
        _engine(engine.url, info),
        _processors(info),
        _memory(info),
        _disk(info, here=here),
        _bootstrap(),
        _pip(),
        *_kernel(engine),
        *(_devices() if here else ()),
    ]


def _engine(url: str, info: EngineInfo) -> Check:
    name = f"{info.kind.capitalize()} {info.version} at {url}"
    problem = objection(info)
    if problem is not None:
        return Check("engine", False, f"{problem.reason} ({url})", problem.remedy)
    if info.rootless:
        detail = f"{name} runs without root: this machine cannot reach the labs' addresses"
        return Check("engine", None, detail, "use an engine that runs as root")
    return Check("engine", True, f"{name}, storage {info.storage_driver}")


def _processors(info: EngineInfo) -> Check:
    enough = info.cpus >= PROCESSORS_WANTED
    detail = f"{info.cpus}" if enough else f"{info.cpus}: labs start slowly"
    return Check("processors", True if enough else None, detail)


def _memory(info: EngineInfo) -> Check:
    detail = f"{info.memory / GIB:.1f} GiB"
    needed = {
        profile: memory_bytes(example(TOPOLOGY, profile)) + MEMORY_SPARE for profile in PROFILES
    }
    fits = [profile for profile, size in needed.items() if size <= info.memory]
    needs = ", ".join(f"{profile} {size / GIB:.1f} GiB" for profile, size in needed.items())
    if fits:
        return Check("memory", True, f"{detail}: {TOPOLOGY} fits with profile {fits[-1]} ({needs})")
    return Check("memory", False, f"{detail}, {TOPOLOGY} needs: {needs}", "give it more memory")


def _disk(info: EngineInfo, *, here: bool) -> Check:
    root = Path(info.root_dir)
    if not here:
        return Check("disk", None, f"{root} is on another machine: it cannot be checked from here")
    try:
        free = shutil.disk_usage(root).free
    except OSError:
        return Check("disk", None, f"{root} cannot be checked from here")
    detail = f"{free / GIB:.1f} GiB free in {root}"
    if free >= DISK_NEEDED:
        return Check("disk", True, detail)
    wanted = f"building images and running a lab need {DISK_NEEDED // GIB} GiB"
    return Check("disk", False, f"{detail}, {wanted}", "free some space (labctl images prune)")


def _bootstrap() -> Check:
    for program in BOOTSTRAPPERS:
        path = process.which(program)
        if path:
            return Check("bootstrap", True, path)
    detail = f"neither {' nor '.join(BOOTSTRAPPERS)} is installed: base images can only be pulled"
    return Check("bootstrap", None, detail, _FIX)


def _pip() -> Check:
    if find_spec("pip") is not None:
        return Check("pip", True, f"in {sys.prefix}")
    detail = f"{sys.prefix} has no pip, which downloads wheels that images need"
    return Check("pip", False, detail, "reinstall labctl with its dependencies")


def _kernel(engine: Engine) -> Iterator[Check]:
    """Features of the kernel that the engine's containers run on."""
    images = engine.images("labctl.image=node")
    if not images or not images[0].tags:
        yield Check("kernel", None, "cannot be checked without a node image", "labctl images build")
        return
    try:
        _, output = run_helper(
            engine, "labctl-doctor", images[0].tags[0], _KERNEL_SCRIPT, cap_add=("NET_ADMIN",)
        )
    except EngineError as error:
        yield Check("kernel", False, str(error))
        return
    answers = dict(line.split(" ", 1) for line in output.splitlines() if " " in line)
    for feature, (purpose, needed) in _KERNEL.items():
        answer = answers.get(feature, "no answer")
        if answer == "ok":
            yield Check(f"kernel: {feature}", True, purpose)
        else:
            detail = f"this kernel has no {purpose} ({answer})"
            yield Check(f"kernel: {feature}", False if needed else None, detail)


def _devices() -> Iterator[Check]:
    """Devices that services of the larger profiles need."""
    tun, kvm = Path("/dev/net/tun"), Path("/dev/kvm")
    without = "" if tun.exists() else "; without it only profile support can run"
    yield Check("tun", True if tun.exists() else None, f"{tun} {_presence(tun)}{without}")
    note = "; only starting a guest shows whether it works" if kvm.exists() else ""
    yield Check("kvm", None, f"{kvm} {_presence(kvm)}{note}")


def _presence(path: Path) -> str:
    return "exists" if path.exists() else "does not exist"
