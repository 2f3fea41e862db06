"""Make Nova's schemas and map its cells, in one process.

What ``nova-manage api_db sync``, ``cell_v2 map_cell0``, ``cell_v2 create_cell`` and ``db sync`` do;
each of them would start Python and import Nova again. May be run again at any time.
"""

import os
import sys

os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"

from nova import config, context, objects
from nova.cmd import manage

CELL = "cell1"
DATABASE = "{scheme}://{username}:{password}@{hostname}:{port}/%s?{query}"


def transport_template(brokers: int) -> str:
    """The bus of the cell as a template that each service fills in with its own list of brokers.

    So a service that speaks to the cell begins with the broker of its own node too.
    """
    if brokers == 1:
        return "{scheme}://{username}:{password}@{hostname}:{port}/{path}"
    hosts = (f"{{username{n}}}:{{password{n}}}@{{hostname{n}}}:{{port{n}}}" for n in count(brokers))
    return "{scheme}://" + ",".join(hosts) + "/{path}"


def count(number: int) -> range:
    """1 to number: how Nova numbers the brokers."""
    return range(1, number + 1)


def main() -> None:
    """Make what is missing; a cell that is there gets the lab's present addresses."""
    config.parse_args(["nova-manage"])
    objects.register_all()
    cells = manage.CellV2Commands()
    transport = transport_template(manage.CONF.transport_url.count("@"))
    steps = [
        manage.ApiDbCommands().sync(),
        cells.map_cell0(DATABASE % "nova_cell0"),
    ]
    present = {
        cell.name: cell.uuid for cell in objects.CellMappingList.get_all(context.get_context())
    }
    if CELL in present:
        steps.append(cells.update_cell(present[CELL], None, transport, DATABASE % "{path}"))
    else:
        steps.append(cells.create_cell(CELL, DATABASE % "{path}", transport))
    steps.append(manage.DbCommands().sync())
    if any(steps):
        sys.exit(f"a step failed: {steps}")
    sys.stdout.write(f"schemas: made; cells: cell0, {CELL}\n")


if __name__ == "__main__":
    main()
