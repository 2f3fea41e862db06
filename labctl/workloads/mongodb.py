"""Numbers as documents, written with ``w: majority`` and read with ``readConcern: majority``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pymongo
from pymongo.errors import ServerSelectionTimeoutError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from labctl.workloads.client import Config, RefusedError

DATABASE = "labctl_load"


class Documents:
    """A collection for one run."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._client: Any = None

    def prepare(self) -> Mapping[str, Any]:
        """Wait for a primary; says which member it is."""
        self._collection().create_index("run")
        names = {host: name for name, host in self._config["members"].items()}
        address = self._client.primary[0]
        return {"member": names.get(address, address)}

    def write(self, value: int) -> None:
        """Insert a document; a majority's journals are the acknowledgement."""
        try:
            self._collection().insert_one({"_id": value})
        except ServerSelectionTimeoutError as error:
            raise RefusedError(str(error)) from None

    def read(self) -> Mapping[str, list[int]]:
        """What a majority has."""
        return {"majority": [document["_id"] for document in self._collection().find()]}

    def close(self) -> None:
        """Keep the client: it follows the set's primary by itself."""

    def _collection(self) -> Any:
        wait = round(self._config["timeout"] * 1000)
        if self._client is None:
            self._client = pymongo.MongoClient(
                [f"{host}:{self._config['port']}" for host in self._config["members"].values()],
                replicaSet=self._config["replica_set"],
                username=self._config["user"],
                password=self._config["password"],
                authSource="admin",
                serverSelectionTimeoutMS=wait,
                connectTimeoutMS=wait,
                socketTimeoutMS=wait,
                # A retry would hide what became of the first attempt.
                retryWrites=False,
            )
        return self._client[DATABASE].get_collection(
            self._config["name"],
            write_concern=WriteConcern("majority", wtimeout=wait, j=True),
            read_concern=ReadConcern("majority"),
        )


def connect(config: Config) -> Documents:
    """For the loop."""
    return Documents(config)
