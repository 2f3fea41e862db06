"""Frames, lines and files out of bytes that come in any pieces."""

from __future__ import annotations

import io
import socket
import struct
import tarfile
import threading
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.engine import archive
from labctl.engine.port import FileEntry
from labctl.engine.streams import Channel, LineStream, lines


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


def channel(prefetched: int = 0) -> tuple[Channel, socket.socket]:
    """A channel as the SDK hands it out, and the engine's side of it."""
    ours, engine = socket.socketpair()
    reader = ours.makefile("rb")
    connection = SimpleNamespace(
        _sock=ours, _response=SimpleNamespace(raw=SimpleNamespace(_fp=SimpleNamespace(fp=reader)))
    )
    connection._response.close = reader.close
    if prefetched:
        engine.sendall(frame(1, b"x" * prefetched))
        reader.peek(1)
    return Channel(connection), engine


def test_frames_are_told_apart() -> None:
    ours, engine = channel()
    engine.sendall(frame(1, b"out") + frame(2, b"err") + frame(1, b"") + frame(1, b"put"))
    engine.close()
    assert ours.collect(time.monotonic() + 5) == ("output", "err")


def test_what_came_with_the_header_is_not_lost() -> None:
    ours, engine = channel(prefetched=20)
    engine.sendall(frame(1, b"y"))
    engine.close()
    assert ours.collect(time.monotonic() + 5) == ("x" * 20 + "y", "")


def test_silence_past_the_deadline() -> None:
    ours, engine = channel()
    with pytest.raises(TimeoutError):
        ours.collect(time.monotonic() + 0.01)
    engine.close()


def test_closing_ends_a_read_in_another_thread() -> None:
    ours, engine = channel()
    seen: list[str] = []
    stream = LineStream((chunk for _, chunk in ours.frames()), ours.close)
    reading = threading.Thread(target=lambda: seen.extend(stream))
    reading.start()
    engine.sendall(frame(1, b"one\ntw"))
    stream.close()
    stream.close()
    reading.join(5)
    assert not reading.is_alive()
    engine.close()


def test_input_is_sent_whole_and_closed() -> None:
    ours, engine = channel()
    data = b"z" * 1_000_000
    received: list[bytes] = []
    reading = threading.Thread(target=lambda: received.extend(iter(lambda: engine.recv(9999), b"")))
    reading.start()
    ours.feed(data)
    reading.join(10)
    assert b"".join(received) == data


@given(st.text(alphabet="aé漢\n", max_size=40), st.integers(1, 7))
def test_lines_do_not_depend_on_the_pieces(text: str, size: int) -> None:
    data = text.encode()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    expected = text.split("\n")
    assert list(lines(pieces)) == (expected[:-1] if expected[-1] == "" else expected)


def test_an_archive_has_files_alone() -> None:
    """A directory in it would change the mode and owner of one that exists."""
    packed = archive.pack([FileEntry("/etc/a/b", b"data", 0o400, 901, 902)])
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        (entry,) = tar.getmembers()
    assert (entry.name, entry.mode, entry.uid, entry.gid) == ("etc/a/b", 0o400, 901, 902)
    assert archive.first_file([packed]) == (b"data", "")


def test_an_archive_beneath_a_volume() -> None:
    packed = archive.pack([FileEntry("/srv/data/x/y", b"")], "/srv/data")
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert tar.getnames() == ["x/y"]


def test_links_are_followed_but_not_forever() -> None:
    links = {"/a/link": "../b/file", "/loop": "/loop"}

    def fetch(path: str) -> tuple[bytes | None, str]:
        return (b"found", "") if path == "/b/file" else (None, links.get(path, ""))

    assert archive.follow_links("/a/link", fetch) == b"found"
    assert archive.follow_links("/loop", fetch) is None
    assert archive.follow_links("/none", fetch) is None
