"""Image references: a digest and a registry's port have colons as well as a tag has."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.model.reference import PATTERN, Reference, parse

DIGEST = "sha256:" + "0f" * 32


@pytest.mark.parametrize(
    ("text", "name", "version"),
    [
        ("debian", "debian", "latest"),
        ("debian:bookworm-slim", "debian", "bookworm-slim"),
        ("library/debian:12", "library/debian", "12"),
        ("localhost:5000/debian", "localhost:5000/debian", "latest"),
        ("localhost:5000/debian:bookworm", "localhost:5000/debian", "bookworm"),
        ("[::1]:5000/debian:bookworm", "[::1]:5000/debian", "bookworm"),
        ("registry.example.org/a/b__c/d-e:V1.0", "registry.example.org/a/b__c/d-e", "V1.0"),
        (f"debian@{DIGEST}", "debian", DIGEST),
        (f"debian:bookworm@{DIGEST}", "debian", DIGEST),
        (f"localhost:5000/debian:bookworm@{DIGEST}", "localhost:5000/debian", DIGEST),
    ],
)
def test_what_is_asked_of_a_registry(text: str, name: str, version: str) -> None:
    found = parse(text)
    assert (found.name, found.version) == (name, version)


@pytest.mark.parametrize(
    "text",
    ["", "Debian", "debian:", "debian:a b", ":12", "debian@sha256:12", "a//b", "debian:x:y", "a/-b",
     f"debian@{DIGEST}:12", "debian\n"],
)  # fmt: skip
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(ValueError, match=r" is not an image reference such as debian:bookworm$"):
        parse(text)


HOST = st.from_regex(r"(localhost|[a-z]{1,8}\.example)(:[1-9][0-9]{0,4})?", fullmatch=True)
PART = st.from_regex(r"[a-z0-9]{1,6}([._-][a-z0-9]{1,4})?", fullmatch=True)
TAG = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,20}", fullmatch=True)


@given(
    st.none() | HOST,
    st.lists(PART, min_size=1, max_size=3),
    st.none() | TAG,
    st.none() | st.just(DIGEST),
)
def test_what_is_put_together_comes_apart(
    host: str | None, parts: list[str], tag: str | None, digest: str | None
) -> None:
    name = "/".join([*([host] if host else []), *parts])
    text = name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    assert parse(text) == Reference(name, tag, digest)
    assert re.search(PATTERN, text)
