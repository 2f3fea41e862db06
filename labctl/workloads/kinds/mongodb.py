"""MongoDB: numbers with ``w: majority`` or ``w: 1``, and linearizable registers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from labctl.workloads.entry import Driver, Entry, members
from labctl.workloads.keys import ADDS, KEYS, REGISTER, looks, part_of, register_steps
from labctl.workloads.model import Config, Done, Operation, RefusedError

if TYPE_CHECKING:
    from labctl.model.lab import Lab

pymongo: Any = Driver("pymongo")
_errors: Any = Driver("pymongo.errors")
_reads: Any = Driver("pymongo.read_concern")
_writes: Any = Driver("pymongo.write_concern")

DATABASE = "labctl_load"
_NOT_PRIMARY = frozenset({10107, 13435})
"""Error codes of members that are not primary, and so did nothing."""


class Collection:
    """A collection for one run."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._names = {host: name for name, host in config["members"].items()}
        wait = round(config["timeout"] * 1000)
        self.client: Any = pymongo.MongoClient(
            [f"{host}:{config['port']}" for host in config["members"].values()],
            replicaSet=config["replica_set"],
            username=config["user"],
            password=config["password"],
            authSource="admin",
            serverSelectionTimeoutMS=wait,
            connectTimeoutMS=wait,
            socketTimeoutMS=wait,
            # A retry would hide the end of the first attempt.
            retryWrites=False,
            retryReads=False,
        )

    def prepare(self) -> dict[str, Any]:
        """Wait for a primary; returns it."""
        self.collection("majority").insert_one({"_id": "made"})
        self.collection("majority").delete_one({"_id": "made"})
        return {"member": self.primary()}

    def primary(self) -> str:
        """The primary's name, as far as the client knows."""
        address = self.client.primary
        return self._names.get(address[0], address[0]) if address else ""

    def collection(self, write: str, read: str = "majority") -> Any:
        """The collection with a write concern (``majority`` is journalled) and a read concern."""
        wait = round(self.config["timeout"] * 1000)
        concern = _writes.WriteConcern("majority", wtimeout=wait, j=True)
        return self.client[DATABASE].get_collection(
            self.config["id"],
            write_concern=_writes.WriteConcern(1) if write == "w1" else concern,
            read_concern=_reads.ReadConcern(read),
        )

    def helpers(self) -> tuple[()]:
        """There are none."""
        return ()

    def clean(self) -> None:
        """Drop the collection."""
        self.collection("majority").drop()


class Set(Collection):
    """Numbers as documents; ``as`` is the write concern."""

    def session(self, worker: int, random: Random) -> _Adder:  # noqa: ARG002 - all are alike
        """A writer, which also reads."""
        return _Adder(self, random)

    def final(self) -> dict[str, list[int]]:
        """What a majority has."""
        found = self.collection("majority").find()
        return {"majority": sorted(document["_id"] for document in found)}


class Register(Collection):
    """Few documents, read with ``readConcern: linearizable``, written with ``w: majority``."""

    def session(self, worker: int, random: Random) -> _Registers:  # noqa: ARG002
        """A reader and writer."""
        return _Registers(self, random)

    def final(self) -> dict[str, list[Any]]:
        """[key, value], as a majority has them."""
        found = self.collection("majority").find().sort("_id")
        return {"majority": [[document["_id"], document["v"]] for document in found]}


@contextmanager
def classified() -> Iterator[None]:
    """Raise RefusedError for errors after which certainly nothing was written."""
    try:
        yield
    except (_errors.ServerSelectionTimeoutError, _errors.DuplicateKeyError) as error:
        raise RefusedError(str(error)) from None
    except _errors.AutoReconnect as error:
        details = getattr(error, "details", None)
        code = details.get("code") if isinstance(details, dict) else None
        if code in _NOT_PRIMARY or "Connection refused" in str(error):
            raise RefusedError(str(error)) from None
        raise


class _Session:
    def __init__(self, owner: Collection, write: str) -> None:
        self.owner = owner
        self.collection = owner.collection(write)

    def apply(self, operation: Operation) -> Done:
        with classified():
            value = self.do(operation)
        return Done(value, at=self.owner.primary())

    def do(self, operation: Operation) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        """Keep the client: it finds a new primary by itself."""


class _Adder(_Session):
    def __init__(self, owner: Collection, random: Random) -> None:
        write = owner.config["as"]
        super().__init__(owner, write)
        # The primary has what it acknowledged; a majority has what w: majority acknowledged.
        self._reading = owner.collection(write, "local" if write == "w1" else "majority")
        self._random, self._added = random, -1

    def steps(self, number: int) -> Iterator[Operation]:
        yield Operation("add", number)
        if looks(number) and self._added == number:
            yield Operation("read", part_of(number, self._random), harmless=True)

    def do(self, operation: Operation) -> Any:
        if operation.f == "read":
            low, high = operation.value
            found = self._reading.find({"_id": {"$gte": low, "$lte": high}})
            return sorted(document["_id"] for document in found)
        self.collection.insert_one({"_id": operation.value})
        self._added = operation.value
        return operation.value


class _Registers(_Session):
    def __init__(self, owner: Collection, random: Random) -> None:
        super().__init__(owner, "majority")
        self._reading = owner.collection("majority", "linearizable")
        self._wait = round(owner.config["timeout"] * 1000)
        self._random, self._seen = random, dict[int, "int | None"]()

    def steps(self, number: int) -> Iterator[Operation]:
        yield from register_steps(number, self.owner.config, self._random, self._seen)

    def do(self, operation: Operation) -> Any:
        key, value = operation.value
        if operation.f == "read":
            found = self._reading.find_one({"_id": key}, max_time_ms=self._wait)
            value = None if found is None else found["v"]
        elif operation.f == "write":
            self.collection.update_one({"_id": key}, {"$set": {"v": value}}, upsert=True)
        else:
            old, new = value
            change = {"$set": {"v": new}}
            if not self.collection.update_one({"_id": key, "v": old}, change).matched_count:
                self._seen.pop(key, None)
                raise RefusedError(f"the value is not {old}")
        self._seen[key] = value[1] if operation.f == "cas" else value
        return [key, value]


def _place(lab: Lab, secrets: Mapping[str, str]) -> dict[str, Any]:
    replica_set = lab.services["mongodb"].settings["replica_set"]
    account = {"user": "root", "password": secrets["mongodb.root"]}
    known = {"replica_set": replica_set, **account}
    return {"port": 27017, **known, "members": members(lab, "mongodb")}


_MAJORITY = Entry(
    kind="mongodb",
    way="majority",
    make=Set,
    services=("mongodb",),
    place=_place,
    operations=ADDS,
    check="sets",
    promised_by={"write_concern": "majority"},
)

ENTRIES = (
    _MAJORITY,
    replace(_MAJORITY, way="w1", promised_by={"write_concern": 1}),
    Entry(
        kind="mongodb",
        way="register",
        make=Register,
        services=("mongodb",),
        place=_place,
        operations=REGISTER,
        check="register",
        settings=KEYS,
        promised_by={"write_concern": "majority", "read_concern": "linearizable"},
    ),
)
