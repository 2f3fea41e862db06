"""An engine on another machine, at ``ssh://[user@]host[:port][/socket]``.

The ``ssh`` program forwards its socket to a local one, so the user's own configuration, keys, agent
and known hosts apply, and everything that the SDK does with a socket works over one SSH connection.
(The SDK's own SSH support logs in once for each connection and cannot close a command's input.)
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
    "ControlPath=none",  # a shared connection would keep forwarding after we have ended
)


@dataclass(frozen=True)
class Place:
    """Where an engine is, in terms of ``ssh``."""

    host: str
    user: str | None
    port: int | None
    socket: str

    @property
    def destination(self) -> tuple[str, ...]:
        """The arguments of ``ssh`` for the destination."""
        user = ("-l", self.user) if self.user else ()
        port = ("-p", str(self.port)) if self.port else ()
        return (*user, *port, "--", self.host)


def place(url: str) -> Place:
    """Parse a URL. InputError when it is not of this form, or contains a password."""
    try:
        parts = urlsplit(url)
        if parts.hostname and parts.password is None:
            socket = parts.path.rstrip("/") or SOCKET
            return Place(parts.hostname, parts.username, parts.port, socket)
    except ValueError:  # such as a port that is not a number
        pass
    raise InputError(
        "an engine on another machine should be given as ssh://[user@]host[:port][/socket], "
        "without a password"
    )


class Tunnel:
    """The forwarded socket; it exists as long as this object, and ends with labctl."""

    def __init__(self, url: str) -> None:
        """Connect. EngineError with the message of ``ssh`` when it fails."""
        remote = place(url)
        self._directory = TemporaryDirectory(prefix="labctl-")
        local = Path(self._directory.name) / "engine"
        options = (word for option in _OPTIONS for word in ("-o", option))
        forward = f"{local}:{remote.socket}"
        # The remote ``cat`` exits at the end of its input, which is open while this process lives.
        self._ssh = Companion(("ssh", "-T", *options, "-L", forward, *remote.destination, "cat"))
        if not self._ssh.answers(_CONNECT_SECONDS):
            message = (
                self._ssh.last_error().rstrip(".")
                or f"no answer within {_CONNECT_SECONDS:g} seconds"
            )
            raise EngineError(
                f"cannot reach the container engine at {url}: {message}; "
                f"check that `ssh {' '.join(remote.destination)} true` works without a prompt"
            )
        self.url = f"unix://{local}"
