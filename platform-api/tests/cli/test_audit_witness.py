"""`mlops audit verify --against` and `renew-anchors`, as an auditor and an administrator run them."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, text

from mlops_platform import bootstrap
from mlops_platform.audit import service
from mlops_platform.audit.actions import Action
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.settings import Settings

from .conftest import Ran


@pytest.fixture
def grow(database_url: str, _truncate: Callable[[], None], tmp_path: Path) -> Callable[[int], dict[str, Any]]:
    """Add events to the log and return its newest head, as `mlops audit head` prints it."""
    _truncate()
    settings = Settings(home=tmp_path / "home", database_url=SecretStr(database_url))

    async def write(count: int) -> dict[str, Any]:
        database = bootstrap.build_database(settings)
        for number in range(count):
            async with database.session() as session:
                await service.record(
                    session,
                    action=Action.MODEL_DELETED,
                    actor=SystemActor("test"),
                    resource=f"model:{number}",
                    tenant="default",
                    details={},
                )
        async with database.read_session() as session:
            head = await service.head(session)
        await database.dispose()
        assert head is not None
        return head.model_dump(mode="json")

    return lambda count: asyncio.run(write(count))


def test_a_kept_head_is_compared_and_a_log_put_back_is_found(
    mlops: Callable[..., Ran], grow: Callable[[int], dict[str, Any]], database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "kept.json"
    file.write_text(json.dumps(grow(4)))
    grow(2)
    agreed = mlops("audit", "verify", "--offline", "--against", str(file), MLOPS_DATABASE_URL=database_url)
    assert agreed.code == 0, agreed.out + agreed.err
    assert "compared with the head that was kept elsewhere" in agreed.out
    assert "rewritten with the platform's own keys" not in agreed.out
    alone = mlops("audit", "verify", "--offline", MLOPS_DATABASE_URL=database_url)
    assert alone.code == 0
    assert "rewritten with the platform's own keys cannot be seen" in alone.out
    # the database and the anchor of a day when the log was shorter
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE audit_events, audit_heads, audit_tree"))
    engine.dispose()
    (tmp_path / "home" / "audit" / "heads.jsonl").write_bytes(b"")
    grow(3)
    assert mlops("audit", "verify", "--offline", MLOPS_DATABASE_URL=database_url).code == 0
    found = mlops("audit", "verify", "--offline", "--against", str(file), MLOPS_DATABASE_URL=database_url)
    assert found.code == 1
    assert "event 4 existed; it is missing" in found.out


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"size": 1}'])
def test_a_file_that_is_no_head_is_wrong_usage(mlops: Callable[..., Ran], tmp_path: Path, content: str) -> None:
    file = tmp_path / "kept.json"
    file.write_text(content)
    ran = mlops("audit", "verify", "--offline", "--against", str(file))
    assert ran.code == 2
    assert "mlops audit head" in ran.err


def test_an_anchor_file_that_was_lost_is_renewed_by_a_person(
    mlops: Callable[..., Ran], grow: Callable[[int], dict[str, Any]], database_url: str, tmp_path: Path
) -> None:
    grow(3)
    (tmp_path / "home" / "audit" / "heads.jsonl").unlink()
    assert mlops("audit", "verify", "--offline", MLOPS_DATABASE_URL=database_url).code == 1
    ran = mlops("audit", "renew-anchors", "--reason", "the volume was lost", MLOPS_DATABASE_URL=database_url)
    assert ran.code == 0, ran.err
    assert "anchored 3 heads anew" in ran.out
    assert mlops("audit", "verify", "--offline", MLOPS_DATABASE_URL=database_url).code == 0
