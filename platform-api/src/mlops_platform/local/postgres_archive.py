"""The embedded PostgreSQL to a moment and back: base backups, the log between them, and recovery, by its own programs."""

import hashlib
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from mlops_platform.local.base_backup import problems
from mlops_platform.local.ports import free_port
from mlops_platform.local.postgres import EmbeddedPostgres, PostgresFailed, program

_LOG_SECONDS = 300
_BASE_SECONDS = 3_600
_RECOVERY_SECONDS = 600.0
# beside the data folder, so that no path of the home is in the server's command
_LOG_FOLDER = "recovery-log"
# folders of the server that may hold no file, so that a list of files does not name them
_EMPTY = (
    *("base", "global", "pg_commit_ts", "pg_dynshmem", "pg_logical/mappings", "pg_logical/snapshots"),
    *("pg_multixact/members", "pg_multixact/offsets", "pg_notify", "pg_replslot", "pg_serial", "pg_snapshots"),
    *("pg_stat", "pg_stat_tmp", "pg_subtrans", "pg_tblspc", "pg_twophase", "pg_wal/archive_status", "pg_wal/summaries"),
    "pg_xact",
)


@dataclass(frozen=True)
class Point:
    """A named restore point: where it is in the log, and its time by the server's clock."""

    name: str
    lsn: str
    at: datetime


class DatabaseArchive:
    """Copies of one running server below `spool`, under a replication slot: the server keeps what was not fetched yet."""

    def __init__(self, server: EmbeddedPostgres, spool: Path, slot: str) -> None:
        self._server = server
        self._slot = slot
        self.base_folder = spool / "base"
        self.log_folder = spool / "wal"

    def ensure_slot(self) -> bool:
        """Make the slot unless it holds; return whether it is new: then the log before it may have a gap."""
        with self._connection() as connection:
            found = connection.execute(
                "SELECT wal_status, restart_lsn FROM pg_replication_slots WHERE slot_name = %s", [self._slot]
            ).fetchone()
            if found is not None and found[0] != "lost" and found[1] is not None:
                return False
            if found is not None:
                connection.execute("SELECT pg_drop_replication_slot(%s)", [self._slot])
            connection.execute("SELECT pg_create_physical_replication_slot(%s, true)", [self._slot])
        shutil.rmtree(self.log_folder, ignore_errors=True)
        return True

    def take_base(self) -> tuple[datetime, str]:
        """Copy the server's files while it works and check the copy; return when it was complete, and the first segment of the
        log that it needs. Raises PostgresFailed.
        """
        shutil.rmtree(self.base_folder, ignore_errors=True)
        self.base_folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        options = ["--wal-method=none", "--checkpoint=fast", "--manifest-checksums=SHA256", "--no-sync"]
        self._run("pg_basebackup", ["--pgdata", str(self.base_folder), *options], _BASE_SECONDS)
        ended = self._now()
        # what comes later is in the log: it is checked when it is replayed
        if wrong := problems(self.base_folder):
            raise PostgresFailed(f"the copy of the database does not hold: {'; '.join(wrong)}")
        # "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)"
        label = (self.base_folder / "backup_label").read_text()
        return ended, label.partition("(file ")[2].partition(")")[0]

    def mark(self, name: str) -> Point:
        """Name this moment in the log."""
        with self._connection() as connection:
            row = connection.execute("SELECT pg_create_restore_point(%s)::text, clock_timestamp()", [name]).fetchone()
            assert row is not None, "a function returns a row"
            # a commit after it: recovery to a time stops before the first later one, and needs to see one
            connection.execute("SELECT pg_current_xact_id()")
            connection.execute("SELECT pg_switch_wal()")
        return Point(name, row[0], row[1].astimezone(UTC))

    def fetch_log(self, until: Point) -> list[str]:
        """Fetch the log up to a point; return the names of its segments, oldest first. Raises PostgresFailed."""
        self.log_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        high, low = (int(part, 16) for part in until.lsn.split("/"))
        # the program stops behind the position it is given: the record that switches the segment follows the point
        end = (high << 32) + low + 8
        where = ["--directory", str(self.log_folder), "--slot", self._slot, "--no-loop"]
        self._run("pg_receivewal", [*where, f"--endpos={end >> 32:X}/{end & 0xFFFFFFFF:X}"], _LOG_SECONDS)
        return sorted(path.name for path in self.log_folder.iterdir())

    def forget_log(self, names: list[str]) -> None:
        """Remove fetched segments that are kept elsewhere; the newest stays, the next fetch goes on from it."""
        for name in sorted(names)[:-1]:
            (self.log_folder / name).unlink(missing_ok=True)

    def _now(self) -> datetime:
        with self._connection() as connection:
            row = connection.execute("SELECT clock_timestamp()").fetchone()
            assert row is not None, "a function returns a row"
        moment: datetime = row[0]
        return moment.astimezone(UTC)

    def _connection(self) -> "psycopg.Connection[tuple[Any, ...]]":
        return psycopg.connect(self._server.url("postgres", "postgresql"), autocommit=True, connect_timeout=10)

    def _run(self, name: str, arguments: list[str], seconds: float) -> None:
        where = ["--host=127.0.0.1", f"--port={self._server.port}", "--username=mlops", "--no-password"]
        env = {"PATH": os.environ.get("PATH", ""), "PGPASSWORD": self._server.password, "LC_ALL": "C"}
        try:
            result = subprocess.run(
                [program(name), *where, *arguments],
                check=False,
                capture_output=True,
                text=True,
                env=env,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired as error:
            raise PostgresFailed(f"{name} did not end within {seconds:g} s") from error
        if result.returncode:
            raise PostgresFailed(f"{name} failed: {result.stderr.strip()[-500:]}")


def recover(folder: Path, *, point: str | None, at: datetime | None) -> EmbeddedPostgres:
    """Bring a base backup in `folder`/data forward to a named point, or to a time; return the server, running.

    The log lies in `folder`/recovery-log. Raises PostgresFailed, also when the log does not reach what was asked for.
    """
    (folder / "data" / "recovery.signal").touch(mode=0o600)
    (folder / "data").chmod(0o700)
    for name in _EMPTY:
        (folder / "data" / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "initialised").touch()
    server = EmbeddedPostgres(folder, free_port())
    target = (
        {"recovery_target_name": point}
        if at is None
        else {"recovery_target_time": at.astimezone(UTC).isoformat(sep=" ")}
    )
    assert any(target.values()), "a point or a time"
    settings = {
        # the server's working folder is its data folder
        "restore_command": f"cp ../{_LOG_FOLDER}/%f %p",
        "recovery_target_action": "promote",
        "recovery_target_timeline": "current",
        **{name: str(value) for name, value in target.items()},
    }
    server.start(_RECOVERY_SECONDS, settings)
    deadline = time.monotonic() + _RECOVERY_SECONDS
    with psycopg.connect(server.url("postgres", "postgresql"), autocommit=True) as connection:
        while True:
            row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
            if row is not None and not row[0]:
                break
            if time.monotonic() > deadline:
                server.stop()
                raise PostgresFailed("the database did not reach the moment that was asked for")
            time.sleep(0.1)
        connection.execute("CHECKPOINT")
    shutil.rmtree(folder / _LOG_FOLDER, ignore_errors=True)
    return server


def log_folder(folder: Path) -> Path:
    """Return where the log for `recover` belongs."""
    return folder / _LOG_FOLDER


def slot_name(place: str) -> str:
    """Return the slot for a place of backups: two places do not take each other's log away."""
    return f"mlops_backup_{hashlib.sha256(place.encode()).hexdigest()[:12]}"
