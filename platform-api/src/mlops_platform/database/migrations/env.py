"""Alembic's entry: one transaction, patient with locks, one migrator at a time."""

from alembic import context
from sqlalchemy import create_engine, pool, text

# any constant: processes that start together queue here instead of racing
_MIGRATION_LOCK = 7_246_093

engine = create_engine(context.config.attributes["url"], poolclass=pool.NullPool)
with engine.begin() as connection:
    connection.execute(text("SET lock_timeout = '4s'"))
    connection.execute(text("SET statement_timeout = '60s'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
    context.configure(connection=connection, target_metadata=context.config.attributes["metadata"], compare_type=True)
    context.run_migrations()
