"""Which event stays in an online store. The event time decides; of equal times, the row that was written last.

An event time without a zone is UTC, as Feast reads it. Whole rows are compared: all features of a view that came with one
event stay together. A row of an older event is not an error; it is left out, so that repeating a write is always safe.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from mlops_platform.adapters.feast.names import EntityKey, Value

# entity, values by feature, event time, time of creation: as Feast hands rows to an online store
Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]


def in_utc(moment: datetime) -> datetime:
    """Return an event time in UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def microseconds(moment: datetime) -> int:
    """Return an event time as whole microseconds since 1970: exact, where seconds as a float are not."""
    since = in_utc(moment) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def newest_of_each(rows: Sequence[Row]) -> list[Row]:
    """Return one row per entity: that of its newest event; of equal event times the last in the list."""
    found: dict[bytes, Row] = {}
    for row in rows:
        entity = row[0].SerializeToString(deterministic=True)
        rival = found.get(entity)
        if rival is None or in_utc(rival[2]) <= in_utc(row[2]):
            found[entity] = row
    return list(found.values())
