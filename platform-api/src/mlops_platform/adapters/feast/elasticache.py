"""Feast's Redis online store on ElastiCache: connections sign in with IAM tokens, so that there is no password.

`feature_store.yaml` names `ElastiCacheOnlineStore` by its path; Feast finds its configuration beside it. Signing in, and how long
to wait, is all that differs from the Redis store (adapters/feast/redis.py); it happens once per connection (ADR-029).
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import urlencode

import redis
from botocore.exceptions import BotoCoreError, ClientError, NoRegionError
from botocore.model import ServiceId
from botocore.session import Session
from botocore.signers import RequestSigner
from feast.infra.online_stores.redis import RedisOnlineStoreConfig
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from mlops_platform.adapters.feast.redis import NewestRedisOnlineStore

# the longest life ElastiCache accepts
_LIFE_SECONDS = 900
# a pod's credentials have ten minutes left or more when botocore gives them, and a token dies with them
_YOUNG_SECONDS = 300.0
# a store that answers slower than this is not answering; a caller waits for the answer
_CONNECT_SECONDS, _ANSWER_SECONDS = 2, 5


class IamTokens(redis.CredentialProvider):
    """User and token for each connection. Tokens are signed with this process's own AWS credentials, without a call to AWS."""

    def __init__(
        self, user: str, replication_group: str, region: str | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._user = user
        self._replication_group = replication_group
        self._region = region
        self._clock = clock
        self._session = Session()
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = -1.0

    def get_credentials(self) -> tuple[str, str]:
        """Return a user and a token with five minutes left or more. Raises redis.AuthenticationError when none can be signed."""
        with self._lock:
            began = self._clock()
            if began >= self._renew_at:
                try:
                    self._token = self._signed()
                except (BotoCoreError, ClientError) as error:
                    # of other errors redis-py keeps the connection, as if it were signed in
                    raise redis.AuthenticationError(
                        f"no token for the online store could be signed: {error}"
                    ) from error
                self._renew_at = began + _YOUNG_SECONDS
            return self._user, self._token

    async def get_credentials_async(self) -> tuple[str, str]:
        """Like `get_credentials`; looking for credentials may ask the network, so it happens in a thread."""
        return await asyncio.to_thread(self.get_credentials)

    def _signed(self) -> str:
        region = self._region or os.environ.get("AWS_REGION") or self._session.get_config_variable("region")
        if not region:
            raise NoRegionError
        signer = RequestSigner(
            ServiceId("elasticache"),
            region,
            "elasticache",
            "v4",
            # asked for each time: botocore renews them, and finds later what was not there at first
            self._session.get_credentials(),
            self._session.get_component("event_emitter"),
        )
        query = urlencode({"Action": "connect", "User": self._user})
        request = {"method": "GET", "url": f"https://{self._replication_group}/?{query}"}
        url: str = signer.generate_presigned_url(
            {**request, "body": {}, "headers": {}, "context": {}}, operation_name="connect", expires_in=_LIFE_SECONDS
        )
        # the scheme is signed for, not sent
        return url.removeprefix("https://")


class ElastiCacheOnlineStoreConfig(RedisOnlineStoreConfig):  # type: ignore[misc]  # Feast ships no hints
    """`connection_string` (host:port), and as whom to sign in where. Of the region, AWS_REGION is the default."""

    type: Literal["mlops_platform.adapters.feast.elasticache.ElastiCacheOnlineStore"]
    connection_string: str
    user: str
    replication_group: str
    region: str | None = None
    # other kinds of clients would not sign in
    redis_type: Literal["redis"] = "redis"
    client: Literal["redis"] = "redis"


class ElastiCacheOnlineStore(NewestRedisOnlineStore):
    """A replication group without cluster mode, always over TLS."""

    _client: redis.Redis | None = None
    _client_async: redis.asyncio.Redis | None = None

    def _get_client(self, online_store_config: ElastiCacheOnlineStoreConfig) -> redis.Redis:
        if self._client is None:
            self._client = redis.Redis(**_options(online_store_config, Retry))
        return self._client

    async def _get_client_async(self, online_store_config: ElastiCacheOnlineStoreConfig) -> redis.asyncio.Redis:
        if self._client_async is None:
            self._client_async = redis.asyncio.Redis(**_options(online_store_config, AsyncRetry))
        return self._client_async


def _options(config: ElastiCacheOnlineStoreConfig, retry: Callable[..., Any]) -> dict[str, Any]:
    (address, *_), options = NewestRedisOnlineStore._parse_connection_string(config.connection_string)  # noqa: SLF001 - the base class's own
    return {
        **address,
        "socket_connect_timeout": _CONNECT_SECONDS,
        "socket_timeout": _ANSWER_SECONDS,
        # ElastiCache closes connections twelve hours after they signed in
        "retry": retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        **options,
        # a token in the clear would be anybody's
        "ssl": True,
        "credential_provider": IamTokens(config.user, config.replication_group, config.region),
    }
