"""Make Glance's schema and load its metadata definitions, in one process.

May be run again at any time: what is there stays.
"""

import sys

from glance.cmd import manage
from glance.common import config
from glance.db.sqlalchemy import api, metadata


def main() -> None:
    """What ``glance-manage db sync`` and ``load_metadefs`` do."""
    config.parse_args([], default_config_files=["/etc/glance/glance-api.conf"])
    try:
        manage.DbCommands().sync()
    except SystemExit as ended:  # its way of saying that nothing is to be done
        if ended.code:
            raise
    metadata.db_load_metadefs(api.get_engine(), None)
    sys.stdout.write("schema and metadata definitions: made\n")


if __name__ == "__main__":
    main()
