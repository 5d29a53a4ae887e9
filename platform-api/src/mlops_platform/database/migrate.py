"""Schema migrations: run by `mlops up` and `mlops database upgrade`, written by `mlops database revision`."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, create_engine

_FOLDER = Path(__file__).parent / "migrations"


def _config(url: str, metadata: MetaData | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("file_template", "%%(year)d-%%(month).2d-%%(day).2d-%%(hour).2d%%(minute).2d_%%(slug)s")
    config.attributes["url"] = url
    config.attributes["metadata"] = metadata
    return config


class SchemaTooNew(Exception):
    """The database was migrated by a newer program than this one; the sentence says what to do."""


def upgrade(url: str) -> None:
    """Bring the schema to the newest version. Safe to run twice and from several processes at once (advisory lock).

    Raises SchemaTooNew, and then changes nothing.
    """
    refuse_newer(current(url))
    command.upgrade(_config(url), "head")


def back(url: str) -> tuple[str, str]:
    """Take the schema back by one version, for the program of before; return the version of before and the one of now.

    What only the newer version keeps is gone. Raises SchemaTooNew; raises LookupError at the first version.
    """
    found = current(url)
    refuse_newer(found)
    if found is None or _earlier(found) is None:
        raise LookupError("the schema is at its first version")
    command.downgrade(_config(url), "-1")
    return found, current(url) or ""


def current(url: str) -> str | None:
    """Return the version of the schema in a database, None for an empty one."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()


def refuse_newer(version: str | None) -> None:
    """Raise SchemaTooNew for a version of the schema that this program does not know."""
    if version and version not in versions():
        raise SchemaTooNew(
            f"the schema has the version {version}, which this program does not know: it was written by a newer one. Start the "
            f"newer program, take the schema back with it (`mlops upgrade --back`), or restore a backup from before"
        )


def versions() -> list[str]:
    """Return every version that this program knows, oldest first."""
    script = ScriptDirectory.from_config(_config(""))
    return [one.revision for one in reversed(list(script.walk_revisions()))]


def _earlier(version: str) -> str | None:
    known = versions()
    position = known.index(version)
    return known[position - 1] if position else None


def revision(url: str, name: str, metadata: MetaData) -> Path | None:
    """Write a migration that makes the database at `url` (which is at head) equal to the tables; return its file."""
    script = command.revision(_config(url, metadata), message=name, autogenerate=True)
    return Path(script.path) if script and not isinstance(script, list) else None


def differences(url: str, metadata: MetaData) -> list[object]:
    """Return what a new migration would have to do: empty when migrations and tables agree."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            return list(compare_metadata(context, metadata))
    finally:
        engine.dispose()
