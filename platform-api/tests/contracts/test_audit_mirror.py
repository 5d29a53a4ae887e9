"""A mirror keeps what it was given, exactly and in order, and replaces nothing; on DynamoDB and S3 as an emulator answers."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from mlops_platform.adapters.aws.audit_mirror import AwsAuditMirror
from mlops_platform.audit.heads import SignedHead
from mlops_platform.audit.interfaces import Mirror, MirrorConflict, MirroredEvent, MirrorUnavailable, Seal
from tests.emulated_mirror import Faulty, client, create


def event(seq: int, tenant: str = "default", text: str = "") -> MirroredEvent:
    return MirroredEvent(seq, tenant, f"model:churn:{seq}", f'{{"details":"{text or "prüfung"}","seq":{seq}}}')


def head(size: int, root: str = "a") -> SignedHead:
    return SignedHead(size, root * 64, datetime(2026, 11, 24, 12, 0, 0, size, UTC), "c2lnbmVk")


class Throttled:
    """What DynamoDB says when too much is asked of a table."""

    def stream(self) -> Iterator[bytes]:
        yield b'{"__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}'


class MirrorContract:
    """What every audit mirror keeps to."""

    __test__ = False

    def test_an_empty_mirror_says_so(self, mirror: Mirror) -> None:
        assert mirror.newest() is None
        assert mirror.seals() == []
        assert mirror.events("default", 1, 9) == []

    def test_what_is_read_is_what_was_kept(self, mirror: Mirror) -> None:
        kept = [event(1), event(2, "risk"), event(3)]
        mirror.keep(kept, head(3))
        assert mirror.events("default", 1, 3) == [kept[0], kept[2]]
        assert mirror.events("risk", 2, 2) == [kept[1]]
        assert mirror.sealed_after(0) == kept
        assert mirror.newest() == Seal(3, "a" * 64)

    def test_seals_are_ordered_by_size_whatever_their_number_of_digits(self, mirror: Mirror) -> None:
        for size in (9, 10, 100):
            mirror.keep([event(size)], head(size))
            assert mirror.newest() == Seal(size, "a" * 64)
        assert [seal.size for seal in mirror.seals()] == [9, 10, 100]
        assert [found.seq for found in mirror.sealed_after(9)] == [10, 100]

    def test_giving_a_batch_again_changes_nothing(self, mirror: Mirror) -> None:
        for _ in range(2):
            mirror.keep([event(1), event(2)], head(2))
        assert mirror.sealed_after(0) == [event(1), event(2)]
        assert mirror.seals() == [Seal(2, "a" * 64)]

    def test_another_text_under_a_kept_number_is_refused_and_not_written(self, mirror: Mirror) -> None:
        mirror.keep([event(1), event(2)], head(2))
        with pytest.raises(MirrorConflict, match="event 2"):
            mirror.keep([event(2, text="rewritten")], head(2))
        assert mirror.events("default", 1, 2) == [event(1), event(2)]

    def test_another_root_for_a_sealed_size_is_refused(self, mirror: Mirror) -> None:
        mirror.keep([event(1)], head(1))
        with pytest.raises(MirrorConflict, match="another root"):
            mirror.keep([event(1)], head(1, "b"))
        assert mirror.seals() == [Seal(1, "a" * 64)]

    def test_events_come_back_whole_when_they_fill_more_than_one_answer(self, mirror: Mirror) -> None:
        kept = [event(seq, text="x" * 300_000) for seq in range(1, 8)]
        mirror.keep(kept, head(7))
        assert mirror.events("default", 1, 7) == kept


@pytest.fixture
def name(aws: str, request: pytest.FixtureRequest) -> str:
    name = f"mirror-{abs(hash(request.node.nodeid))}"
    create(aws, name)
    return name


@pytest.fixture
def _dynamodb(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", aws)


@pytest.mark.usefixtures("_dynamodb")
class TestAwsAuditMirror(MirrorContract):
    __test__ = True

    @pytest.fixture
    def mirror(self, name: str, aws: str) -> AwsAuditMirror:
        return AwsAuditMirror(name, name, aws)

    @pytest.fixture
    def s3(self, aws: str) -> Any:
        return client(aws, "s3")

    def test_heads_are_locked_by_the_buckets_own_retention(self, mirror: Mirror, s3: Any, name: str) -> None:
        mirror.keep([event(1)], head(1))
        version = s3.list_object_versions(Bucket=name)["Versions"][0]
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.delete_object(Bucket=name, Key=version["Key"], VersionId=version["VersionId"])

    def test_a_head_behind_a_delete_marker_is_still_seen(self, mirror: Mirror, s3: Any, name: str, aws: str) -> None:
        mirror.keep([event(1)], head(1))
        s3.delete_object(Bucket=name, Key=f"heads/{1:020d}-{'a' * 64}.json")
        other = AwsAuditMirror(name, name, aws)
        assert other.seals() == [Seal(1, "a" * 64)]
        assert other.newest() == Seal(1, "a" * 64)
        assert other.sealed_after(0) == [event(1)]

    def test_a_head_written_over_is_read_as_it_was_first(self, mirror: Mirror, s3: Any, name: str) -> None:
        mirror.keep([event(1)], head(1))
        s3.put_object(
            Bucket=name, Key=f"heads/{1:020d}-{'a' * 64}.json", Body=b'{"tenants":[]}', ChecksumAlgorithm="SHA256"
        )
        assert mirror.sealed_after(0) == [event(1)]

    def test_what_is_not_a_head_is_not_taken_for_one(self, mirror: Mirror, s3: Any, name: str) -> None:
        s3.put_object(Bucket=name, Key="heads/zzz", Body=b"", ChecksumAlgorithm="SHA256")
        assert mirror.newest() is None

    @pytest.mark.whole("AWS's client tries again for half a minute")
    def test_a_server_that_is_away_is_said_to_be_away(
        self, name: str, aws: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(MirrorUnavailable):
            AwsAuditMirror(name, name, "http://127.0.0.1:9").newest()
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9")
        away = AwsAuditMirror(name, name, aws)
        with pytest.raises(MirrorUnavailable):
            away.keep([event(1)], head(1))
        assert away.newest() is None, "a head without its events must not be locked"

    def test_a_missing_right_is_not_taken_for_success(self, aws: str) -> None:
        with pytest.raises(MirrorUnavailable):
            AwsAuditMirror("no-such-table", "no-such-bucket", aws).keep([event(1)], head(1))

    def test_a_throttled_call_is_repeated(self, name: str, aws: str) -> None:
        mirror = Faulty(name, aws)
        refusals = 2

        def answer(**_: Any) -> AWSResponse | None:
            nonlocal refusals
            refusals -= 1
            return None if refusals < 0 else AWSResponse("", 400, {}, Throttled())

        mirror._clients["dynamodb"].meta.events.register("before-send.dynamodb.PutItem", answer)
        mirror.keep([event(1)], head(1))
        assert refusals < 0
        assert mirror.events("default", 1, 1) == [event(1)]
