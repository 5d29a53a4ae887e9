"""Answered predictions: appended to segment files by whoever answers, moved into a Delta Lake table by the worker.

A segment is a file of JSON lines that one process writes; an answer is sent only after its line was handed to the
operating system, so it survives the death of the process. It is `.open` while it is written, `.ready` when it is handed
over, `.moving` from the moment its commit is tried, and removed when its rows are in the table. Only the rows of a
segment that may have been tried before are looked for in the table: moved twice means moved once.
"""

import os
import time
import weakref
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import orjson
import psutil
import pyarrow as pa
import structlog

from mlops_platform.adapters.delta.segments import SCHEMA, count_of, lines_of, made_by, read
from mlops_platform.adapters.delta.table import PredictionTable, engine_error
from mlops_platform.errors import Unavailable
from mlops_platform.kit.backoff import Backoff
from mlops_platform.kit.ids import new_id
from mlops_platform.predictions.interfaces import Account, Backlog, LoggedRow, Made, PredictionLog
from mlops_platform.telemetry import metrics

log = structlog.get_logger(__name__)

# a segment is handed over when it is this old or this large, whichever comes first
_SEGMENT_SECONDS = 5.0
_SEGMENT_BYTES = 64_000_000
_COMPLAIN_SECONDS = 60.0
# today's small files and yesterday's last ones are joined
_TIDY_DAYS = 2


class PredictionLogNotWritable(Unavailable):
    """The folder of the log takes no bytes."""

    title = "The prediction log cannot be written"


