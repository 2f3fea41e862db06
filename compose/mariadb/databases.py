"""Make each service's database and its user: ``databases.py DATABASES.json``.

May be run again at any time: what is there stays, and passwords become those of the document.
"""

import ipaddress
import json
import sys
from pathlib import Path

import pymysql


def statements(database: dict[str, str], network: str) -> list[tuple[str, tuple[str, ...]]]:
    """What makes one database and a user who may use it, and only it, from the lab's network."""
    schema = f"`{database['name']}`"
    account = (database["user"], network)
    return [
        (f"CREATE DATABASE IF NOT EXISTS {schema}", ()),
        ("CREATE USER IF NOT EXISTS %s@%s", account),
        ("ALTER USER %s@%s IDENTIFIED BY %s", (*account, database["password"])),
        (f"GRANT ALL PRIVILEGES ON {schema}.* TO %s@%s", account),
    ]


def main() -> None:
    """Read the document and make what it says."""
    document = json.loads(Path(sys.argv[1]).read_text())
    network = ipaddress.ip_network(document["subnet"]).with_netmask
    connection = pymysql.connect(
        host=document["host"], user="root", password=document["password"], connect_timeout=10
    )
    with connection, connection.cursor() as cursor:
        for database in document["databases"]:
            for statement, values in statements(database, network):
                cursor.execute(statement, values)
            sys.stdout.write(f"{database['name']}: ready for {database['user']}\n")


if __name__ == "__main__":
    main()
