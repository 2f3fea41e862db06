"""Holds a node's amphorae: ``agent.py CONFIG``, where CONFIG is a JSON file.

It answers Octavia's two drivers. To the one for compute it is what Nova is elsewhere: it makes and
ends amphorae and plugs ports (``/amphorae``). To the one for amphorae it is the agent in each of
them (``/1.0``, Octavia's own interface as far as HAProxy goes); which amphora is meant is said in a
header, since all are at the node's address.
"""

import hashlib
import hmac
import json
import logging
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

import switch
from amphora import ROOT, Amphora, RefusedError
from plugged import Addressing, haproxy_version, of_network, of_vip

LOG = logging.getLogger("agent")
NAMESPACES = Path("/run/netns")
NO_INTERFACE = "No suitable network interface found"
"""Octavia's own words: it asks again when it reads them."""
ID = r"([0-9a-f-]{36})"
FILE = r"([\w-]+\.pem)"

Answer = tuple[int, dict[str, Any]]
DONE: Answer = (202, {"message": "OK"})


class Agent:
    """What can be asked; each method answers with a status and what becomes JSON."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.amphorae: dict[str, Amphora] = {}
        self.lock = threading.Lock()
        """One thing at a time is done to amphorae."""

    # As compute service.

    def listed(self, _: bytes) -> Answer:
        """The amphorae, and whether a port that is plugged here would work."""
        return 200, {"amphorae": list(self.amphorae), "programmed": switch.programmed()}

    def shown(self, _: bytes, name: str) -> Answer:
        """Whether there is such an amphora."""
        self.named(name)
        return 200, {"id": name, "node": self.node}

    def made(self, body: bytes, name: str) -> Answer:
        """A new amphora, with the configuration that Octavia gives it."""
        if name not in self.amphorae:
            self.amphorae[name] = Amphora(name, json.loads(body)["config"])
            LOG.info("amphora %s: made", name)
        return 201, {"id": name}

    def ended(self, _: bytes, name: str) -> Answer:
        """No such amphora any more."""
        self.named(name).end()
        del self.amphorae[name]
        LOG.info("amphora %s: ended", name)
        return DONE

    def plugged(self, body: bytes, name: str, port: str) -> Answer:
        """A port of Neutron's, plugged."""
        told = json.loads(body)
        self.named(name).plug(port, told["mac_address"], told["mtu"])
        LOG.info("amphora %s: port %s plugged", name, port)
        return DONE

    def unplugged(self, _: bytes, name: str, port: str) -> Answer:
        """It is not plugged any more."""
        self.named(name).unplug(port)
        return DONE

    # As the agent of one amphora.

    def version(self, _: bytes) -> Answer:
        """Octavia's version discovery, and a sign of life."""
        return 200, {"api_version": "1.0"}

    def info(self, _: bytes, __: Amphora) -> Answer:
        """What decides how Octavia writes configurations."""
        body = {"hostname": self.node, "haproxy_version": _haproxy(), "api_version": "1.0"}
        return 200, body

    def vip(self, body: bytes, amphora: Amphora, address: str) -> Answer:
        """The load balancer's address, on the interface that is plugged for it."""
        told = json.loads(body)
        return self._address(amphora, told, of_vip(address, told))

    def network(self, body: bytes, amphora: Amphora) -> Answer:
        """Addresses in a network where members are."""
        told = json.loads(body)
        return self._address(amphora, told, of_network(told))

    def configured(self, body: bytes, amphora: Amphora, _: str, balancer: str) -> Answer:
        """HAProxy's configuration, kept if HAProxy accepts it."""
        amphora.configure(balancer, body.decode())
        return DONE

    def started(self, _: bytes, amphora: Amphora, balancer: str) -> Answer:
        """HAProxy runs and serves what is configured."""
        amphora.start(balancer)
        LOG.info("amphora %s: HAProxy serves load balancer %s", amphora.name, balancer)
        return DONE

    def stopped(self, _: bytes, amphora: Amphora, balancer: str) -> Answer:
        """HAProxy does not run."""
        amphora.stop(balancer)
        return DONE

    def forgotten(self, _: bytes, amphora: Amphora, balancer: str) -> Answer:
        """Nothing is left of the load balancer here."""
        amphora.forget(balancer)
        return 200, {"message": "OK"}

    def certified(self, body: bytes, amphora: Amphora, balancer: str, name: str) -> Answer:
        """A certificate, kept."""
        path = amphora.certificate(balancer, name)
        path.touch(mode=0o600)
        path.write_bytes(body)
        return 200, {"message": "OK"}

    def certificate(self, _: bytes, amphora: Amphora, balancer: str, name: str) -> Answer:
        """The sum by which Octavia knows whether a certificate is the same."""
        path = amphora.certificate(balancer, name)
        if not path.exists():
            raise LookupError(name)
        return 200, {"md5sum": hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}

    def uncertified(self, _: bytes, amphora: Amphora, balancer: str, name: str) -> Answer:
        """A certificate, removed."""
        amphora.certificate(balancer, name).unlink(missing_ok=True)
        return 200, {"message": "OK"}

    def named(self, name: str) -> Amphora:
        """The amphora; LookupError when there is none, as after an end of this service."""
        if name not in self.amphorae:
            raise LookupError(f"no amphora {name} on {self.node}")
        return self.amphorae[name]

    def _address(self, amphora: Amphora, told: dict[str, Any], wanted: Addressing) -> Answer:
        interface = amphora.interface(told["mac_address"])
        if interface is None:
            return 404, {"message": "Error", "details": NO_INTERFACE}
        amphora.address(interface, wanted, told.get("mtu"))
        LOG.info("amphora %s: %s has %s", amphora.name, interface, ", ".join(wanted.addresses))
        return DONE

    def end(self) -> None:
        """End all amphorae in order."""
        with self.lock:
            for amphora in self.amphorae.values():
                amphora.end()


