"""Migrations and tables agree: what `mlops database upgrade` builds is what the code expects."""

from mlops_platform.database import migrate
from mlops_platform.local.postgres import EmbeddedPostgres
from mlops_platform.tables import METADATA


def test_migrating_an_empty_database_gives_exactly_the_tables(postgres: EmbeddedPostgres) -> None:
    postgres.ensure_database("migrations")
    url = postgres.url("migrations")
    migrate.upgrade(url)
    assert migrate.differences(url, METADATA) == [], "run `make migration NAME=what_changed`"
    migrate.upgrade(url)
