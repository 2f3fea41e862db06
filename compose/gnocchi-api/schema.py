"""Make Gnocchi's schema, its sacks and its archive policies: ``schema.py SCHEMA.json``.

What ``gnocchi-upgrade`` does, and the policies of the lab beside Gnocchi's own, in one process.
May be run again at any time: what is there stays.
"""

import json
import sys
from pathlib import Path
from typing import Any

from gnocchi import archive_policy, incoming, indexer, service, storage

Document = dict[str, Any]


def make_policies(index: Any, document: Document) -> None:
    """Gnocchi's own policies and the document's, and the rule for metrics that name none."""
    there = {policy.name for policy in index.list_archive_policies()}
    policies = list(archive_policy.DEFAULT_ARCHIVE_POLICIES.values())
    policies += [
        archive_policy.ArchivePolicy(
            name,
            0,
            [
                archive_policy.ArchivePolicyItem(granularity=granularity, timespan=timespan)
                for granularity, timespan in wanted["definition"]
            ],
            wanted["aggregation_methods"],
        )
        for name, wanted in document["policies"].items()
    ]
    for policy in policies:
        if policy.name not in there:
            index.create_archive_policy(policy)
    if not index.list_archive_policy_rules():
        index.create_archive_policy_rule("default", "*", document["default"])


def main() -> None:
    """Read the document and make what it says."""
    # Taken off the command line, which oslo.config reads too.
    document = json.loads(Path(sys.argv.pop()).read_text())
    conf = service.prepare_service(log_to_std=True)
    index = indexer.get_driver(conf)
    index.upgrade()
    storage.get_driver(conf).upgrade()
    incoming.get_driver(conf).upgrade(document["sacks"])
    make_policies(index, document)
    names = ", ".join(sorted(policy.name for policy in index.list_archive_policies()))
    sys.stdout.write(f"{document['sacks']} sacks; archive policies: {names}\n")


if __name__ == "__main__":
    main()
