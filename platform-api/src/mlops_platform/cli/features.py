"""`mlops features`."""

from datetime import datetime
from typing import Annotated, Any

import typer

from mlops_platform.cli.api import call
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.inputs import read_json
from mlops_platform.cli.output import Json, show, show_table

app = typer.Typer(no_args_is_help=True, help="The feature store.")


@app.command()
def retrieve(
    entity: Annotated[list[str], typer.Option(help="Entity id; repeatable.")],
    feature: Annotated[list[str], typer.Option(help="view:feature; repeatable.")],
    _json: Json = False,
) -> None:
    """Read the newest online values of features."""
    answer = call("POST", "/api/v1/features/retrieve", body={"entity_ids": entity, "feature_refs": feature})
    columns: dict[str, Any] = answer["features"]
    length = max((len(values) for values in columns.values() if isinstance(values, list)), default=0)
    rows = [
        {
            name: values[at] if isinstance(values, list) and at < len(values) else None
            for name, values in columns.items()
        }
        for at in range(length)
    ]
    show_table(rows, list(columns), "no values", answer)


@app.command()
def views(_json: Json = False) -> None:
    """List feature views, their entities and features."""
    answer = call("GET", "/api/v1/features/views")
    rows = answer.get("feature_views", answer.get("items", []))
    show_table(rows, ("name", "entities", "features", "ttl"), "no feature views", answer)


@app.command()
def entities(_json: Json = False) -> None:
    """List entities and their join keys."""
    answer = call("GET", "/api/v1/features/entities")
    rows = answer.get("entities", answer.get("items", []))
    show_table(rows, list(rows[0]) if rows else ("name",), "no entities", answer)


@app.command()
def push(
    view: Annotated[str, typer.Argument(help="The feature view (it needs a push source).")],
    rows: Annotated[
        str, typer.Option("--rows", help="JSON list of rows or object of columns, @file, or @- for stdin.")
    ],
    _json: Json = False,
) -> None:
    """Write fresh feature rows; they are served at once."""
    columns = _columns(read_json(rows, "--rows"))
    answer = call("POST", "/api/v1/features/push", body={"view": view, "rows": columns})
    show(answer, f"pushed {answer['rows']} rows to {view}")


@app.command()
def materialize(
    view: Annotated[list[str] | None, typer.Option(help="Only these views; repeatable.")] = None,
    until: Annotated[datetime | None, typer.Option(help="End (UTC); default: now.")] = None,
    _json: Json = False,
) -> None:
    """Copy feature values that are newer than the last run from the offline to the online store."""
    body = {"views": view, "until": f"{until.isoformat()}Z" if until else None}
    answer = call("POST", "/api/v1/features/materialize", body={name: value for name, value in body.items() if value})
    show(answer, f"materialized {', '.join(answer['views'])} until {answer['until']}")


def _columns(value: Any) -> dict[str, list[Any]]:
    if isinstance(value, dict) and all(isinstance(column, list) for column in value.values()):
        return value
    rows = value if isinstance(value, list) else None
    if rows and all(isinstance(row, dict) and row.keys() == rows[0].keys() for row in rows):
        return {name: [row[name] for row in rows] for name in rows[0]}
    raise CommandFailed(Exit.USAGE, "--rows takes a JSON list of objects with equal fields, or an object of lists")
