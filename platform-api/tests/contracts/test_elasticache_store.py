"""Signing in to the online store with IAM tokens: what a token is, when it is made, and what happens when it is refused."""

import hashlib
import hmac
import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import pytest
import redis
from feast import FeatureStore as Feast

from mlops_platform.adapters.feast import elasticache as elasticache_store
from mlops_platform.adapters.feast.elasticache import IamTokens
from mlops_platform.adapters.feast.store import FeastStore
from mlops_platform.features.interfaces import FeatureStoreUnavailable

from .elasticache import CREDENTIALS, GROUP, REGION, SECRET, SIGNED_AT, USER, Server, served, signing_at, token
from .feast_backends import NOW, make

REFS = [("customers", "whole")]
KEYS = {"customer_id": ["a"]}


def test_a_token_is_a_presigned_address_of_the_group_without_its_scheme() -> None:
    address, _, query = token().partition("/?")
    assert address == GROUP
    assert dict(parse_qsl(query)) == {
        "Action": "connect",
        "User": USER,
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"ASIAEXAMPLE/20261124/{REGION}/elasticache/aws4_request",
        "X-Amz-Date": "20261124T120000Z",
        "X-Amz-Expires": "900",
        "X-Amz-SignedHeaders": "host",
        "X-Amz-Security-Token": CREDENTIALS["AWS_SESSION_TOKEN"],
        "X-Amz-Signature": dict(parse_qsl(query))["X-Amz-Signature"],
    }
    assert SECRET not in token()
    assert quote(SECRET, safe="") not in token()


def test_its_signature_is_the_one_amazon_computes() -> None:
    """Signature Version 4 by hand, from the published steps: what the server does with its own copy of the key."""
    query = dict(parse_qsl(token().partition("/?")[2]))
    claimed = query.pop("X-Amz-Signature")
    canonical = urlencode(sorted(query.items()), quote_via=quote, safe="")
    request = "\n".join(["GET", "/", canonical, f"host:{GROUP}", "", "host", hashlib.sha256(b"").hexdigest()])
    scope = f"20261124/{REGION}/elasticache/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", query["X-Amz-Date"], scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    assert claimed == hmac.digest(key, text.encode(), "sha256").hex()


def test_a_young_token_is_used_again_and_an_old_one_is_replaced_long_before_it_expires() -> None:
    clock = 1000.0
    tokens = IamTokens(USER, GROUP, REGION, clock=lambda: clock)
    with signing_at():
        first = tokens.get_credentials()
    with signing_at(SIGNED_AT + timedelta(minutes=4)):
        clock += 4 * 60
        assert tokens.get_credentials() == first
    with signing_at(SIGNED_AT + timedelta(minutes=6)):
        clock += 2 * 60
        assert tokens.get_credentials() == (USER, token(SIGNED_AT + timedelta(minutes=6)))
    assert tokens.get_credentials() != first


