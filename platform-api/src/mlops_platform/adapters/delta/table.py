"""The Delta Lake table of answered predictions: in a folder, or below an s3:// address.

Commits are safe with other writers: on S3 each is one conditional PUT (If-None-Match) of the next number of the log,
on a disk one exclusive creation. Every commit names its segments as application transactions, so that a commit whose
answer was lost, or that somebody else made meanwhile, is refused and not made twice.
"""

import re
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import structlog
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from mlops_platform.errors import Unavailable

log = structlog.get_logger(__name__)

# one thread, and nothing fetched from anywhere
ENGINE: dict[str, Any] = {"threads": 1, "autoinstall_known_extensions": False, "autoload_known_extensions": False}
# a pass that does not get through says so soon: the next one comes after two seconds
_PATIENCE = {"connect_timeout": "3s", "timeout": "20s", "max_retries": "3", "retry_timeout": "15s"}
# Names of segments are held in the log only as long as a commit may be in doubt; later the rows themselves are asked.
_CONFIGURATION: dict[str, str | None] = {
    "delta.setTransactionRetentionDuration": "interval 1 days",
    "delta.logRetentionDuration": "interval 7 days",
    "delta.deletedFileRetentionDuration": "interval 7 days",
}


def engine_error() -> type[Exception]:
    """Return what DuckDB raises."""
    import duckdb

    error: type[Exception] = duckdb.Error
    return error


class PredictionTableUnavailable(Unavailable):
    """The table cannot be read or written. Predictions go on; their segments wait."""

    title = "The table of predictions is not answering"


class PredictionTable:
    """One table. Nothing is opened before the first use; credentials are found and renewed by the library."""

    def __init__(self, place: str, endpoint_url: str | None = None) -> None:
        self._place = place
        self._options: dict[str, str] = {}
        if place.startswith("s3://"):
            self._options |= _PATIENCE
            if endpoint_url:
                plain = str(endpoint_url.startswith("http://")).lower()
                self._options |= {"aws_endpoint_url": endpoint_url, "aws_allow_http": plain}
        self._following = threading.Lock()
        self._followed: DeltaTable | None = None

    def append(self, rows: pa.Table, segments: Collection[str]) -> None:
        """Store the rows of these segments in one commit, or none of them.

        Raises PredictionTableUnavailable; whether the rows are stored is then in doubt, and `stored` knows.
        """
        moment = int(time.time() * 1000)
        commit = CommitProperties(app_transactions=[Transaction(name, 1, moment) for name in segments])
        # who moves segments may delete nothing: `tidy` does that
        hooks = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)
        with self._answering():
            write_deltalake(
                self._follow() or self._place,
                rows,
                mode="append",
                partition_by=["date"],
                configuration=_CONFIGURATION,
                storage_options=self._options,
                commit_properties=commit,
                post_commithook_properties=hooks,
            )

    def stored(self, segments: Collection[str]) -> set[str]:
        """Return those of the segments whose rows are in the table."""
        if not segments:
            return set()
        # names sort by the time they were made, so that most files are known not to hold them by their statistics
        query = "SELECT DISTINCT segment FROM predictions WHERE segment BETWEEN ? AND ?"
        found = {name for (name,) in self.query(query, [min(segments), max(segments)])}
        return found & set(segments)

    def count(self) -> int:
        """Return how many rows are stored."""
        with self._answering():
            table = self._follow()
            return int(table.count()) if table is not None else 0

    def query(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return what SQL over `predictions` finds; nothing when nothing was ever stored."""
        with self._answering():
            table = self._follow()
            if table is None:
                return []
            # loaded by who reads: a platform that has not predicted yet holds nothing of it
            import duckdb

            with duckdb.connect(config=ENGINE) as connection:
                connection.register("predictions", table.to_pyarrow_dataset())
                return list(connection.execute(sql, list(parameters)).fetchall())

    def tidy(self, days: Collection[str]) -> None:
        """Join small files of these days, and delete what was replaced a week ago. Needs the right to delete."""
        with self._answering():
            table = self._open()
            if table is None:
                return
            for day in days:
                done = table.optimize.compact(partition_filters=[("date", "=", day)])
                if done["numFilesRemoved"]:
                    log.info("files joined", day=day, before=done["numFilesRemoved"], after=done["numFilesAdded"])
            table.vacuum(dry_run=False)
            table.create_checkpoint()
            table.cleanup_metadata()

    def _follow(self) -> DeltaTable | None:
        """Return the table as it is now. Opening it anew would read the log back to its last checkpoint."""
        with self._following:
            if self._followed is None:
                self._followed = self._open()
            else:
                self._followed.update_incremental()
            return self._followed

    def _open(self) -> DeltaTable | None:
        try:
            return DeltaTable(self._place, storage_options=self._options)
        except TableNotFoundError:
            return None

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except (DeltaError, OSError, pa.ArrowException, engine_error()) as error:
            # whatever happened to the table (it may have been put back to an earlier state), the next use looks anew
            self._followed = None
            log.warning("table of predictions", reason=_words(error))
            raise PredictionTableUnavailable(
                "The table of predictions cannot be reached now; predictions go on, and their rows wait to be moved.",
                retry_after=5,
            ) from None


def _words(error: Exception) -> str:
    """Return what happened, without the body of S3's answer but for its code: it repeats a token that ran out."""
    text = " ".join(re.sub(r"\x1b\[\d+m|↳", "", str(error)).split())
    code = re.search(r"<Code>\w+</Code>", text)
    return text.partition("<")[0][:500] + (code[0] if code else "")
