"""An engine on another machine, at ``ssh://[user@]host[:port][/socket]``.

Its socket is forwarded to one of this machine by the ``ssh`` program, so configuration, keys, agent
and known hosts are the person's own, and whatever the SDK does with a socket works: all of it goes
over one SSH connection. (The SDK's own way is one login for each of its connections, and the input
of a command cannot be closed there.)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from labctl.errors import EngineError, InputError
from labctl.host.process import Companion

SOCKET = "/var/run/docker.sock"
_CONNECT_SECONDS = 20.0
_OPTIONS = (
    "BatchMode=yes",  # nobody can be asked for a password
    "ConnectTimeout=10",
    "ExitOnForwardFailure=yes",
    "ServerAliveInterval=15",
    "ControlPath=none",  # a shared connection would keep the forwarding after we ended
)


@dataclass(frozen=True)
class Place:
    """Where an engine is, as ``ssh`` is told."""

    host: str
    user: str | None
    port: int | None
    socket: str

    @property
    def destination(self) -> tuple[str, ...]:
        """Arguments that name it."""
        user = ("-l", self.user) if self.user else ()
        port = ("-p", str(self.port)) if self.port else ()
        return (*user, *port, "--", self.host)


def place(url: str) -> Place:
    """Take a URL apart. InputError when it is none of this kind, or holds a password."""
    try:
        parts = urlsplit(url)
        if parts.hostname and parts.password is None:
            socket = parts.path.rstrip("/") or SOCKET
            return Place(parts.hostname, parts.username, parts.port, socket)
    except ValueError:  # such as a port that is no number
        pass
    raise InputError(
        "an engine on another machine should be given as ssh://[user@]host[:port][/socket], "
        "without a password"
    )


class Tunnel:
    """The forwarded socket; it is there as long as this object, and ends with labctl."""

    def __init__(self, url: str) -> None:
        """Connect. EngineError with what ``ssh`` said when it cannot."""
        there = place(url)
        self._directory = TemporaryDirectory(prefix="labctl-")
        local = Path(self._directory.name) / "engine"
        options = (word for option in _OPTIONS for word in ("-o", option))
        forward = f"{local}:{there.socket}"
        # What runs there ends with its input, which is open as long as this process lives.
        self._ssh = Companion(("ssh", "-T", *options, "-L", forward, *there.destination, "cat"))
        if not self._ssh.answers(_CONNECT_SECONDS):
            said = (
                self._ssh.last_words().rstrip(".")
                or f"no answer within {_CONNECT_SECONDS:g} seconds"
            )
            raise EngineError(
                f"cannot reach the container engine at {url}: {said}; "
                f"see that `ssh {' '.join(there.destination)} true` works without a question"
            )
        self.url = f"unix://{local}"
