"""Migrations and tables agree, forward and back: what `mlops database upgrade` builds is what the code expects."""

import ast
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from mlops_platform.database import migrate
from mlops_platform.local.postgres import EmbeddedPostgres
from mlops_platform.tables import METADATA

VERSIONS = Path(migrate.__file__).parent / "migrations" / "versions"
# released before the rule; both columns were read by nothing any more
BEFORE_THE_RULE = frozenset({"2026-11-23-1928_first_tables.py", "2026-11-25-2258_data_planes_and_routed_generation.py"})
# what a program of before stumbles over while a newer one has migrated the schema beside it
CONTRACTING = frozenset({"drop_column", "drop_table", "rename_table", "drop_constraint"})


def test_migrating_an_empty_database_gives_exactly_the_tables(postgres: EmbeddedPostgres) -> None:
    postgres.ensure_database("migrations")
    url = postgres.url("migrations")
    migrate.upgrade(url)
    assert migrate.differences(url, METADATA) == [], "run `make migration NAME=what_changed`"
    migrate.upgrade(url)


def test_every_version_goes_back_by_one_and_forward_again(postgres: EmbeddedPostgres) -> None:
    postgres.ensure_database("migrations_back")
    url = postgres.url("migrations_back")
    migrate.upgrade(url)
    known = migrate.versions()
    for expected in reversed(known[:-1]):
        assert migrate.back(url)[1] == expected
    with pytest.raises(LookupError, match="first version"):
        migrate.back(url)
    migrate.upgrade(url)
    assert migrate.current(url) == known[-1]
    assert migrate.differences(url, METADATA) == []


def test_a_schema_of_a_newer_program_is_refused_and_left_alone(postgres: EmbeddedPostgres) -> None:
    postgres.ensure_database("migrations_newer")
    url = postgres.url("migrations_newer")
    migrate.upgrade(url)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'fromthefuture'"))
    for change in (migrate.upgrade, migrate.back):
        with pytest.raises(migrate.SchemaTooNew, match="newer one"):
            change(url)
    assert migrate.current(url) == "fromthefuture"
    engine.dispose()


def _calls(path: Path, function: str) -> list[ast.Call]:
    (found,) = (
        node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef) and node.name == function
    )
    return [node for node in ast.walk(found) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


@pytest.mark.parametrize("path", sorted(VERSIONS.glob("*.py")), ids=lambda path: path.name)
def test_a_migration_expands_so_that_two_versions_run_side_by_side(path: Path) -> None:
    """Columns come with a default or empty, and nothing goes in the version that stops to use it (expand and contract)."""
    if path.name in BEFORE_THE_RULE:
        return
    for call in _calls(path, "upgrade"):
        assert _name(call) not in CONTRACTING, (
            f"{_name(call)}: first a version that does not use it, then one that drops it; docs/guides/operator.md#upgrading"
        )
        if _name(call) == "add_column":
            column = call.args[1]
            assert isinstance(column, ast.Call)
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in column.keywords}
            assert given.get("nullable", "True") == "True" or "server_default" in given, (
                "a program of before writes rows without this column: give it a server default or let it be empty"
            )


@pytest.mark.parametrize("path", sorted(VERSIONS.glob("*.py")), ids=lambda path: path.name)
def test_a_migration_has_a_way_back(path: Path) -> None:
    assert _calls(path, "downgrade"), "a downgrade that does nothing is none"
