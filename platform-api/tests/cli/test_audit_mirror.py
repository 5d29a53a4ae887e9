"""`mlops audit verify` and `recover` with a mirror, as a person runs them after a restore."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, text

from mlops_platform import bootstrap
from mlops_platform.audit import service
from mlops_platform.audit.actions import Action
from mlops_platform.audit.merkle import build, leaf_hash
from mlops_platform.audit.mirroring import copy_missing
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.kit.ids import new_id
from mlops_platform.settings import Settings
from tests.emulated_mirror import create

from .conftest import Ran


@pytest.fixture
def environment(
    database_url: str, _truncate: Callable[[], None], aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """A log of five events, all mirrored, and what a command needs to reach both."""
    _truncate()
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws)
    name, home = f"mirror-{new_id()}", tmp_path / "home"
    create(aws, name)
    settings = Settings(
        home=home, database_url=SecretStr(database_url), audit_mirror_table=name, audit_mirror_bucket=name
    )

    async def write() -> None:
        database = bootstrap.build_database(settings)
        for number in range(5):
            async with database.session() as session:
                await service.record(
                    session,
                    action=Action.MODEL_VERSION_REGISTERED,
                    actor=SystemActor("test"),
                    resource=f"model:x:{number}",
                    tenant="default",
                    details={},
                )
        mirror = bootstrap.build_audit_mirror(settings)
        assert mirror is not None
        assert (await copy_missing(database, mirror)).mirrored == 5
        await database.dispose()

    asyncio.run(write())
    return {"MLOPS_DATABASE_URL": database_url, "MLOPS_AUDIT_MIRROR_TABLE": name, "MLOPS_AUDIT_MIRROR_BUCKET": name}


def restore(database_url: str, size: int) -> None:
    """Put the database back to when it had `size` events."""
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text(f"DELETE FROM audit_heads WHERE size > {size}"))
        connection.execute(text(f"DELETE FROM audit_events WHERE seq > {size}"))
        kept = connection.execute(text("SELECT payload FROM audit_events ORDER BY seq")).scalars()
        frontier = build(leaf_hash(payload.encode()) for payload in kept)
        connection.execute(
            text("UPDATE audit_tree SET size = :size, frontier = :roots"), {"size": size, "roots": list(frontier.roots)}
        )
    engine.dispose()


def test_after_a_restore_verify_says_what_is_lost_and_recover_brings_it_back(
    mlops: Callable[..., Ran], environment: dict[str, str]
) -> None:
    whole = mlops("audit", "verify", "--offline", **environment)
    assert whole.code == 0, whole.err
    assert "compared with the mirror: 1 locked heads, events up to 5" in whole.out
    restore(environment["MLOPS_DATABASE_URL"], 3)
    lost = mlops("audit", "verify", "--offline", **environment)
    assert lost.code == 1
    assert "event 5 existed; it is missing" in lost.out
    back = mlops("audit", "recover", **environment)
    assert back.code == 0, back.err
    assert "recovered 2 events" in back.out
    assert mlops("audit", "verify", "--offline", **environment).code == 0
    assert mlops("audit", "recover", "--json", **environment).json == {"recovered": 0}


def test_a_mirror_that_does_not_answer_is_neither_intact_nor_tampered_with(
    mlops: Callable[..., Ran], environment: dict[str, str]
) -> None:
    away = mlops("audit", "verify", "--offline", **environment, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert away.code == 3
    assert "the log was not compared with it" in away.err


def test_without_a_mirror_there_is_nothing_to_recover_from(
    mlops: Callable[..., Ran], environment: dict[str, str]
) -> None:
    ran = mlops("audit", "recover", MLOPS_DATABASE_URL=environment["MLOPS_DATABASE_URL"])
    assert ran.code == 2
    assert "MLOPS_AUDIT_MIRROR_TABLE" in ran.err
