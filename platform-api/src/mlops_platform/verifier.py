"""The process that verifies the audit log once: an order on standard input, the result as JSON on standard output.

Its argument is the id of the process that wants the result.
"""

import asyncio
import os
import sys
import threading
import time

# whoever answers predictions on the same cores goes first
_NICENESS = 10
_LOOK_SECONDS = 0.1


def main(parent: int) -> None:
    """Do what the order says: `{"full": true, "settings": {...}}` with the settings of the database and the audit log."""
    threading.Thread(target=_end_with, args=(parent,), name="end-with-parent", daemon=True).start()
    os.nice(_NICENESS)
    asyncio.run(_verify())


def _end_with(parent: int) -> None:
    """End this process when whoever wants its result is gone, killed or not: nobody else would."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


async def _verify() -> None:
    # after the thread above: they take seconds, in which the parent may end
    import orjson

    from mlops_platform.audit.runs import run
    from mlops_platform.bootstrap import build_database
    from mlops_platform.settings import Settings
    from mlops_platform.telemetry import logging as telemetry_logging

    telemetry_logging.configure("audit-verifier")
    order = orjson.loads(sys.stdin.buffer.read())
    database = build_database(Settings(**order["settings"], database_pool_size=1))
    try:
        found = await run(database, full=bool(order["full"]))
    finally:
        await database.dispose()
    sys.stdout.write(found.model_dump_json())


if __name__ == "__main__":
    main(int(sys.argv[1]))