@cache
def _haproxy() -> str:
    return haproxy_version(switch.run("haproxy", "-v"))


Method = Callable[..., Answer]
HOST: list[tuple[str, str, Method]] = [
    ("GET", "/amphorae", Agent.listed),
    ("GET", f"/amphorae/{ID}", Agent.shown),
    ("PUT", f"/amphorae/{ID}", Agent.made),
    ("DELETE", f"/amphorae/{ID}", Agent.ended),
    ("PUT", f"/amphorae/{ID}/ports/{ID}", Agent.plugged),
    ("DELETE", f"/amphorae/{ID}/ports/{ID}", Agent.unplugged),
]
INNER: list[tuple[str, str, Method]] = [
    ("GET", "/1.0/info", Agent.info),
    ("POST", r"/1.0/plug/vip/([\da-f.:]+)", Agent.vip),
    ("POST", "/1.0/plug/network", Agent.network),
    ("PUT", f"/1.0/loadbalancer/{ID}/{ID}/haproxy", Agent.configured),
    ("PUT", f"/1.0/loadbalancer/{ID}/(?:start|reload)", Agent.started),
    ("PUT", f"/1.0/loadbalancer/{ID}/stop", Agent.stopped),
    ("DELETE", f"/1.0/listeners/{ID}", Agent.forgotten),
    ("PUT", f"/1.0/loadbalancer/{ID}/certificates/{FILE}", Agent.certified),
    ("GET", f"/1.0/loadbalancer/{ID}/certificates/{FILE}", Agent.certificate),
    ("DELETE", f"/1.0/loadbalancer/{ID}/certificates/{FILE}", Agent.uncertified),
]


def answer(agent: Agent, method: str, path: str, name: str, body: bytes) -> Answer:
    """Find what is asked for and do it; errors become answers that Octavia understands."""
    path = "/" + path.strip("/")
    if (method, path) == ("GET", "/"):
        return agent.version(body)
    try:
        for verb, pattern, act in HOST + INNER:
            found = re.fullmatch(pattern, path)
            if verb == method and found:
                with agent.lock:
                    amphora = () if (verb, pattern, act) in HOST else (agent.named(name),)
                    return act(agent, body, *amphora, *found.groups())
    except LookupError as error:
        return 404, {"message": "Not found", "details": str(error)}
    except (RefusedError, ValueError) as error:
        LOG.warning("%s %s: %s", method, path, error)
        return 400, {"message": "Invalid request", "details": str(error)}
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stderr", "") or ""
        LOG.exception("%s %s: %s", method, path, said)
        return 500, {"message": "Error", "details": f"{error} {said}".strip()}
    return 404, {"message": "Not found", "details": f"no {method} {path} here"}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    agent: Agent
    secret: str

    def do_GET(self) -> None:
        """Answer if it is one of the lab's controllers who asks."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        known = hmac.compare_digest(self.headers.get("X-Auth-Token", ""), self.secret)
        status, said = 401, {"message": "Unauthorized"}
        if known or self.path == "/":
            name = self.headers.get("X-Amphora", "")
            status, said = answer(self.agent, self.command, self.path, name, body)
        data = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """What is done is said where it is done."""


def clear() -> None:
    """Remove what an instance that died left: its namespaces are gone, their names are not."""
    switch.clear()
    shutil.rmtree(ROOT, ignore_errors=True)
    NAMESPACES.mkdir(exist_ok=True)
    for path in NAMESPACES.iterdir():
        path.unlink()


def main(config: Path) -> None:
    """Serve until told to end."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    told = json.loads(config.read_text())
    clear()
    Path("/var/lib/octavia").mkdir(parents=True, exist_ok=True)
    Handler.agent, Handler.secret = Agent(told["node"]), told["secret"]
    server = ThreadingHTTPServer((told["address"], told["port"]), Handler)
    server.daemon_threads = True

    def leave(*_: int | FrameType | None) -> None:
        # From another thread: the one that serves must be free to hear of it.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, leave)
    server.serve_forever()
    Handler.agent.end()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
