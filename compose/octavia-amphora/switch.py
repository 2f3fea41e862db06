"""The node's switch as amphorae need it: ports of Neutron's on its integration bridge."""

import subprocess

BRIDGE = "br-int"
OWNER = "octavia-amphora"
"""Marks the ports that are made here, so that the next life finds those of a dead one."""


def run(*command: str, seconds: float = 20) -> str:
    """A command's standard output; SubprocessError when it does not end well in time."""
    done = subprocess.run(  # noqa: S603 - the words are this service's own
        command, check=True, capture_output=True, text=True, timeout=seconds
    )
    return done.stdout


def _vsctl(*words: str) -> str:
    return run("ovs-vsctl", "--db=tcp:127.0.0.1:6640", "--timeout=10", *words)


def device(port: str) -> str:
    """The switch's end of a port's cable: a name that the kernel finds short enough."""
    return f"amp{port[:11]}"


def programmed() -> bool:
    """Whether Neutron's agent is there, which makes of a plugged port a working one."""
    found = _vsctl("--bare", "--columns=is_connected", "find", "Controller").split()
    return bool(found) and set(found) == {"true"}


def plug(port: str, mac: str) -> None:
    """Put a port's cable into the bridge; Neutron's agent knows it by these words."""
    name = device(port)
    ids = {"iface-id": port, "iface-status": "active", "attached-mac": mac, "owner": OWNER}
    words = [f'external_ids:{key}="{value}"' for key, value in ids.items()]
    _vsctl("--may-exist", "add-port", BRIDGE, name, "--", "set", "Interface", name, *words)


def unplug(port: str) -> None:
    """Take it out; nothing to do when it is not there."""
    _vsctl("--if-exists", "del-port", BRIDGE, device(port))


def clear() -> None:
    """Take out what a dead instance of this service left."""
    for name in _vsctl(
        "--bare", "--columns=name", "find", "Interface", f"external_ids:owner={OWNER}"
    ).split():
        _vsctl("--if-exists", "del-port", BRIDGE, name)
