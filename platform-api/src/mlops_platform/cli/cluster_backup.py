"""What `mlops backup` and `mlops restore` do on AWS: moments of RDS and versions of objects, wired from settings."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_platform.cli.cluster_parts import (
    answering,
    asked,
    parts,
    places_of,
    read,
    schema_of,
    settings_now,
    url_of,
    written_once,
)
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import say, show

if TYPE_CHECKING:
    from mlops_platform.backup.cluster_interfaces import Instance
    from mlops_platform.backup.cluster_manifest import ClusterManifest, LogHead
    from mlops_platform.backup.cluster_restoring import ClusterRestored
    from mlops_platform.settings import Settings

_MOST_NAMED = 20


def take_on_aws(to: str, *, full: bool) -> None:
    """Take a backup on AWS, and say what it came to."""
    from mlops_platform.audit.witnessed import head_before
    from mlops_platform.backup.cluster_manifest import LogHead
    from mlops_platform.backup.cluster_taking import take

    settings, state, store = parts(to)

    def head(moment: datetime) -> "LogHead | None":
        found = asked(settings, lambda database: head_before(database, moment))
        return None if found is None else LogHead(found.size, found.root, found.at)

    taken = take(state, store, schema=asked(settings, schema_of), head_before=head, full=full, report=say)
    manifest = taken.manifest
    told = {
        "id": manifest.id,
        "moment": manifest.database.moment.isoformat(),
        "earliest": manifest.database.earliest.isoformat(),
        "signed_by": taken.signed_by,
        "snapshot": manifest.database.snapshot,
        "versions": sum(source.versions for source in manifest.sources),
        "digests_read": taken.read,
        "digests_known": taken.known,
        "gone_meanwhile": taken.gone,
        "audit_head": None if manifest.head is None else manifest.head.size,
    }
    sentences = [
        (
            f"backup {manifest.id}: {manifest.database.instance} as of {told['moment']}, and {told['versions']} versions of objects "
            f"({taken.read} read, {taken.known} known)"
        ),
        f"any moment since {told['earliest']} can be restored from it",
        f"signed by {taken.signed_by}: keep this fingerprint",
    ]
    show(told, "\n".join(sentences))


def verify_on_aws(from_: str, backup_id: str | None, signed_by: str | None) -> None:
    """Compare a backup with its signature and with what S3 and RDS still have; raise CommandFailed for what is gone."""
    from mlops_platform.backup.cluster_restoring import reachable
    from mlops_platform.backup.object_versions import as_of

    state, reader, manifest = read(from_, backup_id, signed_by, None)
    reachable(state, manifest, manifest.database.moment)
    gone, objects = [], 0
    for source in manifest.sources:
        wanted = as_of(reader.listing(source), manifest.database.moment)
        there = {(one.key, one.version) for one in state.objects.versions(source.uri)}
        gone += [f"{source.name}: {one.key}" for one in wanted.values() if (one.key, one.version) not in there]
        objects += len(wanted)
    show(
        {"id": manifest.id, "objects": objects, "gone": gone, "whole": not gone},
        f"backup {manifest.id}: its signature holds, and S3 has {objects - len(gone)} of {objects} objects",
    )
    _fail_for(gone, "gone from S3")


def prune_on_aws(from_: str) -> list[str]:
    """Remove the snapshots of backups that were removed; return their names."""
    from mlops_platform.backup.cluster_taking import prune_snapshots

    _, state, store = parts(from_)
    return prune_snapshots(state, store)


def restore_on_aws(
    from_: str,
    at: datetime | None,
    backup_id: str | None,
    signed_by: str | None,
    *,
    instance: str | None,
    targets: Sequence[str],
    read_from: Sequence[str],
    database_url_file: Path | None,
) -> None:
    """Restore into a new instance and new places, compare the audit log, and say what is missing."""
    from mlops_platform.audit.witnessed import missing
    from mlops_platform.backup.cluster_restoring import Target, finish, restore_cluster

    if instance is None:
        raise CommandFailed(Exit.USAGE, "say which instance to make: --instance NAME")
    moment = at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at
    state, reader, manifest = read(from_, backup_id, signed_by, moment)
    places = places_of(targets, [source.name for source in manifest.sources], "--target")
    target = Target(instance, places, places_of(read_from, [], "--read-from"))
    settings = settings_now()
    url_of(settings, database_url_file, None)
    restored = restore_cluster(state, reader, manifest, target, at=moment, report=say)
    there = answering(settings, database_url_file, restored.instance)
    # of an earlier moment the backup's own head says nothing
    problem = _compared(there, manifest) if restored.moment == manifest.database.moment else None
    lost = asked(there, missing)
    told = {
        "backup": manifest.id,
        "moment": restored.moment.isoformat(),
        "instance": instance,
        "host": restored.instance.host,
        "targets": places,
        "copied": restored.copied,
        "kept": restored.kept,
        "missing_objects": list(restored.missing),
        "damaged_objects": list(restored.damaged),
        "audit_problem": problem,
        "lost_events": None if lost is None else [asdict(event) for event in lost],
    }
    show(told, "\n".join(_sentences(restored, told, lost)))
    _fail_for(
        [*(f"{one} is gone" for one in restored.missing), *(f"{one} has other bytes" for one in restored.damaged)]
        + ([problem] if problem else []),
        "not what the backup says",
    )
    finish(state, target)


def check_on_aws(
    from_: str,
    backup_id: str | None,
    signed_by: str | None,
    *,
    sample: int,
    scratch: str | None,
    database_url_file: Path | None,
) -> None:
    """Try a restore out, keep a record of it, and raise CommandFailed when something does not hold."""
    import time

    from mlops_platform.backup.cluster_testing import try_out
    from mlops_platform.backup.restore_tests import RestoreTest, keep
    from mlops_platform.kit.clock import now

    began = time.monotonic()
    state, reader, manifest = read(from_, backup_id, signed_by, None)
    settings = settings_now()
    if (place := scratch or settings.backup_scratch_uri) is None:
        raise CommandFailed(
            Exit.USAGE, "say where to try it out: --target s3://bucket/prefix", "or set MLOPS_BACKUP_SCRATCH_URI"
        )
    url_of(settings, database_url_file, None)

    def look(instance: "Instance") -> list[str]:
        found = _compared(answering(settings, database_url_file, instance), manifest)
        return [found] if found else []

    told: dict[str, Any] = {"backup": manifest.id, "moment": manifest.database.moment.isoformat()}
    problems: tuple[str, ...] = ("the test did not end",)
    try:
        tried = try_out(state, reader, manifest, place, sample=sample, look=look, report=say)
        problems = tried.problems
        told |= {"compared": tried.compared, "objects": tried.objects}
    except Exception as error:
        problems = (str(error) or type(error).__name__,)
        raise
    finally:
        told |= {"seconds": round(time.monotonic() - began, 1), "problems": list(problems)}
        told["record"] = keep(written_once(from_), RestoreTest(now(), manifest.id, not problems), told)
    head = manifest.head.size if manifest.head else 0
    show(
        told,
        f"backup {manifest.id} as of {told['moment']} can be restored: {told['compared']} of {told['objects']} objects compared, the audit log "
        f"holds its {head} events; {told['seconds']} s"
        if not problems
        else f"backup {manifest.id} cannot be restored as it is",
    )
    _fail_for(list(problems), "not what the backup says")


def _compared(settings: "Settings", manifest: "ClusterManifest") -> str | None:
    from mlops_platform.audit.witnessed import objection

    if (schema := asked(settings, schema_of)) != manifest.database.schema:
        return f"the restored schema is {schema or 'empty'}, and that of the backup was {manifest.database.schema}"
    head = manifest.head
    return None if head is None else asked(settings, lambda database: objection(database, head.size, head.root))


def _fail_for(problems: Sequence[str], what: str) -> None:
    if problems:
        more = f", and {len(problems) - _MOST_NAMED} more" if len(problems) > _MOST_NAMED else ""
        raise CommandFailed(
            Exit.PROBLEM,
            f"{what}: {'; '.join(problems[:_MOST_NAMED])}{more}",
            "do not let the platform use it; try an earlier backup, and find out what happened",
        )


def _sentences(restored: "ClusterRestored", told: Mapping[str, Any], lost: Sequence[Any] | None) -> list[str]:
    lines = [
        (
            f"restored backup {told['backup']} as of {told['moment']}: {told['instance']} answers at {told['host']}; "
            f"{restored.copied} objects copied, {restored.kept} were there"
        )
    ]
    lines += [f"MISSING: {name}" for name in restored.missing[:_MOST_NAMED]]
    if lost is None:
        lines.append(
            "no mirror is named (MLOPS_AUDIT_MIRROR_TABLE): the audit log was compared with the backup's head only"
        )
    elif lost:
        lines.append(f"LOST: events {lost[0].seq} to {lost[-1].seq} of the audit log; the mirror has them")
        lines += [f"  {one.seq} {one.at} {one.action} {one.resource}" for one in lost[:_MOST_NAMED]]
        lines.append("run `mlops audit recover` on the restored database before anything is recorded there")
    else:
        lines.append("the audit log ends where its mirror ends")
    return [*lines, "point the platform at the new instance and places: docs/guides/disaster-recovery.md"]
