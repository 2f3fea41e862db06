"""Make the replica set, its administrator and the services' users: ``initiate.py INITIATE.json``.

Runs on the first member's node, with the key by which members know each other. May be run again at
any time: what is there stays, and the administrator's and the users' passwords and rights become
those of the document. So do the addresses of a set that has moved as a whole.
"""

import copy
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pymongo
from pymongo.errors import OperationFailure

FOUNDING = {"electionTimeoutMillis": 500, "heartbeatIntervalMillis": 200}
HEARTBEAT_MS = 2000
AUTHENTICATION_FAILED = 18
NOT_YET_INITIALIZED = 94
USER_EXISTS = 51003
WAIT_MS = 60000


def founding(document: dict[str, Any]) -> dict[str, Any]:
    """The set as it is founded: elections are quick, and only this member may win one."""
    return {
        "_id": document["replica_set"],
        "members": [
            {"_id": number, "host": f"{address}:27017", "priority": 0 if number else 1}
            for number, address in enumerate(document["members"])
        ],
        "writeConcernMajorityJournalDefault": True,
        "settings": FOUNDING,
    }


def member(address: str = "127.0.0.1", **account: str) -> pymongo.MongoClient:
    """A connection to one member; the one on this node when no address is given."""
    return pymongo.MongoClient(
        address, directConnection=True, serverSelectionTimeoutMS=WAIT_MS, **account
    )


def await_members(addresses: list[str]) -> None:
    """Return when all of them listen: a set is founded by all of its members or not at all."""
    for address in addresses:
        with member(address) as client:
            client.admin.command("hello")


def known(password: str) -> bool:
    """Whether the administrator can log in on this member."""
    try:
        with member(username="root", password=password) as client:
            client.admin.command("usersInfo", "root")
    except OperationFailure as error:
        if error.code != AUTHENTICATION_FAILED:
            raise
        return False
    return True


def await_primary(client: pymongo.MongoClient) -> None:
    """Return when this member takes writes."""
    end = time.monotonic() + WAIT_MS / 1000
    pause = threading.Event()
    while not client.admin.command("hello").get("isWritablePrimary"):
        if time.monotonic() > end:
            raise SystemExit("this member did not become the primary")
        # The server tells nobody of an election: it has to be asked.
        pause.wait(0.05)


def system(document: dict[str, Any]) -> dict[str, str]:
    """The account of the members themselves, which is there before any user."""
    return {
        "username": "__system",
        "password": "".join(document["key"].split()),
        "authSource": "local",
        "authMechanism": "SCRAM-SHA-256",
    }


def configuration(client: pymongo.MongoClient) -> dict[str, Any] | None:
    """The set's configuration as this member has it; None in one that belongs to no set."""
    try:
        config: dict[str, Any] = client.admin.command("replSetGetConfig")["config"]
    except OperationFailure as error:
        if error.code != NOT_YET_INITIALIZED:
            raise
        return None
    return config


def has_moved(config: dict[str, Any], addresses: list[str]) -> bool:
    """Whether the set's data are here, but no member is at an address that the set knows.

    Only then is a configuration forced on it: who could still object is not there.
    """
    hosts = {member["host"] for member in config["members"]}
    return hosts.isdisjoint(f"{address}:27017" for address in addresses)


def move(client: pymongo.MongoClient, config: dict[str, Any], addresses: list[str]) -> None:
    """Tell this member, and so all, the addresses; who has the newest data is elected soon."""
    config["members"] = [
        {"_id": number, "host": f"{address}:27017", "priority": 1}
        for number, address in enumerate(addresses)
    ]
    config["settings"].update(FOUNDING)
    config["version"] += 1
    client.admin.command("replSetReconfig", config, force=True)


def found(client: pymongo.MongoClient, document: dict[str, Any]) -> None:
    """Initiate the set; this member becomes the primary."""
    await_members(document["members"])
    client.admin.command("replSetInitiate", founding(document))
    await_primary(client)


def whole_set(document: dict[str, Any], **account: str) -> pymongo.MongoClient:
    """A connection to whichever member is the primary."""
    return pymongo.MongoClient(
        document["members"],
        replicaSet=document["replica_set"],
        serverSelectionTimeoutMS=WAIT_MS,
        **account,
    )


def make_user(client: pymongo.MongoClient, user: dict[str, Any]) -> None:
    """A service's user, who may do in its own databases what it likes, and nothing elsewhere."""
    # The second for who writes past a validation that is not there, as Zaqar does.
    roles = [
        {"role": role, "db": name}
        for name in user["databases"]
        for role in ("readWrite", "dbAdmin")
    ]
    account(client, user["user"], user["password"], roles)


def account(
    client: pymongo.MongoClient, name: str, password: str, roles: list[dict[str, str]]
) -> None:
    """A user with this password and these rights, made if there is none."""
    try:
        client.admin.command("createUser", name, pwd=password, roles=roles)
    except OperationFailure as error:
        if error.code != USER_EXISTS:
            raise
        client.admin.command("updateUser", name, pwd=password, roles=roles)


def agree_on_members(client: pymongo.MongoClient, addresses: list[str]) -> None:
    """Add who is not in the set yet, and remove who is not to be: one in each configuration.

    A configuration that changes more than one vote is refused, and so is one before a majority
    has the last.
    """
    wanted = [f"{address}:27017" for address in addresses]
    while True:
        config = client.admin.command("replSetGetConfig", commitmentStatus=True)
        members = config["config"]["members"]
        hosts = [member["host"] for member in members]
        new = [host for host in wanted if host not in hosts]
        gone = [host for host in hosts if host not in wanted]
        if not new and not gone:
            return
        if not config["commitmentStatus"]:
            threading.Event().wait(0.2)
            continue
        if new:
            number = max(member["_id"] for member in members) + 1
            members.append({"_id": number, "host": new[0], "priority": 1})
        else:
            members.remove(next(each for each in members if each["host"] == gone[0]))
        config["config"]["version"] += 1
        client.admin.command("replSetReconfig", config["config"])


def settle(document: dict[str, Any]) -> None:
    """Make the services' users, then give the set the elections that it keeps.

    From then on every member may win one, after the set timeout.
    """
    with whole_set(document, username="root", password=document["password"]) as client:
        for user in document["users"]:
            make_user(client, user)
        agree_on_members(client, document["members"])
        config = client.admin.command("replSetGetConfig")["config"]
        settled = copy.deepcopy(config)
        settled["settings"]["electionTimeoutMillis"] = document["election_timeout_ms"]
        settled["settings"]["heartbeatIntervalMillis"] = HEARTBEAT_MS
        for member in settled["members"]:
            member["priority"] = 1
        if settled != config:
            settled["version"] += 1
            client.admin.command("replSetReconfig", settled)


def main() -> None:
    """Read the document and make what it says."""
    document = json.loads(Path(sys.argv[1]).read_text())
    administrator = "root", document["password"], [{"role": "root", "db": "admin"}]
    with member(**system(document)) as client:
        config = configuration(client)
        moved = config is not None and has_moved(config, document["members"])
        if config is None:
            found(client, document)
            account(client, *administrator)
        elif moved:
            move(client, config, document["members"])
    if moved or not known(document["password"]):
        with whole_set(document, **system(document)) as client:
            account(client, *administrator)
    settle(document)
    users = ", ".join(user["user"] for user in document["users"]) or "none"
    sys.stdout.write(
        f"{document['replica_set']}: {', '.join(document['members'])}; service users: {users}\n"
    )


if __name__ == "__main__":
    main()
