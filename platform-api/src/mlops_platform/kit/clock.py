"""The one source of time: aware UTC, so that no naive timestamp can enter a table or an answer."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)
