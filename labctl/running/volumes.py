"""Files on the lab's volumes, whether or not there is a container that has them mounted."""

from __future__ import annotations

from collections.abc import Mapping

from labctl.engine.port import LABEL, Container, ContainerSpec, Engine
from labctl.planning.desired import KIND, NODE_IMAGE


def read_file(
    engine: Engine,
    spec: ContainerSpec,
    path: str,
    containers: Mapping[str, Container],
    images: Mapping[str, str],
) -> bytes | None:
    """A file as the container of ``spec`` sees it; None when there is none.

    Where that container is not there (somebody removed it, or a recreation was interrupted), a
    helper with its volumes is made and removed again. It needs the node image: without it the
    answer is None.
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
