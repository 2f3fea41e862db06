"""Say whether this member is the primary; with SECONDS, have it stand back for so long first."""

import sys
from pathlib import Path

import pymongo

KEY = Path("/etc/mongod.key")
"""What the members know each other by; whoever has it may log in as one of them."""

member = pymongo.MongoClient(
    "127.0.0.1",
    directConnection=True,
    username="__system",
    password="".join(KEY.read_text().split()),
    authSource="local",
    authMechanism="SCRAM-SHA-256",
)
for seconds in sys.argv[1:]:
    member.admin.command("replSetStepDown", int(seconds))
writes = member.admin.command("hello")["isWritablePrimary"]
sys.stdout.write("primary\n" if writes else "secondary\n")
