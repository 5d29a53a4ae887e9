"""Backups on AWS: one moment of database and objects, signed; restored beside what runs, and gone on with when it dies."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mlops_platform.adapters.aws.versioned_objects import MARK, S3Objects
from mlops_platform.backup import cluster_taking
from mlops_platform.backup.cluster_interfaces import CloudUnavailable
from mlops_platform.backup.cluster_reading import ClusterReader, of_cluster
from mlops_platform.backup.cluster_restoring import Target, TargetInUse
from mlops_platform.backup.cluster_taking import prune_snapshots, take
from mlops_platform.backup.manifest import NoSuchMoment, NotABackup
from mlops_platform.backup.object_versions import ObjectVersion
from mlops_platform.backup.pruning import prune
from mlops_platform.backup.reading import backups, manifest_name

from .cluster import Cluster, next_second

_number = iter(range(1_000))


@pytest.fixture
def cluster(aws: str) -> Cluster:
    made = Cluster(aws, f"c{next(_number)}")
    made.make()
    return made


def test_objects_come_back_as_of_the_databases_moment(cluster: Cluster) -> None:
    cluster.put("changed", b"before")
    cluster.put("deleted", b"still there")
    cluster.put("same", b"same")
    taken = cluster.take()
    cluster.put("changed", b"after")
    cluster.delete("deleted")
    cluster.put("newer", b"newer")
    restored = cluster.restore(taken)
    expected = {"mlflow/changed": b"before", "mlflow/deleted": b"still there", "mlflow/same": b"same"}
    assert cluster.objects(f"{cluster.name}-restored") == expected, "and no mark is left"
    assert (restored.copied, restored.missing, restored.damaged) == (3, (), ())
    made = cluster.client("rds").describe_db_instances(DBInstanceIdentifier=f"{cluster.name}-new")["DBInstances"][0]
    source = cluster.client("rds").describe_db_instances(DBInstanceIdentifier=cluster.name)["DBInstances"][0]
    assert made["VpcSecurityGroups"] == source["VpcSecurityGroups"]
    assert {"Key": "mlops-restore", "Value": f"{taken.manifest.id}@{restored.moment.isoformat()}"} in made["TagList"]
    assert restored.instance.host.startswith(f"{cluster.name}-new.")


def test_an_earlier_moment_of_the_same_backup(cluster: Cluster) -> None:
    next_second()
    cluster.put("k", b"one")
    first = cluster.take().manifest.database.moment
    cluster.put("k", b"two")
    next_second()
    taken = cluster.take()
    restored = cluster.restore(taken, at=first)
    assert restored.moment == first
    assert cluster.objects(f"{cluster.name}-restored") == {"mlflow/k": b"one"}
    for wrong in (
        taken.manifest.database.earliest - timedelta(seconds=1),
        taken.manifest.database.moment + timedelta(seconds=1),
    ):
        with pytest.raises(NoSuchMoment, match="reaches from"):
            cluster.restore(taken, at=wrong)


def test_a_digest_is_computed_once_and_again_with_full(cluster: Cluster) -> None:
    cluster.put("a", b"a")
    cluster.put("b", b"b")
    assert (cluster.take().read, cluster.take().read) == (2, 0)
    cluster.put("a", b"changed")
    next_second()
    assert cluster.take().read == 1
    whole = cluster.take(full=True)
    assert (whole.read, whole.known) == (3, 0)
    assert whole.manifest.database.snapshot in cluster.state.database.snapshots("mlops-backup-")


def test_without_the_log_the_snapshot_of_the_backup_is_restored(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.put("k", b"x")
    plain, whole = cluster.take(), cluster.take(full=True)
    monkeypatch.setattr("mlops_platform.adapters.aws.managed_database.RdsDatabase.reach", lambda _: None)
    with pytest.raises(NoSuchMoment, match="no snapshot"):
        cluster.restore(plain)
    assert cluster.restore(whole).instance.status == "available"


def test_what_runs_and_what_is_not_empty_is_never_written(cluster: Cluster) -> None:
    cluster.put("k", b"x")
    taken = cluster.take()
    new, other = f"{cluster.name}-new", f"s3://{cluster.name}-restored/other"

    def refused(target: Target, words: str) -> None:
        with pytest.raises(TargetInUse, match=words):
            cluster.restore(taken, target=target)

    refused(Target(cluster.name, {"mlflow": cluster.restored}), "is the database that runs")
    refused(Target(new, {}), "say where mlflow go")
    refused(Target(new, {"mlflow": cluster.uri}), "is where the platform keeps")
    refused(Target(new, {"mlflow": f"s3://{cluster.artifacts}"}), "is where the platform keeps")
    refused(Target(new, {"mlflow": f"{cluster.uri}/below"}), "is where the platform keeps")
    assert cluster.state.database.instance(new) is None
    cluster.client("s3").put_object(Bucket=f"{cluster.name}-restored", Key="other/x", Body=b"of somebody")
    refused(Target(new, {"mlflow": other}), "is not empty")
    cluster.client("rds").create_db_instance(
        DBInstanceIdentifier=new,
        Engine="postgres",
        DBInstanceClass="db.t3.micro",
        AllocatedStorage=20,
        MasterUsername="mlops",
        MasterUserPassword="only-an-emulator-takes-it",
    )
    refused(Target(new, {"mlflow": cluster.restored}), "did not make")
    assert cluster.objects(cluster.artifacts) == {"mlflow/k": b"x"}


def test_a_restore_that_dies_is_gone_on_with_and_its_half_copy_is_found(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("a", "b", "c"):
        cluster.put(key, key.encode())
    taken, copy = cluster.take(), S3Objects.copy

    def dies(self: S3Objects, uri: str, one: ObjectVersion, target: str) -> str:
        if one.key == "c":
            raise CloudUnavailable("away")
        return copy(self, uri, one, target)

    monkeypatch.setattr(S3Objects, "copy", dies)
    with pytest.raises(CloudUnavailable):
        cluster.restore(taken)
    monkeypatch.setattr(S3Objects, "copy", copy)
    # of the same size and with other bytes, as a copy that was never compared
    cluster.client("s3").put_object(Bucket=f"{cluster.name}-restored", Key="mlflow/b", Body=b"?")
    with pytest.raises(TargetInUse, match="belongs to the restore"):
        cluster.restore(replace(taken, manifest=cluster.take().manifest))
    restored = cluster.restore(taken)
    assert (restored.copied, restored.kept) == (2, 1)
    assert cluster.objects(f"{cluster.name}-restored") == {f"mlflow/{key}": key.encode() for key in "abc"}


def test_a_version_that_is_gone_is_listed_and_the_rest_comes_back(cluster: Cluster) -> None:
    version = cluster.put("lost", b"x")
    cluster.put("kept", b"y")
    taken = cluster.take()
    cluster.client("s3").delete_object(Bucket=cluster.artifacts, Key="mlflow/lost", VersionId=version)
    restored = cluster.restore(taken)
    assert restored.missing == ("mlflow: lost",)
    left = cluster.objects(f"{cluster.name}-restored")
    assert left.pop(f"mlflow/{MARK}"), "not finished: the same command tries again"
    assert left == {"mlflow/kept": b"y"}


def test_bytes_that_are_not_those_of_the_backup_are_not_restored(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.put("k", b"right")
    monkeypatch.setattr(S3Objects, "digest", lambda *_: "ab" * 32)
    taken = cluster.take()
    restored = cluster.restore(taken)
    assert restored.damaged == ("mlflow: k",)
    assert "mlflow/k" not in cluster.objects(f"{cluster.name}-restored")


def test_objects_are_read_from_the_place_that_is_named_for_them(cluster: Cluster) -> None:
    """S3's replication keeps version ids. The emulator does not replicate: that a replica has them is not shown here."""
    cluster.put("k", b"x")
    taken = cluster.take()
    empty = f"s3://{cluster.name}-scratch/mlflow"
    target = Target(f"{cluster.name}-new", {"mlflow": cluster.restored}, {"mlflow": empty})
    assert cluster.restore(taken, target=target).missing == ("mlflow: k",)


