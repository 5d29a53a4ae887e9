"""`mlops database`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlops_platform.cli.api import connection
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import HomeOption, Json, show
from mlops_platform.local.home import Home

if TYPE_CHECKING:
    from mlops_platform.local.postgres import EmbeddedPostgres

app = typer.Typer(no_args_is_help=True, help="The platform's database schema.")


@contextmanager
def reachable_database(home: Home) -> Iterator[str]:
    """Yield the URL of MLOPS_DATABASE_URL, else of this home's PostgreSQL, started for as long as the block lasts if needed."""
    if chosen := os.environ.get("MLOPS_DATABASE_URL"):
        yield chosen
        return
    with reachable_server(home) as server:
        yield server.url()


@contextmanager
def reachable_server(home: Home) -> Iterator["EmbeddedPostgres"]:
    """Yield this home's PostgreSQL as it runs, or started for as long as the block lasts. Raises CommandFailed."""
    from mlops_platform.local.ports import free_port
    from mlops_platform.local.postgres import EmbeddedPostgres, PostgresFailed

    refuse_unfinished(home)
    port_file = home.run / "postgres-port"
    folder = home.folder / "postgres"
    if not (folder / "initialised").exists():
        raise CommandFailed(
            Exit.UNREACHABLE,
            f"there is no database in {home.folder}",
            "set MLOPS_DATABASE_URL, or start once with `mlops up`",
        )
    running = EmbeddedPostgres(folder, int(port_file.read_text()) if port_file.exists() else free_port())
    if running.answers():
        yield running
        return
    server = EmbeddedPostgres(folder, free_port())
    # held, so that a platform cannot start on the same data meanwhile
    with home.locked():
        try:
            server.start()
        except PostgresFailed as failure:
            raise CommandFailed(Exit.UNREACHABLE, str(failure), "see `mlops doctor`") from failure
        try:
            yield server
        finally:
            server.stop()


def refuse_unfinished(home: Home) -> None:
    """Raise CommandFailed when a restore into this home was not finished."""
    if home.restoring.exists():
        raise CommandFailed(
            Exit.PROBLEM,
            f"a restore into {home.folder} was not finished",
            "give the same `mlops restore` again: it goes on with what is there",
        )


@app.command()
def upgrade(home: HomeOption = None, _json: Json = False) -> None:
    """Bring the schema to the newest version. Safe to repeat."""
    bring_to_newest(Home.at(home or connection.home))
    show({"upgraded": True}, "the schema is at the newest version")


def bring_to_newest(home: Home) -> tuple[str | None, str | None]:
    """Migrate the schema; return its version before and after. Raises CommandFailed when a newer program wrote it."""
    from mlops_platform.database import migrate

    with reachable_database(home) as url:
        before = migrate.current(url)
        try:
            migrate.upgrade(url)
        except migrate.SchemaTooNew as newer:
            raise CommandFailed(Exit.PROBLEM, str(newer)) from newer
        return before, migrate.current(url)


@app.command()
def revision(
    name: Annotated[str, typer.Argument(help="What changes, as in add_risk_tier.")], _json: Json = False
) -> None:
    """Write a migration for changed tables (for developers of the platform)."""
    import tempfile

    from mlops_platform.database import migrate
    from mlops_platform.local.ports import free_port
    from mlops_platform.local.postgres import EmbeddedPostgres
    from mlops_platform.tables import METADATA

    # a database of its own: what a developer's home holds must not leak into a migration
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres", free_port(), fsync=False)
        server.start()
        try:
            migrate.upgrade(server.url())
            file = migrate.revision(server.url(), name, METADATA)
        finally:
            server.stop()
    show({"file": str(file) if file else None}, f"wrote {file}; read it before you commit it")
