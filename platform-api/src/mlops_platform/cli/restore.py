"""`mlops restore`."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_platform.cli import cluster_backup
from mlops_platform.cli.api import connection
from mlops_platform.cli.backup import From, Identity, KeysAt, Passphrase, SignedBy, said, store_at
from mlops_platform.cli.cluster_parts import chosen as on_aws_chosen
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import HomeOption, Json, say, show
from mlops_platform.local.home import Home

if TYPE_CHECKING:
    from mlops_platform.audit.restored import AfterRestore
    from mlops_platform.backup.manifest import Manifest
    from mlops_platform.local.postgres import EmbeddedPostgres


def restore(
    from_: From,
    at: Annotated[
        datetime | None, typer.Option(help="The state at this time (UTC, 2026-12-01T08:00:00) instead of the newest.")
    ] = None,
    backup_id: Annotated[str | None, typer.Option("--backup", help="This backup instead of the newest.")] = None,
    identity: Identity = None,
    passphrase_file: Passphrase = None,
    signed_by: SignedBy = None,
    keys_from: KeysAt = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Into a home that is not empty: what is there is set aside in it.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Restore into a folder (on AWS: a scratch instance and prefix) that is removed afterwards, and verify it.",
        ),
    ] = False,
    instance: Annotated[
        str | None, typer.Option(help="AWS: the RDS instance to make; the one that runs is never written.")
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="AWS: s3://bucket/prefix for all objects, or NAME=s3://… for one place of the backup; repeatable."
        ),
    ] = None,
    read_from: Annotated[
        list[str] | None,
        typer.Option(
            help="AWS: NAME=s3://… reads a place of the backup from its replica in another region; repeatable."
        ),
    ] = None,
    sample: Annotated[
        int, typer.Option(min=1, help="AWS, with --check: how many objects of each place to compare.")
    ] = 50,
    database_url_file: Annotated[
        Path | None,
        typer.Option(
            help="AWS: file with the URL of the restored database (default: MLOPS_DATABASE_URL with its host).",
            dir_okay=False,
            exists=True,
        ),
    ] = None,
    home: HomeOption = None,
    _json: Json = False,
) -> None:
    """Bring a home back from a backup, at any place and for any ports: then `mlops up` there.

    Refuses a home in which a platform runs, or that is not empty. A restore that was cut off is gone on with by the same
    command; until then nothing starts in that home. The audit log is compared with its anchored heads, and what it lost is
    listed and recorded.

    A backup that was taken on AWS is restored into a new RDS instance (--instance) and empty places on S3 (--target); the audit
    log is compared with the backup's head and with its mirror, and what is missing is listed. --check keeps a record beside the
    backups, whose age an alert watches.
    """
    from mlops_platform.backup.cluster_reading import of_cluster

    with said():
        on_aws = on_aws_chosen() or of_cluster(store_at(from_))
        if on_aws and check:
            scratch = target[0] if target else None
            cluster_backup.check_on_aws(
                from_, backup_id, signed_by, sample=sample, scratch=scratch, database_url_file=database_url_file
            )
        elif on_aws:
            cluster_backup.restore_on_aws(
                from_,
                at,
                backup_id,
                signed_by,
                instance=instance,
                targets=target or [],
                read_from=read_from or [],
                database_url_file=database_url_file,
            )
    if on_aws:
        return
    if check:
        with tempfile.TemporaryDirectory(prefix="mlops-restore-check-") as folder:
            _restore(
                Home(Path(folder) / "home"),
                from_,
                at,
                backup_id,
                (identity, passphrase_file, signed_by),
                keys_from,
                record=True,
            )
        return
    _restore(
        Home.at(home or connection.home),
        from_,
        at,
        backup_id,
        (identity, passphrase_file, signed_by),
        keys_from,
        replace=replace,
    )


def _restore(
    home: Home,
    from_: str,
    at: datetime | None,
    backup_id: str | None,
    key: tuple[Path | None, Path | None, str | None],
    keys_from: str | None,
    *,
    replace: bool = False,
    record: bool = False,
) -> None:
    import time

    from mlops_platform.audit.restored import AfterRestore
    from mlops_platform.backup.manifest import choose
    from mlops_platform.backup.reading import Reader, backups
    from mlops_platform.backup.restore_tests import RestoreTest, keep
    from mlops_platform.kit.clock import now
    from mlops_platform.local.backup_keys import opener_for
    from mlops_platform.local.restoring import restore as bring_back

    began = time.monotonic()
    moment = at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at
    store = store_at(from_)
    found: dict[str, AfterRestore] = {}

    def after(server: "EmbeddedPostgres", manifest: "Manifest") -> None:
        # without a schema the backup was taken before the platform had made its tables
        empty = AfterRestore(None, None)
        found["audit"] = (
            settled(home, server, manifest.id, moment or manifest.database.at) if manifest.schema else empty
        )

    with said():
        opener, signer = opener_for(store, *key)
        reader = Reader(store, opener, signer, store_at(keys_from) if keys_from else None)
        chosen = (
            _chosen(reader, [(one.id, one.at) for one in backups(store)], backup_id, moment)
            if moment
            else choose([(one.id, one.at) for one in backups(store)], backup_id, None)
        )
        restored = bring_back(home, reader, chosen, at=moment, replace=replace, after=after, report=say)
    audit = found["audit"]
    told: dict[str, Any] = {
        "backup": restored.manifest.id,
        "moment": restored.moment.isoformat(),
        "home": str(home.folder),
        "files": restored.written + restored.kept,
        "seconds": round(time.monotonic() - began, 1),
        "set_aside": str(restored.set_aside) if restored.set_aside else None,
        "lost_events": vars(audit.lost) if audit.lost else None,
        "audit_intact": None if audit.verification is None else audit.verification.intact,
        "problems": [] if audit.verification is None else [one.sentence for one in audit.verification.problems],
    }
    if record:
        with said():
            told["record"] = keep(store, RestoreTest(now(), restored.manifest.id, not told["problems"]), told)
    show(told, "\n".join(_sentences(told, audit)))
    if audit.verification is not None and not audit.verification.intact:
        raise CommandFailed(
            Exit.PROBLEM,
            "the restored audit log does not hold: " + "; ".join(told["problems"][:5]),
            "do not start the platform; inform the security officer, and try an earlier backup",
        )


def _chosen(reader: Any, points: list[tuple[str, datetime]], backup_id: str | None, at: datetime) -> str:
    """Return the first backup whose database reaches `at`: its moment is a little after the one in its id."""
    from mlops_platform.backup.manifest import choose

    exact = [(name, reader.manifest(name).database.at) for name, begun in points if begun <= at or backup_id == name]
    exact += [(name, begun) for name, begun in points if begun > at and backup_id != name]
    return choose(exact, backup_id, at)


def settled(home: Home, server: "EmbeddedPostgres", backup: str, moment: datetime) -> "AfterRestore":
    """Return what the restored audit log lacks, after recording it."""
    import asyncio

    from pydantic import SecretStr

    from mlops_platform.audit.restored import AfterRestore, settle
    from mlops_platform.bootstrap import build_database
    from mlops_platform.settings import Settings

    async def run() -> AfterRestore:
        database = build_database(Settings(home=home.folder, database_url=SecretStr(server.url())))
        try:
            return await settle(database, backup, moment)
        finally:
            await database.dispose()

    return asyncio.run(run())


def _sentences(told: dict[str, Any], audit: "AfterRestore") -> list[str]:
    lines = [
        f"restored backup {told['backup']} as of {told['moment']} into {told['home']}: {told['files']} files in {told['seconds']} s"
    ]
    if told["set_aside"]:
        lines.append(f"what was there is in {told['set_aside']}; remove it when you do not need it any more")
    if audit.lost is not None:
        lines.append(
            f"LOST: events {audit.lost.first} to {audit.lost.last} of the audit log, recorded from {audit.lost.since.isoformat()} to "
            f"{audit.lost.until.isoformat()}: signed heads prove that they existed, they are newer than this state"
        )
        lines.append(
            "run `mlops audit recover` before anything else: the mirror may hold them"
            if audit.verification is None
            else "repeat by hand what people did in that time; the log says that they are lost"
        )
    if audit.verification is not None and audit.verification.intact:
        lines.append(f"the audit log is intact: {audit.verification.events} events")
    lines.append(f"start it: mlops up --home {told['home']}")
    return lines
