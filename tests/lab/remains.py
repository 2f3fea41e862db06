"""What is left of a lab on the engine and its host."""

from __future__ import annotations

from labctl.engine.filter import table_name
from labctl.engine.helper import run_helper
from labctl.engine.link import find_links
from labctl.engine.port import Engine


def remains(driver: Engine, lab: str) -> list[str]:
    """Containers, networks, volumes, link and filter of a lab.

    Other rules lie in namespaces and go along.
    """
    image = next(image for image in driver.images("labctl.image=node") if image.tags)
    left = [f"container {c.name}" for c in driver.containers(lab)]
    left += [f"network {n.name}" for n in driver.networks(lab)]
    left += [f"volume {name}" for name in driver.volumes(lab)]
    left += [f"link {link}" for link in find_links(driver, image.tags[0]) if link == lab]
    rights = {"cap_add": ("NET_ADMIN",), "host_network": True}
    _, tables = run_helper(driver, f"{lab}-look", image.tags[0], "nft list tables inet", **rights)
    left += [f"table {table_name(lab)}"] if table_name(lab) in tables else []
    return left
