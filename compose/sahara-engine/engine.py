"""Sahara's engine in one process: what ``sahara-engine`` does, without the process that it forks.

``sahara-engine`` forks a child that serves the bus, and serves it in the parent too; in a container
one is enough.
"""

# Before anything else is imported: it puts green threads in the place of threads.
from sahara.utils import patches

patches.patch_all()

import signal  # noqa: E402
import time  # noqa: E402

import sahara.main as server  # noqa: E402
from sahara.service import ops  # noqa: E402


def main() -> None:
    """Set Sahara up as an engine and serve its calls until told to stop."""
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    server.setup_common("/nonexistent", "engine")
    server.setup_sahara_engine()
    server.setup_sahara_api("distributed")
    engine = ops.OpsServer().get_service()
    engine.start()
    # Green threads do the work; a server that is waited for before it is stopped calls it a hang.
    while not told:
        time.sleep(1)
    engine.stop()
    engine.wait()


if __name__ == "__main__":
    main()
