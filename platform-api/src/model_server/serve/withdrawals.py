"""Whether the approval of what is served was withdrawn: by the list that another container of the pod keeps fresh."""

import time
from datetime import UTC, datetime
from pathlib import Path

from model_server.refusals import Refused
from model_server.trust.envelope import PublicKeys
from model_server.trust.revocations import Revocations, check_revoked, may_follow, read_revocations
from model_server.trust.statement import Statement

_LOOK_SECONDS = 1.0


class Withdrawals:
    """Reads the list again when its file changed, at most once a second. A list that is not signed changes nothing."""

    def __init__(self, file: Path, keys: PublicKeys) -> None:
        """Raises Refused `no_revocations`, `not_signed`, `bad_statement`: a server that knows no list does not begin."""
        self._file = file
        self._keys = keys
        self._seen = self._stamp()
        if self._seen is None:
            raise Refused("no_revocations", "The list of withdrawn approvals was not fetched; nothing is served.")
        self._known = read_revocations(file.read_bytes(), keys)
        self._looked = time.monotonic()

    def check(self, statement: Statement, at: datetime) -> None:
        """Raise Refused `approval_revoked`, or `revocations_old` where the policy wants that."""
        if time.monotonic() - self._looked >= _LOOK_SECONDS:
            self.look()
        check_revoked(statement, self._known, at)

    def look(self) -> None:
        """Take the newest list, unless it is not signed or its number goes back."""
        self._looked = time.monotonic()
        stamp = self._stamp()
        if stamp is None or stamp == self._seen:
            return
        self._seen = stamp
        try:
            fresh: Revocations = read_revocations(self._file.read_bytes(), self._keys)
        except (Refused, OSError):
            # the age of the last one says it: an alert watches that
            return
        if may_follow(fresh, self._known):
            self._known = fresh

    def age_seconds(self) -> float:
        """Return how old the newest list is."""
        self.look()
        return (datetime.now(UTC) - self._known.issued_at).total_seconds()

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns
