"""boto3 clients are made once, also by two threads at once, and every failure of theirs leaves as the adapter's own."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from mlops_platform.adapters.aws.clients import Clients, answering, code_of
from mlops_platform.errors import NotFound, Unavailable

MISSING = ClientError({"Error": {"Code": "NoSuchKey", "Message": "secret detail"}}, "GetObject")


def test_threads_that_come_at_once_share_one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    together = threading.Barrier(8)

    def make(service: str, **options: Any) -> object:
        made.append(f"{service} at {options['endpoint_url']} in {options['region_name']}")
        return object()

    monkeypatch.setattr(boto3, "client", make)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    clients = Clients(read_timeout=1, attempts=1, endpoints={"s3": "http://s3"})

    def get(number: int) -> Any:
        together.wait(10)
        return clients["s3" if number % 2 else "dynamodb"]

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(get, range(8)))
    assert len(found) == 2
    assert sorted(made) == ["dynamodb at None in eu-central-1", "s3 at http://s3 in eu-central-1"]


def test_a_client_that_could_not_be_made_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    clients = Clients(read_timeout=1, attempts=1)
    with pytest.raises(Unavailable), answering(lambda: Unavailable("no region")):
        clients["sqs"]
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert clients["sqs"].meta.region_name == "eu-central-1"


@pytest.mark.parametrize("error", [MISSING, EndpointConnectionError(endpoint_url="http://nobody")])
def test_what_boto3_raises_leaves_as_the_adapters_own_error(error: Exception) -> None:
    with pytest.raises(Unavailable) as raised, answering(lambda: Unavailable("S3 is away.", retry_after=7)):
        raise error
    assert (raised.value.detail, raised.value.retry_after) == ("S3 is away.", 7)
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("error", [NotFound("ours"), KeyError("a defect")])
def test_other_errors_are_left_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, answering(lambda: Unavailable("no")):
        raise error
    assert raised.value is error


def test_awss_word_for_an_error() -> None:
    assert code_of(MISSING) == "NoSuchKey"
