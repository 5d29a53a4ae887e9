"""How commands about backups on AWS reach their parts: from settings, from a backup, and through the restored database."""

import os
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mlops_platform.cli.exits import CommandFailed, Exit

if TYPE_CHECKING:
    from mlops_platform.backup.cluster_interfaces import ClusterState, Instance
    from mlops_platform.backup.cluster_manifest import ClusterManifest
    from mlops_platform.backup.cluster_reading import ClusterReader
    from mlops_platform.backup.interfaces import BackupStore
    from mlops_platform.database.session import Database
    from mlops_platform.settings import Settings

Result = TypeVar("Result")
INSTANCE = "MLOPS_BACKUP_RDS_INSTANCE"


def chosen() -> bool:
    """Return whether settings name an RDS instance: then backups are of AWS."""
    return bool(os.environ.get(INSTANCE))


def settings_now() -> "Settings":
    """Return the settings of this process's environment."""
    from mlops_platform.settings import Settings

    return Settings()


def written_once(place: str) -> "BackupStore":
    """Return the place of backups on AWS: no blob is written over."""
    from mlops_platform.bootstrap_backups import build_backup_store

    return build_backup_store(place, os.environ.get("MLOPS_S3_ENDPOINT_URL"), write_once=True)


def parts(place: str) -> "tuple[Settings, ClusterState, BackupStore]":
    """Return settings, the parts of a backup and its place. Raises CommandFailed without an instance."""
    from mlops_platform.bootstrap_backups import build_cluster_state

    settings = settings_now()
    state = build_cluster_state(settings)
    if state is None:
        raise CommandFailed(Exit.USAGE, f"{INSTANCE} names no instance")
    return settings, state, written_once(place)


def read(
    from_: str, backup_id: str | None, signed_by: str | None, at: datetime | None
) -> "tuple[ClusterState, ClusterReader, ClusterManifest]":
    """Return the parts, and the backup that reaches `at`: whose signature counts is said, or is the KMS key's."""
    from mlops_platform.backup.cluster_envelope import fingerprint
    from mlops_platform.backup.cluster_reading import ClusterReader
    from mlops_platform.backup.manifest import choose
    from mlops_platform.backup.reading import backups
    from mlops_platform.bootstrap_backups import build_cluster_state, build_manifest_signer

    settings, store = settings_now(), written_once(from_)
    if signed_by is None and settings.backup_kms_key is None:
        raise CommandFailed(
            Exit.USAGE,
            "give --signed-by with the fingerprint that `mlops backup` printed",
            "or set MLOPS_BACKUP_KMS_KEY: only the signature says that it is your backup",
        )
    reader = ClusterReader(store, signed_by or fingerprint(build_manifest_signer(settings).public_key()))
    begun = [(one.id, one.at) for one in backups(store)]
    if at is not None and backup_id is None:
        # a backup's moment is a few minutes before it was begun
        begun = [(name, reader.manifest(name).database.moment) for name, when in begun if when >= at]
    manifest = reader.manifest(choose(begun, backup_id, at))
    named = settings.model_copy(update={"backup_rds_instance": manifest.database.instance})
    state = build_cluster_state(named)
    if state is None:
        raise CommandFailed(Exit.USAGE, "the backup names no instance")
    return state, reader, manifest


def places_of(given: Sequence[str], names: Sequence[str], option: str) -> dict[str, str]:
    """Return places by name, from NAME=s3://… and one s3://… for all the others. Raises CommandFailed."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, place = text.partition("=")
        if not equals:
            found |= {other: f"{text.rstrip('/')}/{other}" for other in names if other not in found}
        elif names and name not in names:
            raise CommandFailed(Exit.USAGE, f"{option}: the backup has no {name}; it has {', '.join(names)}")
        else:
            found[name] = place.rstrip("/")
    if wrong := [place for place in found.values() if not place.startswith("s3://")]:
        raise CommandFailed(Exit.USAGE, f"{option}: {wrong[0]} is no s3://bucket/prefix")
    return found


def url_of(settings: "Settings", file: Path | None, instance: "Instance | None") -> str:
    """Return how to reach the restored database: what a file says, else the platform's URL with the new host."""
    from sqlalchemy import make_url

    if file is not None:
        return file.read_text().strip()
    if not os.environ.get("MLOPS_DATABASE_URL"):
        raise CommandFailed(
            Exit.USAGE,
            "set MLOPS_DATABASE_URL: with the new host in it, it is how the restored database is read",
            "or give --database-url-file FILE",
        )
    url = make_url(settings.database_url.get_secret_value())
    if instance is not None:
        url = url.set(host=instance.host, port=instance.port or url.port)
    return url.render_as_string(hide_password=False)


def answering(settings: "Settings", file: Path | None, instance: "Instance") -> "Settings":
    """Return the settings with the restored database in them."""
    from pydantic import SecretStr

    return settings.model_copy(update={"database_url": SecretStr(url_of(settings, file, instance))})


def asked(settings: "Settings", ask: "Callable[[Database], Awaitable[Result]]") -> Result:
    """Return what a question to the database of these settings gives."""
    import asyncio

    from mlops_platform.bootstrap import build_database

    async def run() -> Result:
        database = build_database(settings)
        try:
            return await ask(database)
        finally:
            await database.dispose()

    return asyncio.run(run())


async def schema_of(database: "Database") -> str:
    """Return the version of a database's schema, empty for one without tables."""
    from sqlalchemy import text

    async with database.read_session() as session:
        if await session.scalar(text("SELECT to_regclass('alembic_version')::text")) is None:
            return ""
        return str(await session.scalar(text("SELECT version_num FROM alembic_version")) or "")
