"""Files with owner and mode for a lab that Compose starts.

Compose copies inline configuration into a container as root; if an owner is given, the engine
looks the container's user up among the host's users and fails. Making secrets readable by everyone
is no alternative, so one short-lived container gets all files and installs them, with their
owners, into volumes that the others mount at those directories. These volumes are filled from
their image when the containers are created, which is before any of them starts.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from labctl.engine.port import FileEntry
from labctl.model.reserved import FILES

Document = dict[str, Any]

SERVICE = FILES
"""The Compose service that installs the files; services with files wait for its success."""

_IN, _OUT = "/in", "/out"


class Staging:
    """Collects the files of all containers."""

    def __init__(self) -> None:
        self.volumes: list[str] = []
        """All volumes that files are installed into."""
        self._contents: list[str] = []
        self._lines: list[str] = []

    def add(self, container: str, files: Iterable[FileEntry]) -> dict[str, str]:
        """Add a container's files; returns the volumes that hold them: mount path → volume."""
        entries = list(files)
        mounts = {
            path: f"{container}-{path.strip('/').replace('/', '-')}"
            for path in topmost(posixpath.dirname(entry.path) for entry in entries)
        }
        self.volumes += mounts.values()
        for entry in entries:
            top = next(p for p in mounts if entry.path.startswith(f"{p}/"))
            target = f"{_OUT}/{mounts[top]}{entry.path.removeprefix(top)}"
            how = f"-D -o {entry.uid} -g {entry.gid} -m {entry.mode:04o}"
            number = len(self._contents)
            self._lines.append(f"install {how} {_IN}/{number} {shlex.quote(target)}\n")
            self._contents.append(entry.data.decode())
        return mounts

    def configs(self) -> dict[str, Document]:
        """Compose's ``configs``: the files' contents and the script that installs them."""
        script = "set -e\n" + "".join(self._lines)
        named = {f"file-{number}": text for number, text in enumerate(self._contents)}
        return {
            name: {"content": text.replace("$", "$$")}
            for name, text in {**named, "install": script}.items()
        }

    def service(self, container: str, image: str, labels: Mapping[str, str]) -> Document:
        """The service that installs the files. ``image`` needs a shell and coreutils."""
        sources = [f"file-{number}" for number in range(len(self._contents))]
        return {
            "container_name": container,
            "image": image,
            "command": ["sh", f"{_IN}/install"],
            "user": "0:0",
            "labels": dict(labels),
            "network_mode": "none",
            "cap_drop": ["ALL"],
            "cap_add": ["CHOWN", "DAC_OVERRIDE", "FOWNER"],
            "security_opt": ["no-new-privileges:true"],
            "configs": [
                {"source": name, "target": f"{_IN}/{name.removeprefix('file-')}"}
                for name in [*sources, "install"]
            ],
            "volumes": [
                {
                    "type": "volume",
                    "source": volume,
                    "target": f"{_OUT}/{volume}",
                    # The volume is filled from the image of its reader, not from this one.
                    "volume": {"nocopy": True},
                }
                for volume in self.volumes
            ],
        }


def topmost(directories: Iterable[str]) -> list[str]:
    """Those of the directories that are not below another one, sorted."""
    found: list[str] = []
    for path in sorted(set(directories)):
        if not any(path.startswith(f"{top}/") for top in found):
            found.append(path)
    return found
