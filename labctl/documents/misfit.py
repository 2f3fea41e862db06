"""Turns pydantic's validation errors into one sentence: what is wrong, and what to write instead.

What is expected at a place is derived from the model's annotations, not from pydantic's messages:
those name Python types, while a YAML file has lists, mappings, numbers and text.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, ip_network
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from labctl.documents.source import Place, Source, printable, suggestion
from labctl.errors import InputError

PATTERNS = {
    r"^[a-z][a-z0-9-]{0,30}$": (
        "a name of at most 31 lower-case letters, digits and '-' that begins with a letter"
    ),
    r"^[a-z][a-z0-9-]{0,14}$": (
        "a name of at most 15 lower-case letters, digits and '-' that begins with a letter"
    ),
    r"^[a-z][a-z0-9_]*$": "a name of lower-case letters, digits and '_' that begins with a letter",
    r"^/.+$": "an absolute path such as /etc/example.conf",
    r"^0[0-7]{3}$": "an octal mode such as '0640'",
    r"^[1-9][0-9]*[KMG]$": "a size such as 256M",
    r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$": "a duration such as 500ms, 20s, 5m or 1h30m",
    r"^-?([0-9]+(\.[0-9]+)?(ms|s|m|h))+$": "a duration such as 100ms, 90s or -90s",
    r"^[1-9][0-9]{0,5}(kbit|mbit)$": "a rate such as 512kbit or 10mbit",
    r"^(vrrp|port [1-9][0-9]{0,4})$": "'vrrp' or a port such as 'port 4567'",
}
"""Regular expressions of the models → what they mean, in words."""

_TYPES = {
    "str": "text",
    "int": "a whole number such as 3",
    "float": "a number such as 2.5",
    "bool": "true or false",
    "IPv4Address": "an IPv4 address such as 198.18.0.11",
    "IPv4Network": "a network such as 198.18.0.0/24 (host bits 0)",
}
_OWN_MESSAGE = {"value_error", "assertion_error"}
"""Types of the errors that our own validators raise; pydantic's for addresses share them."""


class _Slot:
    """What a model expects at a place: an annotation and its constraints."""

    def __init__(self, annotation: Any, constraints: Sequence[Any] = ()) -> None:
        self.constraints = list(constraints)
        while get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            for item in more:
                self.constraints += item.metadata if isinstance(item, FieldInfo) else [item]
        self.arms = [annotation]
        if get_origin(annotation) in (Union, types.UnionType):
            self.arms = [arm for arm in get_args(annotation) if arm is not type(None)]
            if len(self.arms) == 1:
                only = _Slot(self.arms[0], self.constraints)
                self.arms, self.constraints = only.arms, only.constraints

    @property
    def model(self) -> type[BaseModel] | None:
        """The nested model that is expected here, if any."""
        arm = self.arms[0]
        is_model = isinstance(arm, type) and issubclass(arm, BaseModel)
        return arm if is_model and len(self.arms) == 1 else None

    @property
    def is_address(self) -> bool:
        """Whether an IPv4 address or network is expected."""
        return self.arms[0] in (IPv4Address, IPv4Network)

    def inner(self, part: str | int) -> _Slot | None:
        """What is expected one level further in; None when nothing may be there."""
        if self.model is not None:
            found = keys(self.model).get(str(part))
            return None if found is None else _Slot(found.annotation, found.metadata)
        arguments = get_args(self.arms[0])
        origin = get_origin(self.arms[0])
        if origin is dict:
            return _Slot(arguments[1])
        if origin in (tuple, list):
            return _Slot(arguments[0])
        return None

    def key(self) -> _Slot:
        """What a mapping's keys should be."""
        arguments = get_args(self.arms[0])
        return _Slot(arguments[0] if arguments else str)

    def words(self) -> str:
        """What to write here, such as ``a whole number from 1 to 65535``."""
        return " or ".join(self._arm(arm) for arm in self.arms)

    def _arm(self, arm: Any) -> str:
        origin = get_origin(arm)
        if origin is Annotated:
            return _Slot(arm, self.constraints).words()
        if origin is Literal:
            return "one of: " + ", ".join(str(value) for value in get_args(arm))
        least = "that is not empty, " if self._bound(MinLen, "min_length") else ""
        if origin is dict:
            return f"a mapping {least}such as a: b"
        if origin in (tuple, list):
            return f"a list {least}such as [a, b]"
        return self._plain(arm)

    def _plain(self, arm: Any) -> str:
        if isinstance(arm, type) and issubclass(arm, BaseModel):
            return f"a mapping with the keys {', '.join(keys(arm))}"
        if arm in (int, float):
            return self._number(_TYPES[arm.__name__])
        if self.pattern is not None:
            return PATTERNS.get(self.pattern, f"text that matches {self.pattern}")
        return _TYPES.get(getattr(arm, "__name__", ""), "something else")

    @property
    def pattern(self) -> str | None:
        """The regular expression that text must match here."""
        found = (getattr(constraint, "pattern", None) for constraint in self.constraints)
        return next((pattern for pattern in found if pattern), None)

    def _number(self, plain: str) -> str:
        bounds = [
            ("at least", self._bound(Ge, "ge")),
            ("more than", self._bound(Gt, "gt")),
            ("at most", self._bound(Le, "le")),
            ("less than", self._bound(Lt, "lt")),
        ]
        said = [f"{word} {value:g}" for word, value in bounds if value is not None]
        return f"{plain.partition(' such as')[0]}, {' and '.join(said)}" if said else plain

    def _bound(self, kind: type, name: str) -> Any:
        return next((getattr(c, name) for c in self.constraints if isinstance(c, kind)), None)


def keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """A model's fields by their keys in documents (``for`` cannot be a name in Python)."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def empty(model: type[BaseModel]) -> str:
    """The error message for an empty document."""
    return f"is empty; it needs the keys {', '.join(_required(model))}"


def misfit(error: ValidationError, model: type[BaseModel], source: Source) -> InputError:
    """The most useful problem of a document as the error to raise, with the number of others.

    A misspelt key comes first, as it explains a missing one; then problems in the file's order.
    """
    details = error.errors(include_url=False, include_context=True)
    found = [(_place(detail["loc"]), detail) for detail in details]
    told = {place: _sentence(place, detail, model, source) for place, detail in found}
    first = min(told, key=lambda place: (told[place][0], source.line(place) or 0))
    rank, sentence = told[first]
    others = len(told) - 1
    if rank == 0:
        # The intended key is also reported as missing: that is the same mistake.
        meant = sentence.split("'")[1]
        others -= (*first[:-1], meant) in told
    more = f" (and {others} more)" if others else ""
    return source.error(first, sentence + more)


def _place(location: tuple[int | str, ...]) -> Place:
    return location[:-1] if location and location[-1] == "[key]" else location


def _sentence(
    place: Place, detail: Mapping[str, Any], model: type[BaseModel], source: Source
) -> tuple[int, str]:
    """Rank (0: a misspelt key, 1: anything else) and what is wrong at a place."""
    slot = _slot(model, place[:-1] if detail["type"] == "extra_forbidden" else place)
    if detail["type"] == "extra_forbidden":
        known = keys(slot.model) if slot is not None and slot.model is not None else ()
        advice = suggestion(str(place[-1]), known)
        return (0 if advice.startswith("did") else 1), f"unknown key; {advice}"
    if detail["type"] in _OWN_MESSAGE and (slot is None or not slot.is_address):
        return 1, printable(str(detail["ctx"]["error"]), 200)
    if slot is None:
        return 1, printable(str(detail["msg"]), 200)
    if detail["type"] == "missing":
        return 1, f"missing; it should be {slot.words()}"
    if detail["loc"][-1:] == ("[key]",):
        outer = _slot(model, place[:-1])
        return 1, f"should be {outer.key().words() if outer else 'another name'}"
    wrong = _is(place, detail["input"], source)
    if slot.is_address:
        wrong += _ipv6_hint(detail["input"])
    return 1, f"{wrong}, should be {slot.words()}{_quotes(slot, place, source)}"


def _slot(model: type[BaseModel], place: Place) -> _Slot | None:
    slot: _Slot | None = _Slot(model)
    for part in place:
        slot = slot.inner(part) if slot is not None else None
    return slot


def _is(place: Place, value: Any, source: Source) -> str:
    """``is 'abc'``: the value as written, or what kind of value it is."""
    if value is None:
        return "is empty"
    if isinstance(value, dict):
        return "is a mapping" if value else "is an empty mapping"
    if isinstance(value, list):
        return "is a list" if value else "is an empty list"
    if isinstance(value, str):
        return f"is '{printable(value, 40)}'"
    return f"is {printable(source.written.get(place, json.dumps(value)), 40)}"


def _ipv6_hint(value: Any) -> str:
    """A hint for what would be right if it were not IPv6; else empty."""
    try:
        return " (labctl is IPv4 only)" if ip_network(str(value), strict=False).version == 6 else ""
    except ValueError:
        return ""


def _quotes(slot: _Slot, place: Place, source: Source) -> str:
    """A hint that text which YAML reads as a number or a boolean needs quotes."""
    written = source.written.get(place)
    if written and slot.arms == [str] and re.search(slot.pattern or "", written):
        return f"; in quotes: '{printable(written, 40)}'"
    return ""


def _required(model: type[BaseModel]) -> list[str]:
    return [name for name, field in keys(model).items() if field.is_required()]
