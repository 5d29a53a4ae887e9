"""`mlops backup` and what belongs to it; `mlops restore` is in restore.py."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlops_platform.cli import cluster_backup
from mlops_platform.cli.api import connection
from mlops_platform.cli.cluster_parts import chosen as on_aws_chosen
from mlops_platform.cli.database import reachable_server
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import HomeOption, Json, say, show, show_table
from mlops_platform.local.home import Home

if TYPE_CHECKING:
    from mlops_platform.backup.interfaces import BackupStore
    from mlops_platform.local.backing_up import Taken

app = typer.Typer(
    invoke_without_command=True,
    help="Take a backup of a home while it serves; see which there are, verify them, remove old ones.",
)
To = Annotated[
    str | None,
    typer.Option("--to", help="Folder or s3://bucket/prefix (default: MLOPS_BACKUP_URI).", envvar="MLOPS_BACKUP_URI"),
]
From = Annotated[
    str, typer.Option("--from", help="Folder or s3://bucket/prefix with the backups.", envvar="MLOPS_BACKUP_URI")
]
Identity = Annotated[
    Path | None, typer.Option("--identity", help="File that `mlops backup new-key` wrote.", dir_okay=False, exists=True)
]
Passphrase = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="File with the passphrase of the backups.", dir_okay=False, exists=True),
]
SignedBy = Annotated[
    str | None,
    typer.Option("--signed-by", help="Fingerprint of the key that signed the backups, as `mlops backup` printed it."),
]
KeysAt = Annotated[
    str | None,
    typer.Option(help="Another folder or s3://bucket/prefix for the platform's keys than that of the backups."),
]

_NICENESS = 19


@app.callback()
def backup(
    context: typer.Context,
    to: To = None,
    recipient: Annotated[
        str | None, typer.Option(help="Whom to encrypt for: age1…, as `mlops backup new-key` printed it.")
    ] = None,
    passphrase_file: Passphrase = None,
    keys_to: KeysAt = None,
    full: Annotated[bool, typer.Option("--full", help="A new base of the database, and every file sent anew.")] = False,
    home: HomeOption = None,
    _json: Json = False,
) -> None:
    """Take a backup of a home, running or not: database, artifacts, bundles, features, predictions, anchors and keys.

    The first one to a place needs to be told for whom it is encrypted. Only what changed is sent. What was sent when a backup
    is cut off is found by the next one; nothing takes it for a backup. With MLOPS_BACKUP_RDS_INSTANCE a moment of RDS and the
    versions of objects on S3 are recorded instead of a home; --full takes a snapshot as well.
    """
    if context.invoked_subcommand is not None:
        return
    from mlops_platform.local import backup_keys
    from mlops_platform.local.backing_up import Place, back_up

    if to is None:
        raise CommandFailed(Exit.USAGE, "say where to: --to DIR or --to s3://bucket/prefix", "or set MLOPS_BACKUP_URI")
    if on_aws_chosen():
        with said():
            cluster_backup.take_on_aws(to, full=full)
        return
    # predictions on this machine go first
    os.nice(_NICENESS)
    place = Home.at(home or connection.home)
    store = store_at(to)
    with said(), reachable_server(place) as server:
        name = to if to.startswith("s3://") else str(Path(to).expanduser().absolute())
        refuse_inside(place, name)
        seal = backup_keys.seal_for(place, name, store, recipient, passphrase_file)
        target = Place(name, store, store_at(keys_to) if keys_to else store)
        taken = back_up(place, server, target, seal, backup_keys.signer(place), full=full, report=say)
    manifest = taken.manifest
    told = {
        "id": manifest.id,
        "moment": manifest.database.at.isoformat(),
        "signed_by": taken.signed_by,
        "files": len(manifest.files),
        "bytes_sent": taken.sent,
        "bytes_found": taken.found,
        "new_base": taken.fresh_base,
        "left_out": list(manifest.left_out),
        "elsewhere": list(manifest.elsewhere),
    }
    sentences = [
        f"backup {manifest.id} of {manifest.database.at:%Y-%m-%d %H:%M:%S} UTC: {len(manifest.files)} files, {_sizes(taken)}",
        f"signed by {taken.signed_by}: keep this fingerprint beside the key that opens the backup",
        *(f"left out: {what}" for what in manifest.left_out),
        *(f"not in this backup: what {name} names; back it up where it is" for name in manifest.elsewhere),
    ]
    show(told, "\n".join(sentences))


@app.command("list")
def list_backups(from_: From, _json: Json = False) -> None:
    """List the finished backups of a place."""
    from mlops_platform.backup.reading import backups

    with said():
        found = backups(store_at(from_))
    rows = [{"id": one.id, "begun": one.at.isoformat()} for one in found]
    show_table(rows, ("id", "begun"), "no backups", {"items": rows})


@app.command("new-key")
def new_key(
    file: Annotated[
        Path, typer.Argument(help="Where to write the secret half; carry it away from this machine.", dir_okay=False)
    ],
    _json: Json = False,
) -> None:
    """Make the key that opens backups: the recipient is printed for `--recipient`, the identity is written (0600)."""
    from mlops_platform.backup.sealing import new_identity

    identity, recipient = new_identity()
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise CommandFailed(
            Exit.USAGE, f"{file} exists already", "name another file; a key is never overwritten"
        ) from error
    with os.fdopen(descriptor, "w") as stream:
        stream.write(f"# public key: {recipient}\n{identity}\n")
    show(
        {"recipient": recipient, "file": str(file)},
        f"recipient {recipient}\nkeep {file} away from the platform: without it no backup opens",
    )


@app.command()
def verify(
    from_: From,
    backup_id: Annotated[str | None, typer.Option("--backup", help="Which one (default: the newest).")] = None,
    identity: Identity = None,
    passphrase_file: Passphrase = None,
    signed_by: SignedBy = None,
    keys_from: KeysAt = None,
    _json: Json = False,
) -> None:
    """Read every part of a backup and compare it with its digest and signature. `mlops restore --check` restores it as well."""
    from mlops_platform.backup.cluster_reading import of_cluster
    from mlops_platform.backup.manifest import choose
    from mlops_platform.backup.reading import Reader, backups
    from mlops_platform.local.backup_keys import opener_for

    store = store_at(from_)
    with said():
        if of_cluster(store):
            cluster_backup.verify_on_aws(from_, backup_id, signed_by)
            return
        opener, signer = opener_for(store, identity, passphrase_file, signed_by)
        reader = Reader(store, opener, signer, store_at(keys_from) if keys_from else None)
        chosen = choose([(one.id, one.at) for one in backups(store)], backup_id, None)
        parts = reader.check(reader.manifest(chosen))
    show(
        {"id": chosen, "parts": parts, "whole": True},
        f"backup {chosen} is whole: {parts} parts are what its signed manifest says",
    )


@app.command()
def prune(
    from_: From,
    keep: Annotated[int, typer.Option(min=1, help="How many of the newest backups to keep.")],
    _json: Json = False,
) -> None:
    """Remove all but the newest backups, and every part that none of the kept ones needs."""
    from mlops_platform.backup.pruning import prune as remove

    with said():
        removed, parts = remove(store_at(from_), keep)
        snapshots = cluster_backup.prune_on_aws(from_) if on_aws_chosen() else []
    sentence = f"removed {len(removed)} backups and {parts} parts" + (
        f", {len(snapshots)} snapshots" if snapshots else ""
    )
    show({"removed": removed, "parts": parts, "snapshots": snapshots}, sentence)


def _sizes(taken: "Taken") -> str:
    return f"{taken.sent / 1e6:.1f} MB sent, {taken.found / 1e6:.1f} MB were there"


def store_at(place: str) -> "BackupStore":
    """Return the place of backups that a text names."""
    from mlops_platform.bootstrap_backups import build_backup_store

    return build_backup_store(place, os.environ.get("MLOPS_S3_ENDPOINT_URL"))


def refuse_inside(home: Home, place: str) -> None:
    """Raise CommandFailed for backups into the home itself: they would be lost with it."""
    if not place.startswith("s3://") and Path(place).is_relative_to(home.folder):
        raise CommandFailed(Exit.USAGE, f"{place} is in the home itself", "choose a folder on another disk or machine")


@contextmanager
def said() -> Iterator[None]:
    """Turn what backups and restores raise into a sentence, the next step and an exit code."""
    from mlops_platform.audit.interfaces import MirrorUnavailable
    from mlops_platform.backup.cluster_interfaces import CloudUnavailable
    from mlops_platform.backup.cluster_restoring import TargetInUse
    from mlops_platform.backup.interfaces import BackupStoreUnavailable
    from mlops_platform.backup.manifest import NoSuchMoment, NotABackup
    from mlops_platform.backup.sealing import NotAKey, WrongKey
    from mlops_platform.local.backing_up import AnotherBackup
    from mlops_platform.local.backup_keys import KeyMissing
    from mlops_platform.local.home import AlreadyRunning
    from mlops_platform.local.postgres import PostgresFailed
    from mlops_platform.local.restoring import HomeInUse

    try:
        yield
    except AnotherBackup as error:
        raise CommandFailed(
            Exit.PROBLEM, str(error), "wait for it to end; two at once would only slow each other"
        ) from error
    except NotABackup as error:
        raise CommandFailed(
            Exit.PROBLEM, str(error), "take another backup (`mlops backup list`) and find out what happened"
        ) from error
    except WrongKey as error:
        raise CommandFailed(
            Exit.REFUSED, str(error), "give the key or passphrase that this place was set up with"
        ) from error
    except (KeyMissing, NotAKey, NoSuchMoment, HomeInUse, TargetInUse) as error:
        raise CommandFailed(Exit.USAGE, str(error)) from error
    except AlreadyRunning as error:
        raise CommandFailed(
            Exit.PROBLEM, f"something works in {error}", "wait for it, or stop it with `mlops down`"
        ) from error
    except (BackupStoreUnavailable, CloudUnavailable, MirrorUnavailable) as error:
        raise CommandFailed(
            Exit.UNREACHABLE, error.detail, "give the command again: it goes on from what was sent"
        ) from error
    except PostgresFailed as error:
        raise CommandFailed(
            Exit.PROBLEM, str(error), "give the command again; `mlops doctor` checks this machine"
        ) from error