def test_a_backup_that_dies_before_its_manifest_is_none(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.put("k", b"x")

    def away(*_: Any) -> bytes:
        raise CloudUnavailable("away")

    monkeypatch.setattr("mlops_platform.adapters.aws.backup_key.KmsManifestSigner.sign", away)
    with pytest.raises(CloudUnavailable):
        cluster.take()
    monkeypatch.undo()
    assert backups(cluster.store) == []
    cluster.take()
    assert len(backups(cluster.store)) == 1
    assert of_cluster(cluster.store)


def test_two_at_once_are_two_backups(cluster: Cluster) -> None:
    cluster.put("k", b"x")
    with ThreadPoolExecutor(2) as pool:
        taken = list(pool.map(lambda _: cluster.take(full=True), range(2)))
    assert {one.id for one in backups(cluster.store)} == {one.manifest.id for one in taken}
    for one in taken:
        (source,) = cluster.reader.manifest(one.manifest.id).sources
        assert [version.key for version in cluster.reader.listing(source)] == ["k"]


def test_what_somebody_else_signed_or_exchanged_is_refused(cluster: Cluster, aws: str) -> None:
    cluster.put("k", b"x")
    one, two = cluster.take().manifest, cluster.take().manifest
    with pytest.raises(NotABackup, match="another key"):
        ClusterReader(cluster.store, "0" * 64).manifest(one.id)
    s3, key = cluster.client("s3"), f"platform/{manifest_name(two.id)}"
    content = cluster.store.get(manifest_name(one.id))
    s3.put_object(Bucket=cluster.backups, Key=key, Body=content)
    with pytest.raises(NotABackup, match="exchanged"):
        cluster.reader.manifest(two.id)
    told = json.loads(content or b"")
    told["manifest"] = told["manifest"].replace(cluster.name, "another")
    s3.put_object(Bucket=cluster.backups, Key=key, Body=json.dumps(told).encode())
    with pytest.raises(NotABackup, match="does not hold"):
        cluster.reader.manifest(two.id)
    (source,) = one.sources
    s3.put_object(Bucket=cluster.backups, Key=f"platform/{source.blob}", Body=b"other")
    with pytest.raises(NotABackup, match="was changed"):
        cluster.reader.listing(source)


def test_nothing_is_written_over_in_the_place_of_backups(cluster: Cluster) -> None:
    cluster.store.put("objects/ab/abcd", b"first")
    cluster.store.put("objects/ab/abcd", b"second")
    assert cluster.store.get("objects/ab/abcd") == b"first"


def test_pruning_removes_snapshots_of_removed_backups_and_no_newer_ones(cluster: Cluster) -> None:
    old, kept = cluster.take(full=True).manifest, cluster.take(full=True).manifest
    # of a backup that is being taken: it has no manifest yet
    running = f"{cluster_taking.SNAPSHOT_PREFIX}29991231t000000z-0a1b2c3d"
    cluster.state.database.snapshot(running)
    assert prune_snapshots(cluster.state, cluster.store) == []
    assert prune(cluster.store, 1)[0] == [old.id]
    assert prune_snapshots(cluster.state, cluster.store) == [old.database.snapshot]
    assert cluster.state.database.snapshots("mlops-backup-") == {kept.database.snapshot, running}


def test_a_database_that_is_gone_is_said(cluster: Cluster) -> None:
    gone = replace(cluster.state, database=type(cluster.state.database)("nobody", cluster.aws))
    with pytest.raises(CloudUnavailable, match="no instance nobody"):
        take(gone, cluster.store, schema="", head_before=lambda _: None)