class DeltaPredictionLog(PredictionLog):
    """Segments in a folder of this machine; the table in the same folder, or at an s3:// address."""

    def __init__(self, folder: Path, table_uri: str | None = None, endpoint_url: str | None = None) -> None:
        self._segments = folder.absolute() / "segments"
        self._table = PredictionTable(table_uri or str(folder.absolute() / "table"), endpoint_url)
        self._passed_once = False
        self._descriptor: int | None = None
        self._path: Path | None = None
        self._finished: list[Path] = []
        self._opened = 0.0
        self._bytes = 0
        self._complained = 0.0
        self._held: list[tuple[bytes, int]] = []
        self._dropped = 0
        self._kept = 0
        self._retries = Backoff()

        # a forked process must not write into its parent's file
        os.register_at_fork(after_in_child=partial(_forget, weakref.ref(self)))

    # --- in the processes that answer

    async def ping(self) -> None:
        try:
            self._segments.mkdir(parents=True, exist_ok=True, mode=0o700)
            probe = self._segments / f".ping-{os.getpid()}"
            probe.write_bytes(b"x")
            probe.unlink()
        except OSError as error:
            raise PredictionLogNotWritable(
                "The prediction log cannot be written; predictions go on and are counted as not logged."
            ) from error

    def hold(self, record: bytes, rows: int) -> None:
        self._held.append((record, rows))

    def commit(self) -> None:
        if not self._held:
            return
        held, self._held = self._held, []
        # what is not known to be whole in the file is dropped
        kept = 0
        try:
            descriptor = self._ready_segment()
            lines = b"".join([b"%b\n" % record for record, _ in held])
            written = os.write(descriptor, lines)
            kept = sum([rows for _, rows in held]) if written == len(lines) else _rows_within(held, written)
            self._bytes += written
            if written != len(lines):
                # a disk that is nearly full takes a part of a line: end it, so that the next line starts anew
                os.write(descriptor, b"\n")
                self._drop(held, kept, "short write")
        except OSError as error:
            self._close()
            self._drop(held, kept, error.strerror or "write failed")
        self._kept += kept

    def _ready_segment(self) -> int:
        if self._descriptor is None:
            self._segments.mkdir(parents=True, exist_ok=True, mode=0o700)
            started = int(psutil.Process().create_time())
            self._path = self._segments / f"{new_id()}.{os.getpid()}.{started}.open"
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._opened, self._bytes = time.monotonic(), 0
        return self._descriptor

    def _close(self) -> None:
        if self._descriptor is None:
            return
        # the number is not ours any more, whatever closing says: it may be the next file's
        descriptor, self._descriptor = self._descriptor, None
        if self._path is not None:
            self._finished.append(self._path)
        try:
            os.close(descriptor)
        except OSError as error:
            # the lines were handed to the operating system before their answers were sent
            self._complain("segment not closed", error)
        self._hand_over()

    def _hand_over(self) -> None:
        """Rename what is finished; what cannot be renamed now is tried again with the next flush."""
        try:
            while self._finished:
                path = self._finished[-1]
                if path.exists():
                    path.rename(path.with_suffix(".ready"))
                self._finished.pop()
        except OSError as error:
            self._complain("segment not handed over", error)

    def _drop(self, held: list[tuple[bytes, int]], kept: int, reason: str) -> None:
        rows = sum(rows for _, rows in held) - kept
        self._dropped += rows
        metrics.prediction_log_dropped_total.inc(rows)
        self._complain("predictions not logged", reason)

    def _complain(self, event: str, reason: OSError | str) -> None:
        if time.monotonic() - self._complained > _COMPLAIN_SECONDS:
            self._complained = time.monotonic()
            log.error(event, reason=str(reason), dropped_so_far=self._dropped)

    def flush(self) -> None:
        self.commit()
        # per request the library's counter would cost as much as the write itself
        metrics.prediction_log_rows_total.inc(self._kept)
        self._kept = 0
        if time.monotonic() - self._opened > _SEGMENT_SECONDS or self._bytes > _SEGMENT_BYTES:
            self._close()
        if self._finished:
            self._hand_over()

    def close(self) -> None:
        self.commit()
        try:
            self._close()
        except OSError:
            log.exception("open segment not handed over", path=str(self._path))

    # --- in the worker

    def move(self) -> int:
        self._give_up_abandoned()
        moved = 0
        found = sorted([*self._segments.glob("*.ready"), *self._segments.glob("*.moving")])
        for paths in _batches([path for path in found if self._retries.due(_name(path))]):
            moved += self._move(paths)
        # what lay here before this process began may have been moved by another, or come back with a backup
        self._passed_once = True
        return moved

    def _give_up_abandoned(self) -> None:
        """Hand over open segments whose process has ended; idle processes rotate late."""
        for path in sorted(self._segments.glob("*.open")):
            _, pid, started, _ = path.name.rsplit(".", 3)
            if not _alive(int(pid), int(started)):
                path.rename(path.with_suffix(".ready"))

    def _move(self, paths: list[Path]) -> int:
        """Move these segments by one commit, but for those that cannot be read. Killed at any point, the next pass finishes it."""
        doubtful = {_name(path) for path in paths if path.suffix == ".moving" or not self._passed_once}
        stored = self._table.stored(doubtful)
        fresh, tables = [], [SCHEMA.empty_table()]
        for path in [path.rename(path.with_suffix(".moving")) for path in paths if _name(path) not in stored]:
            try:
                tables.append(read(path, _name(path)))
            except engine_error():
                # it stays, is counted as waiting and tried again; the others are moved
                wait = self._retries.failed(_name(path))
                metrics.worker_items_failed_total.labels("prediction-log").inc()
                log.exception("segment not read", segment=_name(path), again_in_seconds=wait)
            else:
                self._retries.succeeded(_name(path))
                fresh.append(path)
        rows = pa.concat_tables(tables)
        if rows.num_rows:
            self._table.append(rows, [_name(path) for path in fresh])
            metrics.prediction_log_moved_total.inc(rows.num_rows)
        for path in [*fresh, *(path for path in paths if _name(path) in stored)]:
            path.unlink()
        return int(rows.num_rows)

    def tidy(self) -> None:
        today = datetime.now(UTC).date()
        self._table.tidy([(today - timedelta(days=ago)).isoformat() for ago in range(_TIDY_DAYS)])

    # --- reading

    def account(self) -> Account:
        waiting = self._waiting()
        stored = self._table.stored({_name(path) for path in waiting})
        pending = sum(count_of(line) for path in waiting if _name(path) not in stored for line in lines_of(path))
        return Account(self._table.count(), pending, self._dropped)

    def _waiting(self) -> list[Path]:
        return [path for path in self._segments.glob("*.*") if path.suffix in {".open", ".ready", ".moving"}]

    def backlog(self) -> Backlog:
        waiting = self._waiting()
        finished = [path for path in waiting if path.suffix != ".open"]
        ages = [time.time() - moment for path in finished if (moment := _modified(path)) is not None]
        return Backlog(len(waiting), max(ages, default=0.0))

    def window(self, model_name: str, version: int, since: datetime, limit: int) -> list[LoggedRow]:
        # the date is the table's partition: older days are not opened
        query = (
            'SELECT inputs, prediction FROM predictions WHERE date >= ? AND model = ? AND version = ? AND "at" >= ? '
            'ORDER BY "at" DESC LIMIT ?'
        )
        asked = [since.astimezone(UTC).strftime("%Y-%m-%d"), model_name, version, since, limit]
        found = self._table.query(query, asked)
        # rows of earlier versions may lack their answer: what was asked counts all the same
        return [LoggedRow(orjson.loads(inputs), orjson.loads(answer or "null")) for inputs, answer in found]

    def find(self, prediction_id: str) -> Made | None:
        wanted = orjson.dumps(prediction_id)
        for path in self._waiting():
            try:
                lines = [line for line in lines_of(path) if wanted in line]
            except FileNotFoundError:
                # moved meanwhile: the table has it
                continue
            for line in lines:
                if (made := made_by(line, prediction_id)) is not None:
                    return made
        query = "SELECT model, version, environment FROM predictions WHERE date >= ? AND prediction_id = ? LIMIT 1"
        since = (datetime.now(UTC) - timedelta(days=_TIDY_DAYS)).strftime("%Y-%m-%d")
        found = self._table.query(query, [since, prediction_id])
        return Made(*found[0]) if found else None

    def rows_on(self, day: date) -> dict[tuple[str, str], int]:
        query = "SELECT tenant, model, count(*) FROM predictions WHERE date = ? GROUP BY tenant, model"
        return {(tenant, model): count for tenant, model, count in self._table.query(query, [day.isoformat()])}


