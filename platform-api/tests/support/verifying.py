"""Verification in the process of the test, for tests that put a part of their own beside the log."""

from mlops_platform.audit import runs
from mlops_platform.audit.interfaces import Verifier
from mlops_platform.audit.schemas import Verification
from mlops_platform.database.session import Database


class InProcess(Verifier):
    """Does what the child process does, here."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def verify(self, *, full: bool) -> Verification:
        return await runs.run(self._database, full=full)
