"""Standard streams of every kind: all bytes come, or it is known that they did not."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from labctl.cli.live import Live
from labctl.cli.output import Descriptor
from labctl.errors import EngineError, ReaderGoneError


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for end in (reader, writer):
        try:
            os.close(end)
        except OSError:
            continue


def test_all_bytes_pass_a_pipe_that_does_not_block(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.set_blocking(writer, False)
    data, found = os.urandom(500_000), bytearray()

    def read() -> None:
        while len(found) < len(data):
            found.extend(os.read(reader, 1 << 16))

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    with io.BufferedWriter(Descriptor(writer)) as stream:  # type: ignore[type-var]
        stream.write(data)
    reading.join(20)
    assert bytes(found) == data


def test_what_goes_on_does_not_end_with_its_reader(pipe: tuple[int, int]) -> None:
    """``labctl chaos run | head`` must leave nothing half-done."""
    reader, writer = pipe
    os.close(reader)
    raw = Descriptor(writer)
    with io.TextIOWrapper(io.BufferedWriter(raw)) as stream:  # type: ignore[type-var]
        live = Live(Console(file=stream))
        live.line("one")
        live.line("two")
        stream.write("and what is said in the end\n")
    with pytest.raises(ReaderGoneError) as raised:
        raw.check()
    assert (str(raised.value), raised.value.exit_code) == ("", 141)


def test_what_cannot_be_written_is_said_in_the_end() -> None:
    with Path("/dev/full").open("wb") as full:
        raw = Descriptor(full.fileno())
        assert raw.write(b"x" * 10) == 10
        assert raw.write(b"x" * 10) == 10
    with pytest.raises(EngineError) as raised:
        raw.check()
    assert str(raised.value) == "standard output cannot be written: No space left on device"
