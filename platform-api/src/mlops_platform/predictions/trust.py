"""Which revisions this process may load, and whether what it has loaded still may answer."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import structlog

from mlops_platform.builds.interfaces import BundleStore
from mlops_platform.deployments.schemas import LiveRevision
from mlops_platform.kit.clock import now
from mlops_platform.predictions.engine import BundleNotTrusted
from mlops_platform.statements.bundle_hashes import statement_file
from mlops_platform.telemetry import metrics
from model_server.refusals import Refused
from model_server.trust.envelope import PublicKeys
from model_server.trust.files import ApprovedFiles, BuiltFiles, Files
from model_server.trust.revocations import Revocations, check_revoked, may_follow, read_revocations
from model_server.trust.statement import Statement, check_time, read_statement

log = structlog.get_logger(__name__)


class NotApproved(BundleNotTrusted):
    """The signed statement of approval does not let this process serve the revision; `code` says why, for programs."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class Trust:
    """Verifies statements with pinned keys. Methods that read files block: call them in a thread."""

    def __init__(
        self,
        keys_file: Path,
        bundles: BundleStore,
        grace_until: date | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._keys_file = keys_file
        self._keys: PublicKeys | None = None
        self._bundles = bundles
        self._grace_until = grace_until
        self._clock = clock
        self._revocations: Revocations | None = None

    def files(self, live: LiveRevision) -> Files:
        """Return the bundle's files as the revision's statement names them, each checked.

        Raises NotApproved, and BundleUnavailable when the statement cannot be read now.
        """
        envelope = self._bundles.beside(live.bundle, statement_file(live.revision_id))
        folder = Path(live.folder)
        if envelope is None:
            if self._grace_until is not None and self._clock().astimezone(UTC).date() <= self._grace_until:
                log.warning("served without a statement of approval, by grace", revision=live.revision_id)
                return BuiltFiles(folder)
            raise NotApproved("no_statement", "there is no signed statement of approval; deploy the version again")
        try:
            statement = read_statement(envelope, self._pinned())
            _check_names(statement, live)
            self._check(statement)
            files = ApprovedFiles(folder, statement)
            files.check()
        except Refused as refusal:
            raise NotApproved(refusal.code, refusal.sentence) from refusal
        return files

    def problem(self, statement: Statement | None) -> NotApproved | None:
        """Return why what is loaded may not answer any more, None while it may."""
        if statement is None:
            return None
        try:
            self._check(statement)
        except Refused as refusal:
            return NotApproved(refusal.code, refusal.sentence)
        return None

    def take_revocations(self, envelope: bytes | None) -> None:
        """Take the newest list. One that is not signed, or has a lower number than the last, changes nothing."""
        if envelope is None:
            return
        try:
            found = read_revocations(envelope, self._pinned())
        except Refused as refusal:
            log.error("list of withdrawn approvals not taken", reason=refusal.sentence)  # noqa: TRY400 - the reason is the message
            return
        if not may_follow(found, self._revocations):
            log.error("list of withdrawn approvals not taken", reason="its number is lower than the last one's")
            return
        self._revocations = found

    def report(self) -> None:
        """Show how old the list is; an alert watches it."""
        known = self._revocations
        age = -1.0 if known is None else (self._clock() - known.issued_at).total_seconds()
        metrics.revocation_list_age_seconds.set(age)

    def _check(self, statement: Statement) -> None:
        at = self._clock()
        check_time(statement, at)
        check_revoked(statement, self._revocations, at)

    def _pinned(self) -> PublicKeys:
        if self._keys is None:
            try:
                content = self._keys_file.read_bytes()
            except OSError as error:
                raise Refused("no_keys", f"The public keys of approvals cannot be read: {self._keys_file}.") from error
            self._keys = PublicKeys.from_pem(content)
        return self._keys


def _check_names(statement: Statement, live: LiveRevision) -> None:
    said = (statement.model_name, statement.version, statement.environment, statement.tenant, statement.revision_id)
    if said != (live.model_name, live.version, live.environment, live.tenant, live.revision_id):
        raise Refused("not_approved", "The statement of approval is about another revision, or another place for it.")
