"""Reads and writes YAML documents; the only module that uses PyYAML.

A document has JSON's data model in YAML syntax: mappings with text as keys, lists, text, numbers,
true/false, null. Anything else in a file (tags, merge keys, two documents, aliases without end,
bytes that are not text) is reported as an :class:`~labctl.errors.InputError` of one sentence.
"""

from __future__ import annotations

import errno
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from labctl.documents.misfit import empty, misfit
from labctl.documents.source import Place, Source, printable
from labctl.errors import EngineError, InputError

Model = TypeVar("Model", bound=BaseModel)

STDIN = Path("-")
"""Standard input, by the usual convention."""
MAX_BYTES = 1 << 20
MAX_DEPTH = 40
MAX_VALUES = 50_000
"""Values in a document with its aliases expanded: a small file can expand to billions."""

# The C parser is ten times as fast and included in wheels; the Python one accepts the same.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_FORBIDDEN = yaml.reader.Reader.NON_PRINTABLE
_TAG = "tag:yaml.org,2002:"
_HINTS = {
    "mapping values are not allowed": "quote text that contains ': '",
    "cannot start any token": "quote text that begins with a special character",
    "unexpected end of stream": "a quote that is opened here is not closed",
    "expected ',' or": "a bracket is not closed",
    "expected key": "check the indentation of this line and those before it",
    "expected '-' indicator": "check the indentation of this line and those before it",
}
"""Part of the parser's message → a hint for the user."""


def read_yaml(path: Path) -> Any:
    """The data of a YAML file. Raises InputError with file and line for any problem."""
    data, source = read_with_source(path)
    if data is None:
        raise source.error((), "is empty")
    return data


def read_with_source(path: Path) -> tuple[Any, Source]:
    """The data of a YAML file (None when it is empty), and the positions of its values."""
    return parse(_read_text(path), shown(path))


def load(path: Path, model: type[Model]) -> Model:
    """A document of the kind ``model``. Raises InputError with file, line and place."""
    return load_with_source(path, model)[0]


def load_with_source(path: Path, model: type[Model]) -> tuple[Model, Source]:
    """As :func:`load`, with the positions of values, for later checks."""
    data, source = read_with_source(path)
    return validate(data, model, source), source


def validate(data: Any, model: type[Model], source: Source) -> Model:
    """Data as a ``model``; InputError names the most useful problem and counts the others.

    Strict, as the exported JSON Schema: text and numbers are not converted into each other.
    """
    if data is None:
        raise source.error((), empty(model))
    try:
        return model.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        raise misfit(error, model, source) from None


def parse(text: str, name: str) -> tuple[Any, Source]:
    """The data of YAML text, and the positions of its values. ``name`` is used in errors."""
    reader = _Reader(text, name)
    return reader.document(), reader.source


def dumps(data: Any) -> str:
    """Data as YAML text, keys in the given order."""
    return str(
        yaml.dump(
            data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False
        )
    )


def dump(path: Path, data: Any, mode: int = 0o644) -> None:
    """Write a YAML file atomically: a reader (or a crash) sees the old file or the new one.

    The file never has wider permissions than ``mode``. EngineError when it cannot be written.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(dumps(data))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        temporary = None
        _sync_directory(path.parent)
    except OSError as error:
        raise EngineError(f"{shown(path)}: cannot be written: {error.strerror}") from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def exists(path: Path) -> bool:
    """Whether there is such a file; False for a name that no file can have."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def shown(path: Path) -> str:
    """A path as messages show it: relative when it is below the working directory."""
    if path == STDIN:
        return "standard input"
    try:
        return printable(str(path.relative_to(Path.cwd())), 200)
    except (ValueError, OSError):
        return printable(str(path), 200)


def _sync_directory(directory: Path) -> None:
    """Make a rename in a directory survive a power failure."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read_text(path: Path) -> str:
    name = shown(path)
    try:
        with open(0, "rb", closefd=False) if path == STDIN else path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: {_unreadable(error)}") from None
    if len(raw) > MAX_BYTES:
        raise InputError(f"{name}: is larger than 1 MiB, too large for a document")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        byte = raw[error.start]
        raise InputError(
            f"{name}:{line}: is not UTF-8 text (byte 0x{byte:02x}); save it as UTF-8"
        ) from None


def _unreadable(error: OSError | ValueError) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EISDIR:
        return "is a directory, should be a YAML file"
    if number == errno.ENOENT:
        return "no such file"
    if number == errno.EACCES:
        return "you have no permission to read it; see `ls -l`"
    return f"cannot be read: {getattr(error, 'strerror', None) or error}"


class _Reader:
    """Builds data from the parser's events.

    PyYAML's nodes are not used: composing them recurses in C without limit, follows aliases into
    themselves and silently keeps the last of two equal keys.
    """

    def __init__(self, text: str, name: str) -> None:
        self._lines: dict[Place, int] = {}
        self._written: dict[Place, str] = {}
        self.source = Source(name, self._lines, self._written)
        self._text = text
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._count = 0
        self._loader: Any = None
        self._events: Iterator[Any] = iter(())

    def document(self) -> Any:
        """The data of the only document; None when there is none."""
        try:
            self._loader = _Loader(self._text)
            self._events = iter(self._loader.get_event, None)
            return self._document()
        except yaml.YAMLError as error:
            raise self._invalid(error) from None

    def _document(self) -> Any:
        next(self._events)  # the stream's start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        value = self._value(next(self._events), ())
        next(self._events)  # the document's end
        following = next(self._events)
        if isinstance(following, yaml.DocumentStartEvent):
            raise self._error(following, (), "begins a second document; use a file for each")
        return value

    def _value(self, event: Any, place: Place) -> Any:
        self._lines[place] = self._lines.get(place) or event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, place)
        before = self._count
        self._add(1, event, place)
        if len(place) > MAX_DEPTH:
            raise self._error(event, place[:3], f"is nested more than {MAX_DEPTH} deep")
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, place)
        else:
            self._check_tag(event, place)
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            value = self._mapping(place) if is_mapping else self._sequence(place)
        if event.anchor:
            self._anchors[event.anchor] = (value, self._count - before)
        return value

    def _alias(self, event: Any, place: Place) -> Any:
        if event.anchor not in self._anchors:
            name = printable(event.anchor)
            problem = f"*{name} has no anchor &{name} that ends before it"
            raise self._error(event, place, problem)
        value, size = self._anchors[event.anchor]
        self._add(size, event, place)
        return value

    def _add(self, size: int, event: Any, place: Place) -> None:
        self._count += size
        if self._count > MAX_VALUES:
            problem = f"has more than {MAX_VALUES} values, with aliases expanded"
            raise self._error(event, place[:1], problem)

    def _sequence(self, place: Place) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, (*place, len(items))))
        return items

    def _mapping(self, place: Place) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, place)
            inner = (*place, key)
            if key in mapping:
                problem = f"is here twice, first in line {self._lines[inner]}; keep one"
                raise self._error(event, inner, problem)
            self._lines[inner] = event.start_mark.line + 1
            mapping[key] = self._value(next(self._events), inner)
        return mapping

    def _key(self, event: Any, place: Place) -> str:
        """A key, always as text: ``on:`` and ``1:`` are names here."""
        if not isinstance(event, yaml.ScalarEvent):
            raise self._error(event, place, "has a key that is not text")
        if not event.style and event.value == "<<":
            raise self._error(event, place, "has a merge key (<<); write the keys out")
        if not event.style and not event.value:
            raise self._error(event, place, "has nothing before a ':'")
        return str(event.value)

    def _scalar(self, event: Any, place: Place) -> Any:
        self._check_tag(event, place)
        if event.style or event.tag == "!":
            return event.value
        tag = self._loader.resolve(yaml.ScalarNode, event.value, (True, False))
        make = _SCALARS.get(tag.removeprefix(_TAG))
        if make is None:
            return event.value
        self._written[place] = event.value
        try:
            return make(event.value)
        except ValueError:
            raise self._error(event, place, "is not a usable number") from None

    def _check_tag(self, event: Any, place: Place) -> None:
        if event.tag not in (None, "!"):
            problem = f"has the tag {printable(event.tag.replace(_TAG, '!!'))}; leave it out"
            raise self._error(event, place, problem)

    def _error(self, event: Any, place: Place, problem: str) -> InputError:
        lines = {place: event.start_mark.line + 1}
        return Source(self.source.name, lines).error(place, problem)

    def _invalid(self, error: yaml.YAMLError) -> InputError:
        problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
        line, column = self._position(error, problem)
        hint = next((hint for known, hint in _HINTS.items() if known in problem), "")
        if "\t" in self._text.split("\n")[line - 1][:column]:
            hint = "indent with spaces, not tabs"
        advice = f"; {hint}" if hint else ""
        where = f"{self.source.name}:{line}:{column}"
        return InputError(f"{where}: invalid YAML: {printable(problem, 120)}{advice}")

    def _position(self, error: yaml.YAMLError, problem: str) -> tuple[int, int]:
        """Line and column (1-based) of the problem."""
        mark = getattr(error, "problem_mark", None)
        if mark is None or "end of stream" in problem:
            mark = getattr(error, "context_mark", None) or mark
        if mark is not None:
            return min(mark.line, self._text.count("\n")) + 1, mark.column + 1
        # Forbidden characters are found before there are positions: search for the first.
        bad = _FORBIDDEN.search(self._text)
        before = self._text[: bad.start() if bad else 0]
        return before.count("\n") + 1, len(before) - before.rfind("\n")


def _integer(text: str) -> int | str:
    """Decimal, 0x, 0b and (as in YAML 1.1) octal with a leading 0; 1:30 stays text."""
    if ":" in text:
        return text
    digits = text.replace("_", "")
    if len(digits) > 40:
        raise ValueError("too long")
    octal = digits.lstrip("+-")
    if len(octal) > 1 and octal[0] == "0" and octal.isdigit():
        return int(digits, 8)
    return int(digits, 0)


def _float(text: str) -> float | str:
    if ":" in text:
        return text
    value = float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
    if not math.isfinite(value):
        raise ValueError("not finite")
    return value


_SCALARS: dict[str, Callable[[str], Any]] = {
    "null": lambda _: None,
    "bool": lambda text: text.lower() in ("true", "yes", "on"),
    "int": _integer,
    "float": _float,
}
