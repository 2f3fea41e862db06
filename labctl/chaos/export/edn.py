"""Values as EDN, the notation of Clojure's data."""

from __future__ import annotations

import json
import re
from typing import Any

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9*+!_?-]*")


class Word(str):
    """A keyword, without its colon."""

    __slots__ = ()


def edn(value: Any) -> str:
    """A value as EDN; mappings have keywords for keys where they are words, else texts."""
    if isinstance(value, Word):
        return f":{value}"
    if value is None or isinstance(value, bool):
        return {None: "nil", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        pairs = (f"{_key(name)} {edn(each)}" for name, each in value.items())
        return "{" + ", ".join(pairs) + "}"
    return "[" + " ".join(map(edn, value)) + "]"


def _key(name: Any) -> str:
    if isinstance(name, str) and name.isdigit():
        return name
    return f":{name}" if isinstance(name, str) and _WORD.fullmatch(name) else edn(name)