def _batches(paths: list[Path]) -> Iterator[list[Path]]:
    """Put segments together until they are as large as one may be: a commit costs a store the same however much it holds."""
    batch: list[Path] = []
    total = 0
    for path in paths:
        size = path.stat().st_size
        if batch and total + size > _SEGMENT_BYTES:
            yield batch
            batch, total = [], 0
        batch.append(path)
        total += size
    if batch:
        yield batch


def _name(path: Path) -> str:
    return path.name.split(".", 1)[0]


def _rows_within(held: list[tuple[bytes, int]], written: int) -> int:
    """Return the rows of the records whose lines are whole within so many bytes."""
    kept = end = 0
    for record, rows in held:
        end += len(record) + 1
        if end > written:
            break
        kept += rows
    return kept


def _forget(reference: "weakref.ref[DeltaPredictionLog]") -> None:
    """Leave the parent's records and its segment to the parent."""
    log = reference()
    if log is None:
        return
    log._held.clear()  # noqa: SLF001 - its own module
    if log._descriptor is not None:  # noqa: SLF001
        os.close(log._descriptor)  # noqa: SLF001
        log._descriptor = None  # noqa: SLF001
        log._finished.clear()  # noqa: SLF001


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        # moved between the listing and the look
        return None


def _alive(pid: int, started: int) -> bool:
    try:
        return int(psutil.Process(pid).create_time()) == started
    except psutil.NoSuchProcess:
        return False
