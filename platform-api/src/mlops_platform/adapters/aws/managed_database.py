"""PostgreSQL on RDS: which moments it can go back to, snapshots, and restores into new instances."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from mlops_platform.adapters.aws.clients import Clients, answering, code_of
from mlops_platform.backup.cluster_interfaces import CloudUnavailable, Instance, ManagedDatabase, Reach
from mlops_platform.backup.cluster_manifest import DatabaseMoment, Shape

_MARK = "mlops-restore"
_GONE = frozenset({"DBInstanceNotFound", "DBInstanceNotFoundFault", "DBSnapshotNotFound", "DBSnapshotNotFoundFault"})
_SNAPSHOT_SECONDS = 3 * 3600


class RdsDatabase(ManagedDatabase):
    """One instance. What it makes is private, carries the source's security groups, and is marked with a tag."""

    def __init__(self, name: str, endpoint_url: str | None = None, pause: Callable[[], None] | None = None) -> None:
        self.name = name
        self._clients = Clients(read_timeout=60, attempts=5, endpoints={"rds": endpoint_url})
        self._pause = pause or (lambda: time.sleep(15))

    def reach(self) -> Reach | None:
        found = self._described(self.name)
        kept = self._kept()
        window = (kept or {}).get("RestoreWindow") or {}
        if found is None:
            # a deleted instance whose automatic backups were retained
            if kept is None or "EarliestTime" not in window:
                return None
            return Reach(_up(window["EarliestTime"]), _second(window["LatestTime"]), _no_shape(kept))
        if not found.get("BackupRetentionPeriod") or "LatestRestorableTime" not in found:
            return None
        latest = _second(found["LatestRestorableTime"])
        oldest = latest - timedelta(days=found["BackupRetentionPeriod"])
        earliest = window.get("EarliestTime") or max(oldest, found["InstanceCreateTime"].astimezone(UTC))
        return Reach(min(_up(earliest), latest), latest, _shape(found))

    def snapshot(self, name: str) -> datetime:
        with answering(_unavailable):
            if self._snapshot(name) is None:
                self._clients["rds"].create_db_snapshot(
                    DBSnapshotIdentifier=name,
                    DBInstanceIdentifier=self.name,
                    Tags=[{"Key": "managed-by", "Value": "mlops-backup"}],
                )
            until = time.monotonic() + _SNAPSHOT_SECONDS
            while (found := self._snapshot(name)) is not None and found["Status"] == "creating":
                if time.monotonic() > until:
                    raise CloudUnavailable(f"RDS has not completed the snapshot {name} in three hours.")
                self._pause()
        if found is None or found["Status"] != "available":
            raise CloudUnavailable(f"RDS did not take the snapshot {name}.")
        return _second(found.get("OriginalSnapshotCreateTime") or found["SnapshotCreateTime"])

    def snapshots(self, prefix: str) -> set[str]:
        with answering(_unavailable):
            pages = (
                self._clients["rds"]
                .get_paginator("describe_db_snapshots")
                .paginate(DBInstanceIdentifier=self.name, SnapshotType="manual")
            )
            names = {each["DBSnapshotIdentifier"] for page in pages for each in page["DBSnapshots"]}
        return {name for name in names if name.startswith(prefix)}

    def remove_snapshot(self, name: str) -> None:
        with answering(_unavailable):
            try:
                self._clients["rds"].delete_db_snapshot(DBSnapshotIdentifier=name)
            except ClientError as error:
                if code_of(error) not in _GONE:
                    raise

    def begin_restore(self, target: str, of: DatabaseMoment, at: datetime, mark: str) -> None:
        reach, shape = self.reach(), of.shape
        chosen: dict[str, Any] = {
            "DBInstanceClass": shape.instance_class,
            "VpcSecurityGroupIds": list(shape.security_groups),
            "PubliclyAccessible": False,
            "DeletionProtection": False,
            "CopyTagsToSnapshot": True,
            "Tags": [{"Key": _MARK, "Value": mark}],
        }
        if shape.subnet_group:
            chosen["DBSubnetGroupName"] = shape.subnet_group
        if shape.parameter_group:
            chosen["DBParameterGroupName"] = shape.parameter_group
        with answering(_unavailable):
            if reach is not None and reach.earliest <= at <= reach.latest:
                self._clients["rds"].restore_db_instance_to_point_in_time(
                    **self._source(), TargetDBInstanceIdentifier=target, RestoreTime=at, **chosen
                )
                return
            self._clients["rds"].restore_db_instance_from_db_snapshot(
                DBInstanceIdentifier=target, DBSnapshotIdentifier=of.snapshot, **chosen
            )

    def instance(self, target: str) -> Instance | None:
        found = self._described(target)
        if found is None:
            return None
        address = found.get("Endpoint") or {}
        tags = {tag["Key"]: tag["Value"] for tag in found.get("TagList", [])}
        return Instance(
            found["DBInstanceStatus"], address.get("Address", ""), address.get("Port", 0), tags.get(_MARK, "")
        )

    def remove(self, target: str, mark: str) -> None:
        found = self.instance(target)
        if found is None or found.status == "deleting":
            return
        if not found.mark.startswith(mark) or target == self.name:
            raise CloudUnavailable(f"The instance {target} carries no mark of this restore; it was not removed.")
        with answering(_unavailable):
            self._clients["rds"].delete_db_instance(
                DBInstanceIdentifier=target, SkipFinalSnapshot=True, DeleteAutomatedBackups=True
            )

    def _source(self) -> dict[str, str]:
        if self._described(self.name) is not None:
            return {"SourceDBInstanceIdentifier": self.name}
        kept = self._kept() or {}
        return {"SourceDBInstanceAutomatedBackupsArn": kept.get("DBInstanceAutomatedBackupsArn", "")}

    def _described(self, name: str) -> Mapping[str, Any] | None:
        with answering(_unavailable):
            try:
                found: list[Mapping[str, Any]] = self._clients["rds"].describe_db_instances(DBInstanceIdentifier=name)[
                    "DBInstances"
                ]
            except ClientError as error:
                if code_of(error) in _GONE:
                    return None
                raise
        return found[0] if found else None

    def _kept(self) -> Mapping[str, Any] | None:
        with answering(_unavailable):
            found: list[Mapping[str, Any]] = self._clients["rds"].describe_db_instance_automated_backups(
                DBInstanceIdentifier=self.name
            )["DBInstanceAutomatedBackups"]
        return found[0] if found else None

    def _snapshot(self, name: str) -> Mapping[str, Any] | None:
        try:
            found: list[Mapping[str, Any]] = self._clients["rds"].describe_db_snapshots(DBSnapshotIdentifier=name)[
                "DBSnapshots"
            ]
        except ClientError as error:
            if code_of(error) in _GONE:
                return None
            raise
        return found[0] if found else None


def _shape(found: Mapping[str, Any]) -> Shape:
    parameters = [group["DBParameterGroupName"] for group in found.get("DBParameterGroups", [])]
    return Shape(
        instance_class=found["DBInstanceClass"],
        subnet_group=(found.get("DBSubnetGroup") or {}).get("DBSubnetGroupName"),
        security_groups=tuple(group["VpcSecurityGroupId"] for group in found.get("VpcSecurityGroups", [])),
        parameter_group=parameters[0] if parameters else None,
    )


def _no_shape(kept: Mapping[str, Any]) -> Shape:
    """Return what a retained backup still says: a restore takes the shape from the manifest."""
    return Shape(str(kept.get("DBInstanceClass", "")), None, (), None)


def _second(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


def _up(moment: datetime) -> datetime:
    whole = _second(moment)
    return whole if whole == moment else whole + timedelta(seconds=1)


def _unavailable() -> CloudUnavailable:
    return CloudUnavailable(
        "RDS does not answer, or refuses: look at the instance and at the rights on it.", retry_after=5
    )
