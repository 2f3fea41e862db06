"""A lab's secrets: random, and kept in a file that only its owner can read."""

from __future__ import annotations

import base64
import secrets
import stat
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from labctl.documents.reader import dump, read_yaml, shown
from labctl.documents.source import printable
from labctl.errors import EngineError, InputError
from labctl.model.lab import Lab
from labctl.model.service import SecretDoc

FILE = "secrets.yml"

_PASSWORD = string.ascii_letters + string.digits
"""No other characters: passwords go into URLs, INI files and shell words unquoted."""


class Secrets(Mapping[str, str]):
    """``service.secret`` → value; its representation shows names and never values."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Secrets({', '.join(self._values)})"


def wanted(lab: Lab) -> Mapping[str, SecretDoc]:
    """The secrets that a lab's services declare, as ``service.secret`` → declaration.

    A service with a ``database``, a ``mongodb``, an ``identity`` or a domain of its own also has
    a password for it, under that name.
    """
    found: dict[str, SecretDoc] = {}
    for name, service in lab.services.items():
        if service.doc.database is not None:
            found[f"{name}.database"] = SecretDoc()
        if service.doc.mongodb is not None:
            found[f"{name}.mongodb"] = SecretDoc()
        if service.doc.identity is not None:
            found[f"{name}.identity"] = SecretDoc()
            if service.doc.identity.domain is not None:
                found[f"{name}.domain"] = SecretDoc()
        found |= {f"{name}.{secret}": doc for secret, doc in service.doc.secrets.items()}
    return found


def load_or_generate(
    lab_dir: Path,
    wanted: Mapping[str, SecretDoc],
    given: Mapping[str, str] = MappingProxyType({}),
) -> Secrets:
    """The lab's secrets: those on disk, those given, and new random ones, only in memory.

    InputError when others can read the file or its content is wrong.
    """
    values = {**_read(lab_dir / FILE), **given}
    missing = {name: make_secret(doc) for name, doc in wanted.items() if name not in values}
    return Secrets(values | missing)


def save(lab_dir: Path, values: Mapping[str, str]) -> None:
    """Write the lab's secrets atomically, readable only by the owner; no-op if unchanged."""
    path = lab_dir / FILE
    if _read(path) != dict(values):
        _own_directory(lab_dir)
        dump(path, dict(values), mode=0o600)


def make_secret(doc: SecretDoc) -> str:
    """A new random secret of the declared kind; ``length`` counts characters.

    A fernet key always has 44; of a keyfile (base64) the length is rounded down to a multiple of 4.
    """
    if doc.kind == "fernet":
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    if doc.kind == "keyfile":
        return base64.b64encode(secrets.token_bytes(doc.length // 4 * 3)).decode()
    if doc.kind == "hex":
        return secrets.token_hex((doc.length + 1) // 2)[: doc.length]
    return "".join(secrets.choice(_PASSWORD) for _ in range(doc.length))


def _read(path: Path) -> dict[str, str]:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise EngineError(f"{shown(path)}: cannot be read: {error.strerror}") from None
    if mode & 0o077:
        raise InputError(
            f"{shown(path)}: others can read it (mode {mode:04o}); chmod 600 it if nobody did, "
            "or else take the lab down and bring it up again"
        )
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise InputError(f"{shown(path)}: should be a mapping of names to secrets")
    for name, value in data.items():
        if not isinstance(value, str) or not value:
            raise InputError(f"{shown(path)}: {printable(name)}: should be text, in quotes")
    return data


def _own_directory(directory: Path) -> None:
    """Create the lab's directory, accessible only to its owner."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
    except OSError as error:
        raise EngineError(f"{shown(directory)}: cannot be created: {error.strerror}") from None
