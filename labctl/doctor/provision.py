"""Prepare the machine for labs: install and start an engine, install a bootstrap program.

For Debian and its derivatives, as root or with sudo, with or without systemd. What is already
installed is left alone: a running engine is never restarted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import tenacity

from labctl.documents.images import release_doc
from labctl.engine import choose
from labctl.engine.podman import default_ulimits
from labctl.engine.port import Engine
from labctl.errors import EngineError
from labctl.host import process
from labctl.model.topology import TopologyDoc
from labctl.state import paths
from labctl.state.private import private_directory

BOOTSTRAPPERS = ("mmdebstrap", "debootstrap")
"""Programs that can create a base image where none can be pulled; the first one is faster."""

_PACKAGES = {
    "docker": ("docker.io", "ca-certificates", "iptables", "mmdebstrap"),
    "podman": ("podman", "netavark", "runc", "ca-certificates", "iptables", "mmdebstrap"),
}
_PROGRAM = {"docker": "dockerd", "podman": "podman"}
_PID_FILE = Path("/var/run/docker.pid")
_PODMAN_SOCKET = Path("/run/podman/podman.sock")
_INSTALL_SECONDS = 1800.0
_START_SECONDS = 60.0
_CAP_SYS_RESOURCE = 24


def fix(choice: str | None = None) -> Iterator[str]:
    """Install and start what is missing; yields a line before each action.

    ``choice`` is as for :func:`labctl.engine.choose.connect`. EngineError when something cannot
    be fixed.
    """
    try:
        choose.connect(choice)
    except EngineError as error:
        kind = choose.local_kind(choice, os.environ)
        if kind is None or choose.forbidden(kind, os.environ):
            raise error from None
        yield from _bring_up(kind)
    if not any(map(process.which, BOOTSTRAPPERS)) and not _base_available(choose.connect(choice)):
        yield from _install(BOOTSTRAPPERS[:1])


def _bring_up(kind: str) -> Iterator[str]:
    if kind == "podman" and os.geteuid() != 0:
        raise EngineError(
            "Podman can create labs' networks only as root:"
            " run `sudo labctl doctor --fix --engine podman`, and labctl as root"
        )
    if process.which(_PROGRAM[kind]) is None:
        # If the kernel has AppArmor, no container starts unless its profile can be loaded.
        profiles = ("apparmor",) if _has_apparmor() else ()
        yield from _install((*_PACKAGES[kind], *profiles))
    log = paths.home() / f"{_PROGRAM[kind]}.log"
    if not _answers(kind):  # a package may have started it
        if not _mounted("cgroup") and not _mounted("cgroup2"):
            yield from _install(("cgroupfs-mount",))
            _run_as_root("cgroupfs-mount", timeout=_START_SECONDS)
        yield f"starting {_PROGRAM[kind]} (log: {log})"
        private_directory(log.parent)
        if kind == "podman":
            _start_podman(log)
        else:
            _start_docker(log)
        _await(kind, log)


def _base_available(engine: Engine) -> bool:
    """Whether the default release's base image exists or can be pulled."""
    base = release_doc(TopologyDoc.model_fields["release"].default).base
    return engine.image(base) is not None or engine.pull(base)


def _install(packages: Sequence[str]) -> Iterator[str]:
    if process.which("apt-get") is None:
        raise EngineError(
            "this machine has no apt-get:"
            f" install {' '.join(packages)} (or their equivalents) and run again"
        )
    yield f"installing {', '.join(packages)}"
    apt = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--yes")
    _run_as_root(*apt, "update", timeout=_INSTALL_SECONDS)
    _run_as_root(*apt, "install", "--no-install-recommends", *packages, timeout=_INSTALL_SECONDS)


def _start_docker(log: Path) -> None:
    if _has_systemd():
        _run_as_root("systemctl", "start", "docker", timeout=_START_SECONDS)
        return
    if _PID_FILE.exists() and not _runs(_PID_FILE, "dockerd"):
        _run_as_root("rm", "--force", str(_PID_FILE), timeout=_START_SECONDS)
    if os.geteuid() == 0:
        process.spawn_detached(("dockerd",), log)
    else:
        # sudo remembers a password only for this terminal, so the shell must run on it.
        script = 'setsid dockerd >>"$0" 2>&1 </dev/null &'
        _run_as_root("sh", "-c", script, str(log), timeout=_START_SECONDS)


