"""Give a new lab the data of a checkpoint, before anything of it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from labctl.engine.port import Engine, FileEntry, Sent, VolumeMount
from labctl.images import build
from labctl.model.checkpoint import Manifest, Part
from labctl.model.lab import Lab
from labctl.planning.desired import NODE_IMAGE, RECORDS, Desired
from labctl.running import archives, records
from labctl.running.observe import Filled
from labctl.running.volumes import volume_labels
from labctl.state import checkpoints

_HELPER = "unpack"


@dataclass(frozen=True)
class Filling:
    """Fills the volumes of a new lab with what is in a checkpoint."""

    checkpoint: str
    manifest: Manifest

    @property
    def secrets(self) -> Mapping[str, str]:
        """Secrets that the lab has to have."""
        return self.manifest.secrets

    def fill(self, engine: Engine, desired: Desired, note: Callable[[str], None]) -> Filled:
        """Make the volumes of a lab, with their data and the record of finished jobs."""
        lab = desired.lab.name
        note(f"filling volumes from checkpoint '{self.checkpoint}'")
        build.build(engine, desired.lab.release, NODE_IMAGE, note)
        pairs = [
            (part.name, volume) for part in self.manifest.parts for volume in sorted(part.volumes)
        ]
        mounts = [VolumeMount(f"{lab}-{volume}", f"/volumes/{volume}") for _, volume in pairs]
        mounts.append(VolumeMount(desired.lab.records_volume, RECORDS))
        engine.remove(f"{lab}-{_HELPER}")  # one that was killed has left it, with the volumes
        for mount in mounts:
            engine.remove_volume(mount.volume)
            engine.create_volume(mount.volume, volume_labels(lab))
        done = self._done(desired)
        words = (f"{part} {volume}" for part, volume in pairs)
        spec = archives.helper(desired, _HELPER, (archives.UNPACK, *words), mounts)
        with archives.made(engine, spec):
            engine.put_files(spec.name, [records.entry(done), *_restored(desired)])
            engine.send(spec.name, map(self._sent, self.manifest.parts))
            archives.run(engine, spec.name, f"unpacking checkpoint '{self.checkpoint}' failed")
        return _filled(desired.lab, done)

    def _sent(self, part: Part) -> Sent:
        pieces = checkpoints.pieces(self.checkpoint, part)
        return Sent(f"/parts/{part.file}", part.size, pieces)

    def _done(self, desired: Desired) -> dict[str, str]:
        """The jobs whose results are in the data, and need not be renewed."""
        docs = {
            f"{service.name}/{job.name}": job
            for service in desired.lab.services.values()
            for job in service.doc.jobs
        }
        done = [name for name in self.manifest.jobs if name in docs and not docs[name].renews]
        return {name: desired.jobs[name].hash for name in done}


def _filled(lab: Lab, done: Mapping[str, str]) -> Filled:
    """What is known of a lab's volumes now."""
    services = lab.services.values()
    clusters = [s for s in services if s.doc.cluster and s.doc.cluster.start == "seed"]
    kept_ones = [service for service in clusters if service.doc.checkpoint.keep != "nothing"]
    return Filled(
        done=done,
        members=frozenset(i.name for service in kept_ones for i in lab.of_service(service)),
        united=frozenset(s.name for s in services if s.doc.checkpoint.together),
    )


def _restored(desired: Desired) -> Iterator[FileEntry]:
    """The files that belong on the volumes, where the helper has them mounted."""
    for unit in desired.instances.values():
        for file in unit.restored_files:
            mount = next(m for m in unit.spec.volumes if file.path.startswith(f"{m.target}/"))
            below = file.path.removeprefix(mount.target)
            volume = mount.volume.removeprefix(f"{desired.lab.name}-")
            yield replace(file, path=f"/volumes/{volume}{below}")
