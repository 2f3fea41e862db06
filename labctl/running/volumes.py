"""The lab's volumes: their labels, and files on them, whether or not a container mounts them."""

from __future__ import annotations

from collections.abc import Mapping

from labctl.engine.port import LABEL, Container, ContainerSpec, Engine
from labctl.planning.desired import KIND, NODE_IMAGE


def volume_labels(lab: str) -> dict[str, str]:
    """The labels of a lab's volumes."""
    return {LABEL: lab, KIND: "volume", "com.docker.compose.project": lab}


def read_file(
    engine: Engine,
    spec: ContainerSpec,
    path: str,
    containers: Mapping[str, Container],
    images: Mapping[str, str],
) -> bytes | None:
    """A file as the container of ``spec`` sees it; None when there is none.

    If that container does not exist (it was removed by hand, or recreating it was interrupted), a
    temporary helper with its volumes is created. That needs the node image: without it the result
    is None.
    """
    if spec.name in containers:
        return engine.read_file(spec.name, path)
    image = images[NODE_IMAGE]
    if engine.image(image) is None:
        return None
    helper = ContainerSpec(
        name=f"{spec.name}-look",
        image=image,
        labels={LABEL: spec.labels[LABEL], KIND: "helper"},
        volumes=spec.volumes,
    )
    engine.remove(helper.name)
    engine.create(helper)
    try:
        return engine.read_file(helper.name, path)
    finally:
        engine.remove(helper.name)
