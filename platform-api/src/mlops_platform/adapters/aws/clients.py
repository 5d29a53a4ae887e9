"""boto3 clients, and the one way their failures leave an adapter."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from mlops_platform.errors import PlatformError


class Clients:
    """One client per service, made at first use by whichever thread comes first.

    Throttled and failed calls are repeated by the client, slower each time, before they count as a failure.
    """

    def __init__(
        self,
        *,
        read_timeout: int,
        attempts: int,
        endpoints: Mapping[str, str | None] | None = None,
        region: str | None = None,
    ) -> None:
        self._config = Config(
            connect_timeout=3, read_timeout=read_timeout, retries={"max_attempts": attempts, "mode": "standard"}
        )
        self._endpoints = endpoints or {}
        self._region = region
        self._making = threading.Lock()
        self._made: dict[str, Any] = {}

    def __getitem__(self, service: str) -> Any:
        # making two clients of one session at once is not safe
        with self._making:
            if service not in self._made:
                region = self._region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
                self._made[service] = boto3.client(
                    service, endpoint_url=self._endpoints.get(service), config=self._config, region_name=region
                )
            return self._made[service]


@contextmanager
def answering(unavailable: Callable[[], PlatformError]) -> Iterator[None]:
    """Raise `unavailable()` for whatever boto3 raises inside; errors of our own pass."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise unavailable() from error


def code_of(error: ClientError) -> str:
    """Return AWS's word for an error."""
    return str(error.response["Error"]["Code"])
