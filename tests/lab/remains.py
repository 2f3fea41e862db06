"""What is left of a lab on the engine and its host."""

from __future__ import annotations

from labctl.engine.link import find_links
from labctl.engine.port import Engine


def remains(driver: Engine, lab: str) -> list[str]:
    """Containers, networks, volumes and links of a lab; rules lie in namespaces and go along."""
    image = next(image for image in driver.images("labctl.image=node") if image.tags)
    left = [f"container {c.name}" for c in driver.containers(lab)]
    left += [f"network {n.name}" for n in driver.networks(lab)]
    left += [f"volume {name}" for name in driver.volumes(lab)]
    left += [f"link {link}" for link in find_links(driver, image.tags[0]) if link == lab]
    return left
