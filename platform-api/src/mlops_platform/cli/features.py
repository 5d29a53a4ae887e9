"""`mlops features`."""

from datetime import datetime
from typing import Annotated, Any

import typer

from mlops_platform.cli.api import call
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.inputs import read_json
from mlops_platform.cli.output import Json, show, show_json, show_table, wants_json

app = typer.Typer(no_args_is_help=True, help="The feature store.")


@app.command()
def retrieve(
    entity: Annotated[list[str], typer.Option(help="Entity id; several times.")],
    feature: Annotated[list[str], typer.Option(help="view:feature; several times.")],
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
    source: Annotated[str, typer.Argument(help="The push source.")],
    rows: Annotated[str, typer.Option("--rows", help="JSON list of rows, @file, or @- for stdin.")],
    _json: Json = False,
) -> None:
    """Write fresh feature rows to the online and offline store."""
    value = read_json(rows, "--rows")
    if not isinstance(value, list):
        raise CommandFailed(Exit.USAGE, "--rows takes a JSON list of objects")
    answer = call("POST", "/api/v1/features/push", body={"push_source": source, "rows": value})
    show(answer, f"pushed {len(value)} rows to {source}")


@app.command()
def materialize(
    view: Annotated[list[str] | None, typer.Option(help="Only these views; several times.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Begin (UTC); default: where the last run ended.")] = None,
    until: Annotated[datetime | None, typer.Option(help="End (UTC); default: now.")] = None,
    _json: Json = False,
) -> None:
    """Load offline feature values into the online store."""
    body = {"views": view, "start": _utc(since), "end": _utc(until)}
    answer = call("POST", "/api/v1/features/materialize", body={name: value for name, value in body.items() if value})
    if wants_json():
        show_json(answer)
    else:
        show(answer, str((answer or {}).get("message") or "materialized"))


def _utc(at: datetime | None) -> str | None:
    return at.isoformat() + "Z" if at else None
