"""The rows an explanation compares with: a training sample logged with the model, at most 100 rows."""

import json
import random
from pathlib import Path
from typing import Any

from model_server.bundle import InputColumn
from model_server.contract.decoder import Decoder
from model_server.contract.problems import BadInput
from model_server.formats.artifact import Artifact

# SHAP's cost grows with the rows of the background; beyond a hundred the attributions hardly move.
MAX_ROWS = 100
_SEED = 20_261_123

Rows = list[list[Any]]


def find_rows(artifact: Artifact, inputs: tuple[InputColumn, ...]) -> tuple[Rows, str] | None:
    """Return sample rows in the model's order and their source, or None when nothing usable was logged.

    Looks for background.json, .csv or .parquet beside the model, then for MLflow's input example with two rows or more.
    Rows that do not fit the inputs are left out: a background must be something the model could have seen.
    """
    for name in ("background.json", "background.csv", "background.parquet"):
        path = artifact.root / name
        if path.is_file() and (rows := _usable(_read(path), inputs)):
            return _sampled(rows), name
    if artifact.example_file and (rows := _usable(_read(artifact.example_file), inputs)):
        return rows[:MAX_ROWS], "input_example"
    return None


def example_of(artifact: Artifact) -> tuple[list[str], Rows] | None:
    """Return the columns and rows of MLflow's input example as it was logged; None when there is none, or no table."""
    return _read(artifact.example_file) if artifact.example_file else None


def read_background(content: bytes | None, name: str, inputs: tuple[InputColumn, ...]) -> tuple[Rows, str] | None:
    """Return the rows in a bundle's JSON file and their source; None when fewer than two rows fit, or there is no file."""
    try:
        table = json.loads(content or b"null")
    except ValueError:
        return None
    rows = _usable(_table_of(table), inputs)
    if len(rows) < 2:  # noqa: PLR2004 - one row cannot be a background: it may be the row itself
        return None
    source = table.get("source") if isinstance(table, dict) else None
    return _sampled(rows), str(source or name.removesuffix(".json").replace("-", "_"))


def sent_background(content: Any, inputs: tuple[InputColumn, ...]) -> Rows:
    """Return the rows of a background that came with a request, those that fit. Raises BadInput."""
    found = _table_of(content)
    if found is None or len(found[1]) > MAX_ROWS or not all(isinstance(name, str) for name in found[0]):
        raise BadInput(f"'background' must be a table {{columns, rows}} of at most {MAX_ROWS} rows")
    return _usable(found, inputs)


def _usable(found: tuple[list[str], Rows] | None, inputs: tuple[InputColumn, ...]) -> Rows:
    if found is None:
        return []
    columns, rows = found
    names = columns or [column.name for column in inputs]
    fitting: Rows = []
    decoder = Decoder(inputs)
    for row in rows:
        try:
            checked = decoder.lists(names, [[None if value != value else value for value in row]])  # noqa: PLR0124 - NaN
            fitting += map(list, checked)
        except BadInput:
            continue
    return fitting


def _sampled(rows: Rows) -> Rows:
    if len(rows) <= MAX_ROWS:
        return rows
    return random.Random(_SEED).sample(rows, MAX_ROWS)  # noqa: S311 - a repeatable sample, not a secret


def _read(path: Path) -> tuple[list[str], Rows] | None:
    """Read a table; None when the file is none. Column names are empty when the file gives none."""
    if path.suffix != ".json":
        return _read_frame(path)
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError:
        return None
    return _table_of(content)


def _table_of(content: Any) -> tuple[list[str], Rows] | None:
    if isinstance(content, dict) and "inputs" in content:
        content = content["inputs"]
    if isinstance(content, dict):
        rows: Any = content.get("data", content.get("rows"))
        columns = content.get("columns", [])
        if not isinstance(columns, list) or not all(isinstance(name, str | int) for name in columns):
            return None
        return ([str(name) for name in columns], rows) if _is_table(rows) else None
    if isinstance(content, list) and content and all(isinstance(row, dict) for row in content):
        columns = list(content[0])
        return columns, [[row.get(name) for name in columns] for row in content]
    if isinstance(content, list) and not any(isinstance(value, list | dict) for value in content):
        # one value a row, as text models are logged
        content = [[value] for value in content]
    return ([], content) if _is_table(content) else None


def _is_table(rows: Any) -> bool:
    return isinstance(rows, list) and all(isinstance(row, list) for row in rows)


def _read_frame(path: Path) -> tuple[list[str], Rows] | None:
    import pandas as pd

    try:
        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (ValueError, OSError, ImportError):
        return None
    frame.columns = [str(name) for name in frame.columns]
    plain = frame.astype(object).where(frame.notna(), None)
    return list(plain.columns), json.loads(plain.to_json(orient="values", double_precision=15))
