"""One segment file: JSON lines as they were appended, read as rows of the table or looked through for one answer."""

from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from mlops_platform.adapters.delta.table import ENGINE
from mlops_platform.predictions.interfaces import Made

log = structlog.get_logger(__name__)

SCHEMA = pa.schema(
    [
        ("prediction_id", pa.string()),
        ("row", pa.int32()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("model", pa.string()),
        ("version", pa.int64()),
        ("revision", pa.string()),
        ("environment", pa.string()),
        ("tenant", pa.string()),
        ("entity", pa.string()),
        ("inputs", pa.string()),
        ("prediction", pa.string()),
        ("seconds", pa.float64()),
        ("segment", pa.string()),
        ("date", pa.string()),
    ]
)


# read by an engine and not in Python: a row costs 4 us and not 40, on the machine that answers the next request
_READ = """
SELECT id AS prediction_id, (number - 1)::INTEGER AS "row", make_timestamp(("at" * 1000000)::BIGINT) AS "at", model, version, revision, environment,
  tenant, entities[number] AS entity, inputs[number]::VARCHAR AS inputs, predictions[number]::VARCHAR AS prediction, seconds,
  $segment AS segment, strftime(make_timestamp(("at" * 1000000)::BIGINT), '%Y-%m-%d') AS date
FROM (
  SELECT *, unnest(range(1, len(inputs) + 1)) AS number
  FROM read_json($path, format = 'newline_delimited', ignore_errors = true, maximum_object_size = 128000000, columns = {
    'id': 'VARCHAR', 'at': 'DOUBLE', 'model': 'VARCHAR', 'version': 'BIGINT', 'revision': 'VARCHAR', 'environment': 'VARCHAR',
    'tenant': 'VARCHAR', 'inputs': 'JSON[]', 'predictions': 'JSON[]', 'entities': 'VARCHAR[]', 'seconds': 'DOUBLE'})
)
WHERE id IS NOT NULL AND len(predictions) = len(inputs)
"""


def read(path: Path, segment: str) -> pa.Table:
    """Return a segment's rows, one per predicted row.

    Left out, and said: lines torn by a kill or a full disk, and lines with other answers than rows, which no process of
    this version writes.
    """
    # by who moves predictions, once there are any
    import duckdb

    with duckdb.connect(config=ENGINE) as connection:
        found = connection.sql(_READ, params={"path": str(path), "segment": segment}).to_arrow_table()
    # the answer of a torn line was never sent, or was counted as dropped
    torn = len(lines_of(path)) - pc.sum(pc.equal(found["row"], 0)).as_py() if found.num_rows else len(lines_of(path))
    if torn:
        log.warning("lines of a segment left out", segment=segment, lines=torn)
    return found.cast(SCHEMA)


def lines_of(path: Path) -> list[bytes]:
    """Return a segment's lines; a torn one is among them."""
    # not splitlines(): a record may hold a carriage return of its caller's layout
    return [line for line in path.read_bytes().split(b"\n") if line]


def made_by(line: bytes, prediction_id: str) -> Made | None:
    """Return whose answer a line is when it has this id, else None."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        # torn by a kill or a full disk: its answer was never sent
        return None
    if record.get("id") != prediction_id:
        return None
    return Made(record["model"], record["version"], record["environment"])


def count_of(line: bytes) -> int:
    """Return how many rows a line answers; a torn one none."""
    try:
        return len(orjson.loads(line)["predictions"])
    except orjson.JSONDecodeError:
        return 0
