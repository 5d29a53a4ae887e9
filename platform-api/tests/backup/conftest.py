"""A home that is small and real: PostgreSQL with the platform's tables and an audit log, files of every kind, keys."""

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from mlops_platform.adapters.local.backup_folder import BackupFolder
from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.audit.restored import AfterRestore, settle
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.backup.manifest import Manifest
from mlops_platform.backup.reading import Reader
from mlops_platform.backup.sealing import Opener, Seal, new_identity
from mlops_platform.bootstrap import build_database
from mlops_platform.database import migrate
from mlops_platform.local import backup_keys
from mlops_platform.local.backing_up import Place, Taken, back_up
from mlops_platform.local.home import Home
from mlops_platform.local.postgres import EmbeddedPostgres
from mlops_platform.local.restoring import Restored, restore
from mlops_platform.settings import Settings

from ..support.ports import free_port

IDENTITY, RECIPIENT = new_identity()


@dataclass
class SmallHome:
    """A home whose PostgreSQL runs, and where its backups go."""

    home: Home
    server: EmbeddedPostgres
    backups: Path

    @property
    def place(self) -> Place:
        store = BackupFolder(self.backups)
        return Place(str(self.backups), store, store)

    @property
    def seal(self) -> Seal:
        return backup_keys.seal_for(self.home, str(self.backups), self.place.store, RECIPIENT, None)

    def back_up(self, **more: Any) -> Taken:
        return back_up(self.home, self.server, self.place, self.seal, backup_keys.signer(self.home), **more)

    @property
    def reader(self) -> Reader:
        return Reader(self.place.store, Opener(IDENTITY), backup_keys.signer(self.home).fingerprint)

    def record(self, what: str) -> None:
        """Record an event, as anybody does: its head is anchored."""

        async def run() -> None:
            database = build_database(Settings(home=self.home.folder, database_url=SecretStr(self.server.url())))
            async with database.session() as session:
                await audit.record(
                    session,
                    action=Action.FEATURES_PUSHED,
                    actor=SystemActor("test"),
                    resource=what,
                    tenant="default",
                    details={},
                )
            await database.dispose()

        asyncio.run(run())


@dataclass
class Back:
    """A home that was restored."""

    home: Home
    restored: Restored
    audit: AfterRestore
    events: list[str]


def bring_back(small: SmallHome, into: Path, backup_id: str, reader: Reader | None = None, **more: Any) -> Back:
    """Restore as `mlops restore` does, and return what the database says then."""
    home, found = Home(into), {}

    def after(server: EmbeddedPostgres, manifest: Manifest) -> None:
        async def run() -> AfterRestore:
            database = build_database(Settings(home=home.folder, database_url=SecretStr(server.url())))
            try:
                return await settle(database, manifest.id, manifest.database.at)
            finally:
                await database.dispose()

        with psycopg.connect(server.url("mlops", "postgresql")) as connection:
            found["events"] = [row[0] for row in connection.execute("SELECT resource FROM audit_events ORDER BY seq")]
        found["audit"] = asyncio.run(run())

    restored = restore(home, reader or small.reader, backup_id, after=after, **more)
    return Back(home, restored, found["audit"], found["events"])  # type: ignore[arg-type]  # as they were put in


def write(home: Home, path: str, content: bytes) -> None:
    (home.folder / path).parent.mkdir(parents=True, exist_ok=True)
    (home.folder / path).write_bytes(content)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallHome]:
    folder = tmp_path_factory.mktemp("small")
    home = Home(folder / "home")
    home.create()
    server = EmbeddedPostgres(home.folder / "postgres", free_port(), fsync=False)
    server.start()
    migrate.upgrade(server.url())
    for path in ("bundles/b/bundle.json", "artifacts/default/model.skops", "predictions/segments/s.1.2.ready"):
        write(home, path, path.encode())
    write(home, "bundles/.building-b/half", b"half")
    write(home, "signing/statements.pem", b"key")
    write(home, "keys/token", b"token")
    (home.folder / "feast" / "data").mkdir(parents=True)
    with sqlite3.connect(home.folder / "feast" / "data" / "online.db") as online:
        online.execute("CREATE TABLE features (value)")
        online.execute("INSERT INTO features VALUES (7)")
    found = SmallHome(home, server, folder / "backups")
    found.record("first")
    yield found
    server.stop()
