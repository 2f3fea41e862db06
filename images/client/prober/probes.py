"""One question to one service: each kind of probe of the catalogue, and how its answer reads."""

import base64
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

TIMEOUT = 2.0
"""Seconds that one attempt may take."""
THREADS = 24
MOST_BYTES = 1 << 20
SHARED = 0.5
"""Seconds for which a list that many probes look into is not asked for again."""
ROUNDED = 2.0
"""Seconds by which a report may look older than it is: times are written down in whole seconds."""

Answer = tuple[bool, str]


def together(calls: Mapping) -> dict:
    """Results of calls (key → function and arguments) made at the same time."""
    with ThreadPoolExecutor(max_workers=min(THREADS, max(1, len(calls)))) as pool:
        futures = {key: pool.submit(*call) for key, call in calls.items()}
        return {key: future.result() for key, future in futures.items()}


def ask(probe: Mapping) -> Answer:
    """Whether a service is ready, and what it said or why it did not."""
    kind = next(name for name in KINDS if name in probe)
    try:
        return KINDS[kind](probe["host"], probe[kind])
    except OSError as error:
        return False, reason(error)
    except Exception as error:  # a library's own kind of refusal: its words are the answer
        return False, f"{type(error).__name__}: {str(error)[:160]}"


def reason(error: OSError) -> str:
    """``connection refused`` and the like."""
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:g} s"
    return error.strerror.lower() if error.strerror else str(error)


def connect(host: str, port: int) -> socket.socket:
    """A connection on which everything takes at most TIMEOUT."""
    return socket.create_connection((host, port), timeout=TIMEOUT)


def ping(host: str, _: Mapping) -> Answer:
    """An ICMP echo through an unprivileged socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as sock:
        sock.settimeout(TIMEOUT)
        sock.sendto(struct.pack("!BBHHH", 8, 0, 0, 0, 1) + b"labctl", (host, 0))
        sock.recv(1024)
    return True, "it answers"


def tcp(host: str, want: Mapping) -> Answer:
    """A connection; something sent, and something expected in what comes back."""
    with connect(host, want["port"]) as sock:
        if "send" in want:
            sock.sendall(want["send"].encode())
        if "expect" not in want:
            return True, "it accepts connections"
        said = b""
        while want["expect"].encode() not in said:
            more = sock.recv(4096)
            said += more
            if not more or len(said) > MOST_BYTES:
                return False, f"it said {shown(said)}"
    return True, "it answers"


def http(host: str, want: Mapping) -> Answer:
    """A GET with the wanted status and a body that matches."""
    status, body = get(host, want)
    if status not in want.get("status", (200,)):
        return False, f"HTTP {status}"
    if "expect" in want and not re.search(want["expect"], body):
        return False, f"HTTP {status}, but it said {body[:80]!r}"
    return True, f"HTTP {status}"


def matched(expect: str, said: str) -> Answer:
    """Whether what was said matches, and the part of it that tells."""
    found = re.search(expect, said)
    return found is not None, f"it says {(found[0] if found else said).strip()[:80]!r}"


def get(host: str, want: Mapping) -> tuple[int, str]:
    """Status and body of a GET; ``want`` has port, path and perhaps user and password."""
    import http.client  # costs more than all the rest; only when needed

    headers = {"Connection": "close"}
    if "user" in want:
        login = f"{want['user']}:{want.get('password', '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
    connection = http.client.HTTPConnection(host, want["port"], timeout=TIMEOUT)
    try:
        connection.request("GET", want.get("path", "/"), headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(MOST_BYTES).decode("utf-8", "replace")
    except http.client.HTTPException as error:
        raise ConnectionError(f"it does not speak HTTP ({type(error).__name__})") from None
    finally:
        connection.close()


def mysql(host: str, want: Mapping) -> Answer:
    """A query's first value."""
    rows = query(host, want, want["query"])
    return matched(want["expect"], str(rows[0][0]) if rows else "nothing")


