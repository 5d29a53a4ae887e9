"""The tables of MLflow, before its servers start: `python -m tracking_database migrate` or `wait`.

`migrate` creates the tables of an empty database or brings older ones to this MLflow's version; running it again changes
nothing. `wait` ends once the tables are of this version, so that no server meets a schema it does not know.
"""

import os
import sys
import time
from collections.abc import Callable

from mlflow.exceptions import MlflowException
from mlflow.store.db import utils
from sqlalchemy import Engine, create_engine, inspect
from sqlalchemy.exc import OperationalError

WAIT_SECONDS = 600


def migrate(engine: Engine) -> None:
    """Create or upgrade the tables. The database decides which of the two; nothing is dropped."""
    if inspect(engine).has_table("alembic_version"):
        utils._upgrade_db(engine)  # noqa: SLF001 - what `mlflow db upgrade` and the server itself call
    else:
        utils._safe_initialize_tables(engine)  # noqa: SLF001 - what `mlflow db upgrade` and the server itself call


def is_current(engine: Engine) -> bool:
    """Return whether the tables are those this MLflow expects."""
    if not inspect(engine).has_table("alembic_version"):
        return False
    try:
        utils._verify_schema(engine)  # noqa: SLF001 - what `mlflow db upgrade` and the server itself call
    except MlflowException:
        return False
    return True


def wait(engine: Engine, seconds: float = WAIT_SECONDS, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Return True when the tables are current, False when they are still not after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if is_current(engine):
                return True
        except OperationalError as error:
            sys.stderr.write(f"the database does not answer yet: {type(error.orig).__name__}\n")
        sleep(2)
    return False


def main(arguments: list[str]) -> int:
    """Run one command against MLFLOW_BACKEND_STORE_URI."""
    if arguments not in (["migrate"], ["wait"]):
        sys.stderr.write("usage: python -m tracking_database migrate|wait\n")
        return 2
    engine = create_engine(os.environ["MLFLOW_BACKEND_STORE_URI"])
    if arguments == ["migrate"]:
        migrate(engine)
        return 0
    if wait(engine):
        return 0
    sys.stderr.write("the tables are not of this version: has the Job mlflow-migrate run?\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
