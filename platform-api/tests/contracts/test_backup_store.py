"""A place of backups keeps whole blobs; a folder, and a bucket (a server that answers as AWS's)."""

import os
from pathlib import Path
from typing import Any

import boto3
import pytest

from mlops_platform.adapters.aws import backup_bucket
from mlops_platform.adapters.aws.backup_bucket import BackupBucket
from mlops_platform.adapters.local.backup_folder import BackupFolder
from mlops_platform.backup.interfaces import BackupStore, BackupStoreUnavailable


class BackupStoreContract:
    """What every place of backups keeps to."""

    __test__ = False

    def test_what_is_put_is_got_and_listed(self, store: BackupStore) -> None:
        assert store.get("objects/ab/abcd") is None
        assert store.names("objects/") == set()
        for name in ("objects/ab/abcd", "objects/cd/cdef", "backups/x.manifest"):
            store.put(name, name.encode())
        assert store.get("objects/cd/cdef") == b"objects/cd/cdef"
        assert store.names("objects/") == {"objects/ab/abcd", "objects/cd/cdef"}

    def test_putting_and_removing_again_changes_nothing(self, store: BackupStore) -> None:
        for _ in range(2):
            store.put("objects/ab/abcd", b"x")
        assert store.get("objects/ab/abcd") == b"x"
        for _ in range(2):
            store.remove("objects/ab/abcd")
        assert store.get("objects/ab/abcd") is None


class TestBackupFolder(BackupStoreContract):
    __test__ = True

    @pytest.fixture
    def store(self, tmp_path: Path) -> BackupFolder:
        return BackupFolder(tmp_path / "backups")

    def test_nobody_else_reads_it_and_nothing_half_written_stays(self, store: BackupFolder, tmp_path: Path) -> None:
        store.put("objects/ab/abcd", b"x")
        folder = tmp_path / "backups" / "objects" / "ab"
        assert (folder / "abcd").stat().st_mode & 0o077 == 0
        (folder / ".0.new").write_bytes(b"half")
        assert store.names("objects/") == {"objects/ab/abcd"}

    def test_a_folder_that_cannot_be_used_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(BackupStoreUnavailable, match="cannot be used"):
            BackupFolder(tmp_path / "file").put("objects/ab/abcd", b"x")


class TestBackupBucket(BackupStoreContract):
    __test__ = True

    @pytest.fixture
    def store(self, aws: str, tmp_path: Path) -> BackupBucket:
        client: Any = boto3.client("s3", endpoint_url=aws, region_name="us-east-1")
        client.create_bucket(Bucket="backups")
        return BackupBucket(f"s3://backups/{tmp_path.name}", aws)

    def test_two_prefixes_do_not_see_each_other(self, store: BackupBucket, aws: str) -> None:
        store.put("objects/ab/abcd", b"x")
        assert BackupBucket("s3://backups/other", aws).names("objects/") == set()

    def test_more_than_one_page_is_listed(self, store: BackupBucket, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(backup_bucket, "PAGE", 2)
        names = {f"objects/ab/{number}" for number in range(5)}
        for name in names:
            store.put(name, b"")
        assert store.names("objects/") == names

    def test_a_bucket_that_is_away_says_so(self) -> None:
        os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
        with pytest.raises(BackupStoreUnavailable):
            BackupBucket("s3://backups/x", "http://127.0.0.1:9").names("objects/")
