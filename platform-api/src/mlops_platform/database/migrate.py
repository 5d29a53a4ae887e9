"""Schema migrations: run by `mlops up` and `mlops database upgrade`, written by `mlops database revision`."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, create_engine

_FOLDER = Path(__file__).parent / "migrations"


def _config(url: str, metadata: MetaData | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("file_template", "%%(year)d-%%(month).2d-%%(day).2d-%%(hour).2d%%(minute).2d_%%(slug)s")
    config.attributes["url"] = url
    config.attributes["metadata"] = metadata
    return config


def upgrade(url: str) -> None:
    """Bring the schema to the newest version. Safe to run twice and from several processes at once (advisory lock)."""
    command.upgrade(_config(url), "head")


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