def test_the_region_is_the_environments_when_none_is_configured() -> None:
    with signing_at(**CREDENTIALS, AWS_REGION="eu-central-1"):
        assert "%2Feu-central-1%2Felasticache%2F" in IamTokens(USER, GROUP).get_credentials()[1]
    with signing_at(), pytest.raises(redis.AuthenticationError, match="region"):
        IamTokens(USER, GROUP).get_credentials()


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
class TestSigningIn:
    @pytest.fixture(scope="class")
    def server(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
        with served(tmp_path_factory.mktemp("redis")) as server:
            yield server

    @pytest.fixture(scope="class")
    def feast(self, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Feast:
        with signing_at():
            return make(tmp_path_factory.mktemp("feast") / "repo", server.online_store)

    @pytest.fixture
    def store(self, feast: Feast, server: Server) -> Iterator[FeastStore]:
        server.accept(token())
        with signing_at():
            yield FeastStore(Path(feast.repo_path))

    async def test_only_the_first_read_signs_in(self, store: FeastStore, server: Server) -> None:
        await store.online(REFS, KEYS)
        before = server.connections_so_far()
        for _ in range(20):
            assert (await store.online(REFS, KEYS)).columns == {"whole": [1]}
        assert server.connections_so_far() == before

    async def test_a_connection_dropped_between_reads_is_signed_in_again_and_nobody_notices(
        self, store: FeastStore, server: Server
    ) -> None:
        await store.online(REFS, KEYS)
        assert server.drop_connections() >= 1
        assert (await store.online(REFS, KEYS)).columns == {"whole": [1]}

    async def test_a_connection_dropped_during_a_read_is_signed_in_again_and_nobody_notices(
        self, store: FeastStore, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await store.online(REFS, KEYS)
        checked_out = redis.ConnectionPool.get_connection

        def dropped_then(*args: Any, **options: Any) -> Any:
            connection = checked_out(*args, **options)
            monkeypatch.undo()
            assert server.drop_connections() >= 1
            return connection

        monkeypatch.setattr(redis.ConnectionPool, "get_connection", dropped_then)
        assert (await store.online(REFS, KEYS)).columns == {"whole": [1]}
        assert redis.ConnectionPool.get_connection is checked_out

    async def test_after_hours_the_new_connection_brings_a_new_token(
        self, store: FeastStore, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(elasticache_store, "_YOUNG_SECONDS", 0.0)
        await store.online(REFS, KEYS)
        later = SIGNED_AT + timedelta(hours=12)
        server.accept(token(later))
        with signing_at(later):
            server.drop_connections()
            assert (await store.online(REFS, KEYS)).columns == {"whole": [1]}

    async def test_a_refused_token_is_said_soon_and_the_probe_says_it_too(
        self, store: FeastStore, server: Server
    ) -> None:
        server.accept("another token")
        began = time.monotonic()
        with pytest.raises(FeatureStoreUnavailable) as refused:
            await store.online(REFS, KEYS)
        assert isinstance(refused.value.__cause__, redis.AuthenticationError)
        with pytest.raises(FeatureStoreUnavailable):
            await store.ping()
        with pytest.raises(FeatureStoreUnavailable):
            await store.push("visits", {"customer_id": ["new"], "shop": [9], "visits": [77]})
        assert time.monotonic() - began < 2
        server.accept(token())
        await store.ping()

    async def test_without_aws_credentials_it_is_unavailable_and_says_why_until_they_come(
        self, store: FeastStore
    ) -> None:
        with signing_at(AWS_REGION=REGION):
            for _ in range(2):
                with pytest.raises(FeatureStoreUnavailable) as refused:
                    await store.online(REFS, KEYS)
                assert "Unable to locate credentials" in str(refused.value.__cause__)
        assert (await store.online(REFS, KEYS)).columns == {"whole": [1]}

    async def test_feasts_asynchronous_reads_sign_in_too(self, store: FeastStore, feast: Feast) -> None:
        found = await Feast(repo_path=str(feast.repo_path)).get_online_features_async(
            features=["customers:whole"], entity_rows=[{"customer_id": "a"}]
        )
        assert found.to_dict()["whole"] == [1]

    async def test_the_user_of_the_module_may_remove_a_view_and_may_not_look_around(
        self, store: FeastStore, feast: Feast, server: Server
    ) -> None:
        config = feast.config
        online = feast._get_provider().online_store
        view = feast.get_feature_view("visits")
        online.delete_table(config, view)
        found = await store.online([("visits", "visits")], {"customer_id": ["a"], "shop": [1]})
        assert found.columns == {"visits": [None]}
        feast.materialize(NOW - timedelta(days=60), NOW, feature_views=["visits"])
        client = online._get_client(config.online_store)
        for command in ("FLUSHALL", "KEYS *", "CONFIG GET *", "ACL LIST", "CLIENT LIST", "SHUTDOWN"):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command.split())

    async def test_a_kind_of_client_that_would_not_sign_in_is_refused(self, feast: Feast, server: Server) -> None:
        repository = Path(feast.repo_path)
        kept = (repository / "feature_store.yaml").read_text()
        (repository / "feature_store.yaml").write_text(kept.replace("  user:", "  redis_type: redis_cluster\n  user:"))
        try:
            with pytest.raises(FeatureStoreUnavailable):
                await FeastStore(repository).ping()
        finally:
            (repository / "feature_store.yaml").write_text(kept)
