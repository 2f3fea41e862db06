"""A small lab to test an engine with: everything in it carries one label and goes at the end."""

from __future__ import annotations

from typing import Any

from labctl.engine import link
from labctl.engine.port import LABEL, Attachment, Container, ContainerSpec, Engine, Network

SLEEP = ("sleep", "1000")


class World:
    """``image`` has a shell and iproute2; ``octet`` makes the subnet 198.19.octet.0/24."""

    def __init__(self, engine: Engine, image: str, lab: str, octet: int) -> None:
        self.engine, self.image, self.lab, self.octet = engine, image, lab, octet

    @property
    def labels(self) -> dict[str, str]:
        return {LABEL: self.lab}

    @property
    def subnet(self) -> str:
        return f"198.19.{self.octet}.0/24"

    def address(self, number: int) -> str:
        return f"198.19.{self.octet}.{number}"

    def mac(self, number: int) -> str:
        return f"02:42:c6:13:{self.octet:02x}:{number:02x}"

    def name(self, short: str) -> str:
        return f"{self.lab}-{short}"

    def spec(self, short: str, **settings: Any) -> ContainerSpec:
        chosen = {"command": SLEEP, "stop_seconds": 1, **settings}
        return ContainerSpec(self.name(short), self.image, self.labels, **chosen)

    def create(self, short: str, **settings: Any) -> str:
        self.engine.create(self.spec(short, **settings))
        return self.name(short)

    def run(self, short: str, **settings: Any) -> str:
        name = self.create(short, **settings)
        self.engine.start(name)
        return name

    def end(self, short: str, **settings: Any) -> tuple[int, str]:
        """Run to the end; exit code and log."""
        name = self.run(short, **settings)
        return self.engine.wait(name, 30), self.engine.logs(name)

    def network(self) -> Network:
        """The lab's link and network; there already is well."""
        parent, host_end = link.link_names(self.lab)
        network = Network(self.lab, self.subnet, parent, self.labels)
        if not self.engine.networks(self.lab):
            address = f"{self.address(254)}/24"
            link.create_link(self.engine, self.lab, parent, host_end, address, self.image)
            self.engine.create_network(network)
        return network

    def attachment(self, number: int) -> Attachment:
        return Attachment(self.network().name, self.address(number), self.mac(number))

    def node(self, short: str, number: int, **settings: Any) -> str:
        """A running holder on the network."""
        attachment = self.attachment(number)
        return self.run(short, hostname=short, attachment=attachment, **settings)

    def container(self, short: str) -> Container:
        return next(c for c in self.engine.containers(self.lab) if c.name == self.name(short))

    def sh(self, short: str, script: str, **how: Any) -> str:
        """What a shell script in a running container prints; it must end well."""
        result = self.engine.exec(self.name(short), ("sh", "-c", script), **how)
        assert result.code == 0, result
        return result.stdout

    def clear(self) -> None:
        """Remove all of it. An adapter that lists what is not ours must not cost others theirs."""
        containers = self.engine.containers(self.lab)
        assert all(container.labels.get(LABEL) == self.lab for container in containers)
        for container in containers:
            self.engine.remove(container.name)
        volumes = self.engine.volumes(self.lab)
        assert all(volume.startswith(self.lab) for volume in volumes)
        for volume in volumes:
            self.engine.remove_volume(volume)
        if self.engine.networks(self.lab):
            self.engine.remove_network(self.lab)
            parent, host_end = link.link_names(self.lab)
            link.remove_link(self.engine, self.lab, parent, host_end, self.image)
