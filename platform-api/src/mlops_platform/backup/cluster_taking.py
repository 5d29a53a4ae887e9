"""Taking a backup on AWS: the database's moment first, then the versions of objects as of it; a signed manifest last.

A run that dies leaves no manifest, so no backup; digests that the last finished backup knows are not computed again. Two runs at once
do not disturb each other: each has an id of its own, and blobs are named by their content.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

import orjson

from mlops_platform import __version__
from mlops_platform.backup.cluster_envelope import envelope, fingerprint, signed_bytes
from mlops_platform.backup.cluster_interfaces import CloudUnavailable, ClusterState, VersionedObjects
from mlops_platform.backup.cluster_manifest import ClusterManifest, DatabaseMoment, LogHead, SourceListing
from mlops_platform.backup.cluster_reading import ClusterReader
from mlops_platform.backup.interfaces import BackupStore
from mlops_platform.backup.manifest import NotABackup
from mlops_platform.backup.object_versions import ObjectVersion, digested, to_listing, within
from mlops_platform.backup.reading import backups, index_name, manifest_name
from mlops_platform.kit.clock import now

SNAPSHOT_PREFIX = "mlops-backup-"
AT_ONCE = 8
_SAID_EVERY = 500


@dataclass(frozen=True)
class ClusterTaken:
    """What a backup came to: `read` digests were computed, `known` were in an earlier backup; `gone` versions went meanwhile."""

    manifest: ClusterManifest
    signed_by: str
    read: int
    known: int
    gone: int


def snapshot_name(backup_id: str) -> str:
    """Return the name of the snapshot that a backup took, in the letters RDS allows."""
    return f"{SNAPSHOT_PREFIX}{backup_id.lower()}"


def take(
    state: ClusterState,
    store: BackupStore,
    *,
    schema: str,
    head_before: Callable[[datetime], LogHead | None],
    full: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> ClusterTaken:
    """Take a backup. `full`: a snapshot of the database, and every digest computed anew. `head_before`: see `audit.witnessed`.

    Raises CloudUnavailable and BackupStoreUnavailable; after either the last finished backup is the one of before.
    """
    taken_at = now()
    backup_id = f"{taken_at:%Y%m%dT%H%M%SZ}-{taken_at.microsecond:05x}{secrets.token_hex(2)[:3]}"
    signed_by = fingerprint(state.signer.public_key())
    database = _moment(state, backup_id, schema, full=full, report=report)
    known = {} if full else _known(store, signed_by)
    listings, blobs, read, found, gone = [], {}, 0, 0, 0
    for name, uri in state.sources.items():
        report(f"objects of {name}")
        versions = within(state.objects.versions(uri), database.earliest, database.moment)
        old = dict(known.get(uri, {}).items())
        fresh = [one for one in versions if not one.deleted and (one.key, one.version) not in old]
        computed = _digests(state.objects, uri, fresh, report)
        there = [
            one
            for one in versions
            if one.deleted or (one.key, one.version) in old or (one.key, one.version) in computed
        ]
        listing = to_listing(digested(there, {**old, **computed}))
        digest = sha256(listing).hexdigest()
        blob = f"objects/{digest[:2]}/{digest}"
        blobs[blob] = listing
        size = sum(one.size for one in there)
        listings.append(SourceListing(name, uri, blob, digest, len(there), size))
        read, found, gone = read + len(computed), found + len(there) - len(computed), gone + len(versions) - len(there)
    manifest = ClusterManifest(
        backup_id, taken_at, __version__, database, tuple(listings), head_before(database.moment)
    )
    for blob, content in blobs.items():
        store.put(blob, content)
    store.put(index_name(backup_id), orjson.dumps(sorted(blobs)))
    signature = state.signer.sign(signed_bytes(manifest))
    store.put(manifest_name(backup_id), envelope(manifest, signature, state.signer.public_key()))
    return ClusterTaken(manifest, signed_by, read, found, gone)


def prune_snapshots(state: ClusterState, store: BackupStore) -> list[str]:
    """Remove our snapshots of backups older than every one that is kept; return their names.

    A snapshot without a manifest may be of a backup that is being taken: it is newer than the kept ones, and stays.
    """
    kept = sorted(snapshot_name(one.id) for one in backups(store))
    old = sorted(name for name in state.database.snapshots(SNAPSHOT_PREFIX) if kept and name < kept[0])
    for name in old:
        state.database.remove_snapshot(name)
    return old


def _moment(
    state: ClusterState, backup_id: str, schema: str, *, full: bool, report: Callable[[str], None]
) -> DatabaseMoment:
    snapshot = snapshot_name(backup_id) if full else None
    if snapshot is not None:
        report("a snapshot of the database")
    at = state.database.snapshot(snapshot) if snapshot is not None else None
    report("the database's moment")
    reach = state.database.reach()
    if reach is None:
        raise CloudUnavailable(f"There is no instance {state.database.name}, or its automatic backups are off.")
    moment = (at or reach.latest).replace(microsecond=0)
    return DatabaseMoment(state.database.name, reach.shape, min(reach.earliest, moment), moment, snapshot, schema)


def _known(store: BackupStore, signed_by: str) -> Mapping[str, Mapping[tuple[str, str], str]]:
    """Return the digests of the newest backup, by place; none when it cannot be believed: then all are computed."""
    finished = backups(store)
    if not finished:
        return {}
    reader = ClusterReader(store, signed_by)
    try:
        manifest = reader.manifest(finished[-1].id)
        return {source.uri: _by_version(reader.listing(source)) for source in manifest.sources}
    except NotABackup:
        return {}


def _by_version(versions: Iterable[ObjectVersion]) -> dict[tuple[str, str], str]:
    return {(one.key, one.version): one.sha256 for one in versions if not one.deleted}


def _digests(
    objects: VersionedObjects, uri: str, versions: list[ObjectVersion], report: Callable[[str], None]
) -> dict[tuple[str, str], str]:
    """Return digests by key and version; a version that somebody removed meanwhile is not there."""

    def digest(one: ObjectVersion) -> ObjectVersion | None:
        try:
            return replace(one, sha256=objects.digest(uri, one))
        except LookupError:
            return None

    found = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for count, one in enumerate(pool.map(digest, versions), 1):
            if one is not None:
                found[one.key, one.version] = one.sha256
            if count % _SAID_EVERY == 0:
                report(f"{count} of {len(versions)} read")
    return found