def query(host: str, want: Mapping, statement: str) -> tuple:
    """Rows of a statement; OSError with the server's words when it refuses."""
    import pymysql  # only when needed

    try:
        with (
            pymysql.connect(
                host=host,
                port=want["port"],
                user=want["user"],
                password=want.get("password", ""),
                connect_timeout=TIMEOUT,
                read_timeout=TIMEOUT,
                write_timeout=TIMEOUT,
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
            return cursor.fetchall()
    except pymysql.MySQLError as error:
        words = str(error.args[-1]) if error.args else type(error).__name__
        raise ConnectionError(words[:160]) from None


class Shared:
    """The answer to one question, for all who ask it at about the same time."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._until = 0.0
        self._said: object = None

    def answer(self, ask: Callable) -> object:
        """What ``ask`` returns, or its OSError; at most SHARED seconds old."""
        with self._asking:
            if time.monotonic() >= self._until:
                try:
                    self._said = ask()
                except OSError as error:
                    self._said = error
                self._until = time.monotonic() + SHARED
            said = self._said
        if isinstance(said, OSError):
            raise said
        return said


_SHARED: dict = {}
_FINDING = threading.Lock()


def reports(host: str, want: Mapping) -> Answer:
    """Whether its control plane, as that has written down, heard of a process lately.

    ``since`` (of the monotonic clock) is when somebody began to wait for it: what the process
    reported that was there before does not count.
    """

    def ask() -> dict:
        ages: dict = {}
        for process, where, seconds in query(host, want, want["query"]):
            ages[process, where] = min(abs(seconds), ages.get((process, where), float("inf")))
        return ages

    question = (host, want["port"], want["user"], want["query"])
    with _FINDING:
        shared = _SHARED.setdefault(question, Shared())
    seconds = shared.answer(ask).get((want["process"], want["host"]))
    waited = time.monotonic() - want["since"] if "since" in want else want["within"]
    if seconds is None or waited + ROUNDED < seconds < want["within"]:
        return False, "it has not reported itself yet"
    if seconds < want["within"]:
        return True, "reported as up"
    return False, f"reported as down: silent for {want['within']:g} s or more"


def redis(host: str, want: Mapping) -> Answer:
    """A command's reply."""
    reply = str(command(host, want, *want.get("command", ("PING",))))
    return matched(want.get("expect", "PONG"), reply)


def command(host: str, want: Mapping, *words: str) -> object:
    """The reply to a Redis command: text, number, or a list of replies; errors begin with -."""
    with connect(host, want["port"]) as sock, sock.makefile("rb") as replies:
        if want.get("password"):
            sock.sendall(_request("AUTH", want["password"]))
            refused = _reply(replies)
            if refused != "OK":
                return refused
        sock.sendall(_request(*words))
        return _reply(replies)


def _request(*words: str) -> bytes:
    parts = [f"*{len(words)}\r\n".encode()]
    parts += [b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words]
    return b"".join(parts)


def _reply(stream) -> object:
    line = stream.readline().rstrip(b"\r\n").decode("utf-8", "replace")
    kind, rest = line[:1], line[1:]
    if kind == "$":
        return "" if rest == "-1" else stream.read(int(rest) + 2)[:-2].decode("utf-8", "replace")
    if kind == "*":
        return [_reply(stream) for _ in range(max(0, int(rest)))]
    if kind == ":":
        return int(rest)
    return rest if kind == "+" else line


def mongodb(host: str, want: Mapping) -> Answer:
    """``hello`` says primary or secondary."""
    said = hello(host, want["port"])
    if said.get("isWritablePrimary"):
        return True, "primary"
    return bool(said.get("secondary")), "secondary" if said.get("secondary") else "no member yet"


def hello(host: str, port: int) -> dict:
    """MongoDB's answer to ``hello``, which needs no login (OP_MSG, one body section)."""
    import bson  # only when needed

    body = b"\0\0\0\0\0" + bson.encode({"hello": 1, "$db": "admin"})
    with connect(host, port) as sock, sock.makefile("rb") as stream:
        sock.sendall(struct.pack("<iiii", 16 + len(body), 1, 0, 2013) + body)
        (length,) = struct.unpack("<i", stream.read(4).ljust(4, b"\0"))
        if not 21 < length < MOST_BYTES:
            raise ConnectionError("it closed the connection")
        return bson.decode(stream.read(length - 4)[17:])


def shown(said: bytes) -> str:
    """The beginning of what was said."""
    return repr(said[:80].decode("utf-8", "replace")) if said else "nothing"


KINDS: dict[str, Callable[[str, Mapping], Answer]] = {
    "ping": ping,
    "tcp": tcp,
    "http": http,
    "mysql": mysql,
    "redis": redis,
    "mongodb": mongodb,
    "reports": reports,
}
