"""Pack a lab's volumes into archives and unpack them, in helpers that have them mounted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from labctl.engine.port import LABEL, ContainerSpec, Engine, VolumeMount
from labctl.errors import LabError
from labctl.planning.desired import KIND, NODE_IMAGE, Desired

SECONDS = 3600.0
"""How long all archives may take."""
_RIGHTS = ("CHOWN", "DAC_OVERRIDE", "FOWNER")
"""Files of all services' users are read, and made with their owners."""

# What was allocated in advance holds zeros: they become holes here, in the archive, and where it
# is unpacked. As many archives at a time as there are processors: gzip takes one for each.
PACK = r"""
set -eu
find /volumes -type f -size +1M -exec fallocate --dig-holes '{}' ';' || :
printf '%s\n' "$@" | xargs -P "$(nproc)" -I '{}' tar --create --file=/parts/'{}'.tar.gz \
    --use-compress-program='gzip -1' --sparse --xattrs --numeric-owner \
    --warning=no-file-ignored --anchored --no-wildcards-match-slash --exclude-from=/omit/'{}' \
    --directory=/volumes/'{}' .
"""
"""Arguments: the archives' names."""
UNPACK = r"""
set -eu
printf '%s\n' "$@" | xargs -P "$(nproc)" -L 1 sh -c 'exec tar --extract --gzip \
    --file=/parts/"$0".tar.gz --xattrs --numeric-owner --same-permissions --directory=/volumes/"$1"'
"""
"""Arguments: ``ARCHIVE VOLUME``, each pair a word of its own."""


def helper(
    desired: Desired, short: str, command: tuple[str, ...], mounts: Iterable[VolumeMount]
) -> ContainerSpec:
    """A container that reads or fills the lab's volumes: a script and its arguments."""
    lab = desired.lab.name
    script, *arguments = command
    return ContainerSpec(
        name=f"{lab}-{short}",
        image=desired.images[NODE_IMAGE],
        labels={LABEL: lab, KIND: "helper"},
        command=("sh", "-c", script, short, *arguments),
        cap_add=_RIGHTS,
        volumes=tuple(mounts),
        stop_signal="SIGKILL",
    )


@contextmanager
def made(engine: Engine, spec: ContainerSpec) -> Iterator[None]:
    """A helper, created but not started, during the block."""
    engine.remove(spec.name)
    engine.create(spec)
    try:
        yield
    finally:
        engine.remove(spec.name)


def run(engine: Engine, name: str, failed: str) -> None:
    """Run a helper to its end; LabError with what it says when it does not end well."""
    engine.start(name)
    if engine.wait(name, SECONDS) != 0:
        said = " ".join(engine.logs(name, 1).split())
        raise LabError(f"{failed}: {said}")
