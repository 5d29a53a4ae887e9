"""MLflow's tables on a real PostgreSQL: made, made again, waited for."""

import importlib.util
from types import ModuleType

import pytest
from sqlalchemy import create_engine, inspect, text

from mlops_platform.local.postgres import EmbeddedPostgres

from .manifests import ROOT


@pytest.fixture(scope="module")
def tracking() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "tracking_database", ROOT / "kubernetes" / "mlflow" / "tracking_database.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_servers_wait_until_the_migration_has_run(tracking: ModuleType, postgres: EmbeddedPostgres) -> None:
    postgres.ensure_database("tracking")
    engine = create_engine(postgres.url("tracking"))
    assert not tracking.wait(engine, seconds=0.01, sleep=lambda _: None)
    tracking.migrate(engine)
    assert inspect(engine).has_table("experiments")
    assert tracking.wait(engine, seconds=5)
    tracking.migrate(engine)
    assert tracking.is_current(engine)
    # tables of another version are not these
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '451aebb31d03'"))
    assert not tracking.is_current(engine)
    engine.dispose()


def test_an_unknown_command_is_refused(tracking: ModuleType) -> None:
    assert tracking.main(["drop"]) == 2
