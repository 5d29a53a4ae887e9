"""Bundles arrive as they were built or not at all; on this disk, and on S3 (a server that answers as AWS's)."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from mlops_platform.adapters.aws.bundles import S3Bundles
from mlops_platform.adapters.local.bundles import LocalBundles
from mlops_platform.builds.interfaces import BundleDamaged, BundleStore, BundleUnavailable
from mlops_platform.deployments.schemas import LiveRevision, RoutingSnapshot
from mlops_platform.predictions.bundles import fetch_bundles


def a_bundle(folder: Path, content: str = "weights") -> Path:
    bundle = folder / "abc-churn-3"
    (bundle / "native").mkdir(parents=True)
    (bundle / "bundle.json").write_text("{}")
    (bundle / "native" / "model.skops").write_text(content)
    return bundle


def files(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if name != "manifest.json"}


class BundleStoreContract:
    """What every bundle store keeps to."""

    __test__ = False

    def test_what_is_fetched_is_what_was_published(self, store: BundleStore, tmp_path: Path) -> None:
        bundle = a_bundle(tmp_path)
        assert files(store.fetch(store.publish(bundle))) == files(bundle)

    def test_publishing_and_fetching_again_changes_nothing(self, store: BundleStore, tmp_path: Path) -> None:
        bundle = a_bundle(tmp_path)
        address = store.publish(bundle)
        assert store.publish(bundle) == address
        assert store.fetch(address) == store.fetch(address)

    def test_what_is_kept_beside_a_bundle_is_no_part_of_it(self, store: BundleStore, tmp_path: Path) -> None:
        bundle = a_bundle(tmp_path)
        address = store.publish(bundle)
        assert store.beside(address, "recent-inputs.json") is None
        for content in (b"first", b"second"):
            store.keep_beside(address, "recent-inputs.json", content)
            assert store.beside(address, "recent-inputs.json") == content
        assert {name for name in files(store.fetch(address)) if name != "recent-inputs.json"} == {
            "bundle.json",
            "native/model.skops",
        }

    def test_a_bundle_that_is_gone_is_not_served(self, store: BundleStore, tmp_path: Path) -> None:
        with pytest.raises(BundleDamaged):
            store.fetch(store.publish(a_bundle(tmp_path)).replace("abc-churn-3", "xyz-churn-3"))


class TestLocalBundles(BundleStoreContract):
    __test__ = True

    @pytest.fixture
    def store(self, tmp_path: Path) -> LocalBundles:
        return LocalBundles(tmp_path)


@pytest.fixture(scope="module")
def s3(aws: str) -> Any:
    client = boto3.client("s3", endpoint_url=aws, region_name="us-east-1")
    client.create_bucket(Bucket="bundles")
    return client


def keys(s3: Any, prefix: str) -> list[str]:
    return [each["Key"] for each in s3.list_objects_v2(Bucket="bundles", Prefix=prefix).get("Contents", [])]


class TestS3Bundles(BundleStoreContract):
    __test__ = True

    @pytest.fixture
    def store(self, aws: str, s3: Any, tmp_path: Path) -> S3Bundles:
        return S3Bundles(f"s3://bundles/{tmp_path.name}", tmp_path / "cache", aws)

    def test_another_process_needs_only_the_address(self, store: S3Bundles, aws: str, tmp_path: Path) -> None:
        bundle = a_bundle(tmp_path)
        address = store.publish(bundle)
        other = S3Bundles(f"s3://bundles/{tmp_path.name}", tmp_path / "other-cache", aws)
        assert files(other.fetch(address)) == files(bundle)

    def test_what_is_in_the_cache_is_served_while_s3_is_away(self, store: S3Bundles, tmp_path: Path) -> None:
        address = store.publish(a_bundle(tmp_path))
        here = store.fetch(address)
        offline = S3Bundles(f"s3://bundles/{tmp_path.name}", tmp_path / "cache", "http://127.0.0.1:9")
        assert offline.fetch(address) == here
        with pytest.raises(BundleUnavailable):
            offline.publish(a_bundle(tmp_path / "more"))

    def test_other_bytes_get_another_address(self, store: S3Bundles, tmp_path: Path) -> None:
        first = store.publish(a_bundle(tmp_path / "a"))
        assert store.publish(a_bundle(tmp_path / "b", "other weights")) != first

    def test_a_changed_file_is_not_served_and_leaves_nothing_in_the_cache(
        self, store: S3Bundles, s3: Any, tmp_path: Path
    ) -> None:
        address = store.publish(a_bundle(tmp_path))
        s3.put_object(Bucket="bundles", Key=f"{address.removeprefix('s3://bundles/')}/native/model.skops", Body=b"evil")
        with pytest.raises(BundleDamaged, match=r"native/model.skops"):
            store.fetch(address)
        assert not list((tmp_path / "cache").iterdir())

    def test_a_manifest_that_was_changed_with_its_files_is_not_believed(
        self, store: S3Bundles, s3: Any, tmp_path: Path
    ) -> None:
        address = store.publish(a_bundle(tmp_path / "a"))
        evil = store.publish(a_bundle(tmp_path / "b", "evil"))
        base = [each.removeprefix("s3://bundles/") for each in (address, evil)]
        for name in ("manifest.json", "native/model.skops"):
            s3.copy_object(Bucket="bundles", Key=f"{base[0]}/{name}", CopySource=f"bundles/{base[1]}/{name}")
        with pytest.raises(BundleDamaged, match="manifest"):
            store.fetch(address)

    def test_a_publication_that_was_cut_off_is_finished_by_the_next(
        self, store: S3Bundles, s3: Any, tmp_path: Path
    ) -> None:
        bundle = a_bundle(tmp_path)
        address = store.publish(bundle)
        base = address.removeprefix("s3://bundles/")
        for name in ("manifest.json", "bundle.json"):
            s3.delete_object(Bucket="bundles", Key=f"{base}/{name}")
        with pytest.raises(BundleDamaged):
            store.fetch(address)
        assert store.publish(bundle) == address
        assert files(store.fetch(address)) == files(bundle)
        assert len(keys(s3, base)) == 3

    def test_what_pods_fetch_holds_nothing_that_was_kept_beside_it(
        self, store: S3Bundles, s3: Any, tmp_path: Path
    ) -> None:
        address = store.publish(a_bundle(tmp_path))
        store.keep_beside(address, "recent-inputs.json", b"{}")
        base = address.removeprefix("s3://bundles/")
        assert not [key for key in keys(s3, base) if "recent-inputs" in key]
        # another prefix: the role of model servers reads below the first one only
        assert keys(s3, f"{tmp_path.name}-beside/") == [
            f"{tmp_path.name}-beside{base.removeprefix(tmp_path.name)}/recent-inputs.json"
        ]

    def test_what_is_kept_beside_bundles_cannot_be_read_while_s3_is_away(
        self, store: S3Bundles, tmp_path: Path
    ) -> None:
        address = store.publish(a_bundle(tmp_path))
        offline = S3Bundles(f"s3://bundles/{tmp_path.name}", tmp_path / "cache", "http://127.0.0.1:9")
        with pytest.raises(BundleUnavailable):
            offline.beside(address, "recent-inputs.json")
        with pytest.raises(BundleUnavailable):
            offline.keep_beside(address, "recent-inputs.json", b"{}")

    def test_an_address_of_another_bucket_is_refused(self, store: S3Bundles) -> None:
        with pytest.raises(BundleDamaged, match="another place"):
            store.fetch(f"s3://somebody-elses/abc/{'0' * 64}")


def a_live(address: str, revision_id: str) -> LiveRevision:
    return LiveRevision("churn", "risk", "staging", 3, revision_id, 1, 1.0, address, "onnx", None, (), "low")


def test_one_damaged_bundle_takes_no_other_revision_with_it(tmp_path: Path) -> None:
    good = str(a_bundle(tmp_path))
    snapshot = RoutingSnapshot(4, (a_live("abc-churn-3", "r1"), a_live("nothing", "r2")))
    found, damaged = snapshot.revisions
    assert fetch_bundles(snapshot, LocalBundles(tmp_path)) == replace(
        snapshot, revisions=(replace(found, folder=good),), not_fetched=(damaged,)
    )


def test_a_store_that_is_away_is_told_so_that_the_routes_of_before_stay(tmp_path: Path) -> None:
    away = S3Bundles("s3://bundles/x", tmp_path / "cache", "http://127.0.0.1:9")
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(BundleUnavailable):
        fetch_bundles(RoutingSnapshot(1, (a_live(f"s3://bundles/x/abc/{'0' * 64}", "r1"),)), away)
