"""A running revision whose bundle is gone is built again, under the approval it has; nothing is approved for longer."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from mlops_platform.builds.bundles import Built
from mlops_platform.deployments.tables import DeploymentRow, RevisionRow
from mlops_platform.kit.clock import now
from mlops_platform.rollouts import lost_bundles
from mlops_platform.statements.tables import StatementRow
from tests.support.ground import Ground

from ..conftest import client_for


def _bundle(ground: Ground, name: str) -> Path:
    return next(ground.services.settings.bundle_dir.glob(f"*-{name}-1"))


def _builder(monkeypatch: pytest.MonkeyPatch, kept: Path, bundle: Path) -> list[str]:
    """Let a build put these bytes there, as one of the same version does; return the digests that were asked for."""
    asked = []

    async def obtain(_services: Any, _name: str, _version: int, digest: str, _refs: list[str]) -> Built:
        asked.append(digest)
        shutil.copytree(kept, bundle, ignore=shutil.ignore_patterns("statement-*"))
        return Built(bundle, {}, "key")

    monkeypatch.setattr(lost_bundles, "obtain", obtain)
    return asked


async def _lost(ground: Ground, tmp_path: Path) -> tuple[str, Path, Path]:
    await ground.answering(1)
    bundle = _bundle(ground, ground.names[0])
    kept = tmp_path / "kept"
    shutil.move(bundle, kept)
    return ground.names[0], bundle, kept


async def _predicts(ground: Ground, name: str) -> int:
    body = {"model_name": name, "input_data": {"x": 4.0}}
    async with client_for(ground.services) as client:
        return (await client.post("/api/v1/predict", json=body, headers=ground.headers)).status_code


async def _statement(ground: Ground) -> StatementRow:
    async with ground.services.database.read_session() as session:
        return (await session.execute(select(StatementRow))).scalar_one()


async def _message(ground: Ground) -> str:
    async with ground.services.database.read_session() as session:
        return (await session.execute(select(DeploymentRow.observed_message))).scalar_one()


async def test_no_address_in_the_database_names_a_place_of_this_machine(ground: Ground) -> None:
    await ground.answering(1)
    async with ground.services.database.read_session() as session:
        address = (await session.execute(select(RevisionRow.bundle))).scalar_one()
    assert address == _bundle(ground, ground.names[0]).name


async def test_a_home_from_before_that_was_moved_answers(ground: Ground) -> None:
    await ground.answering(1)
    async with ground.services.database.session() as session:
        await session.execute(text("UPDATE revisions SET bundle = '/the/home/of/before/bundles/' || bundle"))
    assert await _predicts(ground, ground.names[0]) == 200


async def test_what_is_lost_is_built_again_and_answers(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, bundle, kept = await _lost(ground, tmp_path)
    assert await _predicts(ground, name) == 503
    before = await _statement(ground)
    asked = _builder(monkeypatch, kept, bundle)
    await ground.run("lost-bundles")
    assert len(asked) == 1
    assert await _predicts(ground, name) == 200
    assert await _message(ground) == ""
    after = await _statement(ground)
    assert after.digest != before.digest
    assert after.valid_until <= before.valid_until, "nothing is approved for longer because it is signed again"
    await ground.run("lost-bundles")
    assert len(asked) == 1, "what is there is left alone"


async def test_a_statement_that_is_lost_is_put_back(ground: Ground) -> None:
    await ground.answering(1)
    [statement] = _bundle(ground, ground.names[0]).glob("statement-*")
    content = statement.read_bytes()
    statement.unlink()
    await ground.run("lost-bundles")
    assert statement.read_bytes() == content


async def test_what_cannot_be_built_again_says_why_to_its_owner_and_is_not_served(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, bundle, _ = await _lost(ground, tmp_path)

    async def refused(*_: Any) -> Built:
        return Built(None, {"detail": "The artifacts changed after the request."}, None)

    monkeypatch.setattr(lost_bundles, "obtain", refused)
    await ground.run("lost-bundles")
    assert "could not be built again: The artifacts changed after the request." in await _message(ground)
    assert await _predicts(ground, name) == 503
    assert not bundle.exists()


@pytest.mark.parametrize("why", ["review", "withdrawn"])
async def test_an_approval_that_does_not_hold_any_more_is_not_signed_again(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    name, bundle, kept = await _lost(ground, tmp_path)
    before = await _statement(ground)
    _builder(monkeypatch, kept, bundle)
    async with ground.services.database.session() as session:
        if why == "review":
            await session.execute(update(RevisionRow).values(review_since=now() - timedelta(hours=1)))
        else:
            # a row that somebody changed by hand: the log does not prove it
            await session.execute(update(RevisionRow).values(approval_id="made-up"))
    await ground.run("lost-bundles")
    assert "could not be built again" in await _message(ground)
    assert (await _statement(ground)).digest == before.digest
    assert await _predicts(ground, name) == 503


async def test_two_workers_build_it_once(ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, bundle, kept = await _lost(ground, tmp_path)
    asked: list[str] = []
    build = _builder(monkeypatch, kept, bundle)

    async def second(*arguments: Any) -> Built:
        asked.append("first")
        await lost_bundles.build_again(ground.services)
        return await obtain(*arguments)

    obtain = lost_bundles.obtain
    monkeypatch.setattr(lost_bundles, "obtain", second)
    await ground.run("lost-bundles")
    assert (asked, len(build)) == (["first"], 1)
