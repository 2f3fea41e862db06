"""Make each service's database and its user: ``databases.py DATABASES.json``.

May be run again at any time: databases stay, passwords become those of the document, and users
of these names from another network, where the lab was before, are removed.
"""

import ipaddress
import json
import sys
from pathlib import Path
from typing import Any

import pymysql

Statement = tuple[str, tuple[str, ...]]


def statements(document: dict[str, Any], network: str) -> list[Statement]:
    """What makes a user's databases, and the user who may use only those, from the network."""
    account = (document["user"], network)
    made: list[Statement] = [
        ("CREATE USER IF NOT EXISTS %s@%s", account),
        ("ALTER USER %s@%s IDENTIFIED BY %s", (*account, document["password"])),
    ]
    for name in document["names"]:
        made.append((f"CREATE DATABASE IF NOT EXISTS `{name}`", ()))
        made.append((f"GRANT ALL PRIVILEGES ON `{name}`.* TO %s@%s", account))
    return made


def formerly(cursor: Any, user: str, network: str) -> list[str]:
    """The other networks from which a user may log in."""
    cursor.execute("SELECT Host FROM mysql.user WHERE User = %s AND Host <> %s", (user, network))
    return [row[0] for row in cursor.fetchall()]


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
            for former in formerly(cursor, database["user"], network):
                cursor.execute("DROP USER %s@%s", (database["user"], former))
            names = ", ".join(database["names"])
            sys.stdout.write(f"{names}: ready for {database['user']}\n")


if __name__ == "__main__":
    main()