def _start_podman(log: Path) -> None:
    settings = paths.home() / "containers.conf"
    settings.write_text(podman_settings(), encoding="utf-8")
    _PODMAN_SOCKET.parent.mkdir(parents=True, exist_ok=True)
    process.spawn_detached(
        ("podman", "system", "service", "--time=0", f"unix://{_PODMAN_SOCKET}"),
        log,
        {"CONTAINERS_CONF": str(settings)},
    )


def podman_settings() -> str:
    """A containers.conf (TOML) for labctl's Podman service on this machine."""
    engine = ['events_logger = "file"']
    containers = ['base_hosts_file = "none"']
    if not _has_systemd():
        engine.append('cgroup_manager = "cgroupfs"')
    if _mounted("cgroup") and _mounted("cgroup2"):
        # crun refuses to run where both hierarchies are mounted.
        engine.append('runtime = "runc"')
    if not _may_raise_limits():
        limits = (f'"{name}={value}:{value}"' for name, value in default_ulimits("unix:").items())
        containers.append(f"default_ulimits = [{', '.join(limits)}]")
    sections = {
        "engine": engine,
        "containers": containers,
        "network": ['network_backend = "netavark"'],
    }
    return "\n".join(f"[{name}]\n" + "\n".join(lines) + "\n" for name, lines in sections.items())


def _await(kind: str, log: Path) -> None:
    answered = tenacity.Retrying(
        stop=tenacity.stop_after_delay(_START_SECONDS),
        wait=tenacity.wait_fixed(0.25),
        retry=tenacity.retry_if_result(lambda engine: engine is None),
        retry_error_callback=lambda _: None,
    )(_answers, kind)
    if answered is None:
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        last = next((line for line in reversed(lines) if line.strip()), "nothing")
        raise EngineError(
            f"{_PROGRAM[kind]} was started but does not answer; its log {log} ends: {last}"
        )


def _answers(kind: str) -> Engine | None:
    """The engine; None while it does not answer. EngineError without permission to use it."""
    try:
        return choose.connect(kind)
    except EngineError:
        if choose.forbidden(kind, os.environ):
            raise
        return None


def _run_as_root(*argv: str, timeout: float) -> None:
    """Run a program as root and wait for it. EngineError when it fails."""
    done = process.run(_with_sudo(*argv), timeout=timeout)
    if done.code:
        output = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["no reason given"]
        raise EngineError(f"{' '.join(argv)} failed with exit code {done.code}: {output[-1]}")


def _with_sudo(*argv: str) -> tuple[str, ...]:
    if os.geteuid() == 0:
        return argv
    sudo = _sudo()
    if sudo is None:
        raise EngineError(f"this needs root: run `{' '.join(argv)}` as root, then run again")
    # Without a terminal nobody can be asked for a password.
    return (sudo, *argv) if sys.stdin.isatty() else (sudo, "--non-interactive", *argv)


def _sudo() -> str | None:
    return process.which("sudo")


def _has_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def _has_apparmor() -> bool:
    enabled = Path("/sys/module/apparmor/parameters/enabled")
    return enabled.exists() and enabled.read_text(encoding="utf-8").startswith("Y")


def _mounted(filesystem: str) -> bool:
    """Whether a file system of this kind is mounted."""
    lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    kinds = {line.split()[2] for line in lines}
    return filesystem in kinds


def _runs(pid_file: Path, program: str) -> bool:
    try:
        pid = int(pid_file.read_text(encoding="utf-8"))
        comm = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return False
    return comm == program


def _may_raise_limits() -> bool:
    """Whether this process has CAP_SYS_RESOURCE."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    effective = next(line.split()[1] for line in lines if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> _CAP_SYS_RESOURCE & 1)
