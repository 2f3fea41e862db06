"""An amphora: a network namespace with ports of Neutron's in it, and HAProxy.

Both end with this container, as a virtual machine ends with its host: nobody makes them anew but
Octavia, when it fails the load balancer over.
"""

import contextlib
import logging
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import switch
from heartbeat import Heart, Row, ask, rows
from plugged import Addressing, heartbeats
from switch import run

LOG = logging.getLogger("amphora")
ROOT = Path("/run/labctl/amphorae")
INSIDE = Path("/var/lib/octavia")
"""Where Octavia's configurations expect what belongs to an amphora: each sees its own there."""
GROUP = "global\n    group nogroup\n"
"""Octavia's configuration names HAProxy's user and leaves the group to the amphora."""
STARTING = 20
"""Seconds in which HAProxy must answer."""
GRACE = 5
"""Seconds that HAProxy has to end in order."""


class RefusedError(Exception):
    """What Octavia asked for cannot be done; it says why."""


class Amphora:
    """One of them, by its compute id."""

    def __init__(self, name: str, config: str) -> None:
        self.name = name
        self.namespace = f"amphora-{name}"
        self.ports: dict[str, str] = {}
        """Neutron's port → interface in the namespace."""
        self._macs: dict[str, str] = {}
        self._announced: dict[str, tuple[str, ...]] = {}
        self._haproxies: dict[str, subprocess.Popen[bytes]] = {}
        """load balancer → the process that serves it."""
        self.root = ROOT / name
        self.root.mkdir(parents=True, mode=0o700)
        (self.root / "group.cfg").write_text(GROUP)
        run("ip", "netns", "add", self.namespace)
        self._ip("link", "set", "lo", "up")
        self._heart = Heart(heartbeats(config), self.statistics)
        self._heart.start()

    def end(self) -> None:
        """Nothing is left of it but what it has said."""
        self._heart.stop()
        for balancer in list(self._haproxies):
            self.stop(balancer)
        for port in list(self.ports):
            self.unplug(port)
        with contextlib.suppress(subprocess.CalledProcessError):
            run("ip", "netns", "delete", self.namespace)
        shutil.rmtree(self.root, ignore_errors=True)

    def plug(self, port: str, mac: str, mtu: int) -> None:
        """Lay a cable from the node's switch; once more changes nothing."""
        if port in self.ports:
            return
        name = f"eth{next(n for n in range(1, 1000) if f'eth{n}' not in self.ports.values())}"
        outer = switch.device(port)
        with contextlib.suppress(subprocess.CalledProcessError):
            run("ip", "link", "delete", outer)
        peer = ("peer", "name", name, "address", mac, "mtu", str(mtu), "netns", self.namespace)
        run("ip", "link", "add", outer, "mtu", str(mtu), "type", "veth", *peer)
        # The switch reads packets as they are: a checksum must not be left to hardware.
        self._inside("ethtool", "-K", name, "rx", "off", "tx", "off")
        run("ip", "link", "set", outer, "addrgenmode", "none", "up")
        switch.plug(port, mac)
        self.ports[port], self._macs[mac] = name, name

    def unplug(self, port: str) -> None:
        """Take the cable away, at both ends."""
        name = self.ports.pop(port, None)
        self._macs = {mac: each for mac, each in self._macs.items() if each != name}
        self._announced.pop(name or "", None)
        switch.unplug(port)
        with contextlib.suppress(subprocess.CalledProcessError):
            run("ip", "link", "delete", switch.device(port))

    def interface(self, mac: str) -> str | None:
        """The interface with this address, if one is plugged."""
        return self._macs.get(mac)

    def address(self, interface: str, wanted: Addressing, mtu: int | None) -> None:
        """Give an interface what is wanted, in place of what it had."""
        self._ip("address", "flush", "dev", interface, "scope", "global")
        self._ip("link", "set", interface, *(("mtu", str(mtu)) if mtu else ()), "up")
        for address in wanted.addresses:
            self._ip("address", "add", address, "dev", interface)
        for destination, hop in wanted.routes:
            self._ip("route", "replace", destination, "via", hop, "dev", interface)
        self._announced[interface] = wanted.announced
        self.announce()

    def announce(self) -> None:
        """Tell the neighbours that addresses which may have been elsewhere are here now.

        Three times, and nobody waits: the switch may not pass on the first.
        """
        for interface, addresses in self._announced.items():
            for address in addresses:
                words = ("arping", "-q", "-U", "-c", "3", "-I", interface, address)
                threading.Thread(target=self._try_inside, args=words, daemon=True).start()

    def configure(self, balancer: str, text: str) -> None:
        """Keep a configuration that HAProxy accepts; RefusedError with its words if it does not."""
        self.file(balancer, "haproxy.cfg.new").write_text(text)
        try:
            self._inside(*self._view(*self._haproxy(balancer, "haproxy.cfg.new"), "-c"))
        except subprocess.CalledProcessError as error:
            raise RefusedError(f"HAProxy: {error.stdout}{error.stderr}") from None
        self.file(balancer, "haproxy.cfg.new").rename(self.file(balancer, "haproxy.cfg"))

    def start(self, balancer: str) -> None:
        """Have HAProxy serve the configuration that is there, without a gap if it already runs."""
        if not self.file(balancer, "haproxy.cfg").exists():
            raise LookupError(balancer)
        process = self._haproxies.get(balancer)
        if process is not None and process.poll() is None:
            with contextlib.suppress(OSError):
                state = ask(str(self._socket(balancer)), "show servers state")
                self.file(balancer, "servers-state").write_text(state)
            process.send_signal(signal.SIGUSR2)
        else:
            command = self._view(*self._haproxy(balancer, "haproxy.cfg"), "-W", "-db")
            words = ("ip", "netns", "exec", self.namespace, *command)
            process = subprocess.Popen(words)  # noqa: S603 - this service's own
            self._haproxies[balancer] = process
            self._ready(balancer, process)
        self.announce()

    def _ready(self, balancer: str, process: subprocess.Popen[bytes]) -> None:
        """Wait until it answers: a signal before that would end it."""
        end = time.monotonic() + STARTING
        while process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(OSError):
                ask(str(self._socket(balancer)), "show info")
                return
            time.sleep(0.1)
        raise RefusedError(f"HAProxy does not serve load balancer {balancer}")

    def stop(self, balancer: str) -> None:
        """End the HAProxy of a load balancer."""
        process = self._haproxies.pop(balancer, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def forget(self, balancer: str) -> None:
        """End it, and keep nothing of its configuration."""
        self.stop(balancer)
        shutil.rmtree(self.root / balancer, ignore_errors=True)
        shutil.rmtree(self.root / "certs" / balancer, ignore_errors=True)
        self._socket(balancer).unlink(missing_ok=True)

    def file(self, balancer: str, name: str) -> Path:
        """A file of a load balancer's."""
        directory = self.root / balancer
        directory.mkdir(exist_ok=True)
        return directory / name

    def certificate(self, balancer: str, name: str) -> Path:
        """A certificate's file."""
        directory = self.root / "certs" / balancer
        directory.mkdir(parents=True, exist_ok=True)
        return directory / name

    def statistics(self) -> list[Row]:
        """What all HAProxies that run have counted."""
        found: list[Row] = []
        for balancer, process in list(self._haproxies.items()):
            # It may be starting, or just have ended: then nothing is known of its listeners.
            with contextlib.suppress(OSError):
                if process.poll() is None:
                    found += rows(ask(str(self._socket(balancer)), "show stat"))
        return found

    def _socket(self, balancer: str) -> Path:
        return self.root / f"{balancer}.sock"

    def _haproxy(self, balancer: str, config: str) -> tuple[str, ...]:
        group = str(INSIDE / "group.cfg")
        return ("haproxy", "-f", str(INSIDE / balancer / config), "-f", group)

    def _view(self, *command: str) -> tuple[str, ...]:
        """A command that sees this amphora's files where Octavia's configurations say."""
        script = f'mount --bind "$0" {INSIDE} && exec "$@"'
        return ("sh", "-c", script, str(self.root), *command)

    def _ip(self, *words: str) -> str:
        return run("ip", "-n", self.namespace, *words)

    def _inside(self, *command: str) -> str:
        return run("ip", "netns", "exec", self.namespace, *command)

    def _try_inside(self, *command: str) -> None:
        with contextlib.suppress(subprocess.SubprocessError):
            self._inside(*command)
