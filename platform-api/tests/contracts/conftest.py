"""The command line, as people run it; AWS, as an emulator answers."""

from collections.abc import Iterator

import pytest

from tests.cli.conftest import mlops

from .elasticache import CREDENTIALS, REGION, signing_at

__all__ = ["mlops"]


@pytest.fixture(scope="session")
def lake() -> Iterator[dict[str, str]]:
    """An emulated AWS with a bucket, as environment: one per process, because s3fs keeps the address it has seen first."""
    # half a second that only these tests need
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {**CREDENTIALS, "AWS_REGION": REGION, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    with signing_at(**environment):
        boto3.client("s3", region_name=REGION).create_bucket(Bucket="lake")
    yield environment
    server.stop()
