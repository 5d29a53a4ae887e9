"""A home of an earlier version comes up with this one, at another place, with everything that people and the log said."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, text

from mlops_platform.audit.verify import verify
from mlops_platform.bootstrap import build_database
from mlops_platform.database import migrate
from mlops_platform.local.postgres import EmbeddedPostgres
from mlops_platform.settings import Settings
from mlops_platform.tables import METADATA

from ..running.platform import Platform
from ..support.ports import free_port
from ..support.waiting import eventually
from .homes import COMMITS, load, unpack

# what the program of that time answered to the row of `Platform.predict`
ANSWER = 0.9161398217094742


def _rows(url: str) -> list[Any]:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            asked = "SELECT d.model_name, r.version, r.state, r.digest FROM revisions r JOIN deployments d ON d.id = r.deployment_id"
            return list(connection.execute(text(asked)).all())
    finally:
        engine.dispose()


@pytest.mark.parametrize("commit", COMMITS)
async def test_its_schema_comes_forward_goes_back_by_one_and_nothing_is_lost(
    commit: str, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    home = unpack(commit, tmp_path / "home")
    name = f"old_{commit}"
    load(home, postgres, "mlops", name)
    url = postgres.url(name)
    before = _rows(url)
    assert [row.state for row in before] == ["live"]
    for step in (migrate.upgrade, migrate.back, migrate.upgrade):
        step(url)
        assert _rows(url) == before
    assert migrate.differences(url, METADATA) == []
    database = build_database(Settings(home=home.folder, database_url=SecretStr(url)))
    async with database.read_session() as session:
        found = await verify(session)
    await database.dispose()
    assert found.intact, found.problems
    assert found.events > 0


def _deploy_with_agreement(platform: Platform) -> str:
    """Return the deployment's id. Ask for the version again; since its time people have to agree to a risk level that is only a tag."""
    body = {"model_name": "old", "model_version": "1", "target_stage": "staging", "justification": "upgraded"}
    asked = platform.ask("POST", "/api/v1/models/deploy", "ana@company.com", "data-scientist", json=body)
    assert asked.is_success, asked.text
    deployment = str(asked.json()["deployment_id"])
    if (approval := asked.json()["approval_id"]) is None:
        return deployment
    for person, role in (("sam@company.com", "senior-data-scientist"), ("max@company.com", "manager")):
        decision = {"decision": "approve", "comment": "looked at"}
        path = f"/api/v1/approvals/{approval}/decisions"
        answer = platform.ask("POST", path, person, role, json=decision)
        assert answer.is_success, answer.text
    return deployment


def _live(platform: Platform, deployment: str) -> bool:
    asked = platform.ask("GET", f"/api/v1/deployments/{deployment}", "ana@company.com", "data-scientist")
    # newest first: the one of that time stays until the new one has taken its place
    return asked.is_success and asked.json()["revisions"][0]["state"] == "live"


@pytest.mark.whole("starts a platform on the home of an earlier version, twice for each: four minutes")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("commit", COMMITS)
def test_its_model_answers_by_grace_and_after_it_was_deployed_again(
    commit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = unpack(commit, tmp_path / "elsewhere")
    home.create()
    server = EmbeddedPostgres(home.folder / "postgres", free_port())
    server.start()
    for name in ("mlops", "mlflow"):
        load(home, server, name, name)
    server.stop()
    platform = Platform(home.folder)
    program = str(Path(sys.executable).with_name("mlops"))
    upgraded = subprocess.run(
        [program, "upgrade", "--home", str(home.folder)], check=True, capture_output=True, text=True
    )
    assert "the schema went from" in upgraded.stdout
    monkeypatch.setenv("MLOPS_STATEMENT_GRACE_UNTIL", "2099-12-31")
    platform.up()
    try:
        eventually(lambda: platform.predict("old").is_success, 120)
        assert platform.predict("old").json()["prediction"] == [ANSWER]
    finally:
        platform.mlops("down")
    monkeypatch.delenv("MLOPS_STATEMENT_GRACE_UNTIL")
    platform.up()
    try:
        assert not platform.predict("old").is_success, "nothing is served without a statement of approval"
        deployment = _deploy_with_agreement(platform)
        # before that, one API process may know of it and another not yet
        eventually(lambda: _live(platform, deployment), 180)
        for _ in range(20):
            assert platform.predict("old").json()["prediction"] == [ANSWER]
    finally:
        platform.mlops("down")
        os.environ.pop("MLOPS_HOME", None)
