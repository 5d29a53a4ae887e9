"""`mlops predict`."""

from typing import Annotated, Any

import typer

from mlops_platform.cli.api import call
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.inputs import read_json
from mlops_platform.cli.output import Json, show_fields


def predict(
    name: Annotated[str, typer.Argument(help="The model.")],
    input_data: Annotated[
        str | None, typer.Option("--input", help="JSON of one row or columns, @file, or @- for stdin.")
    ] = None,
    version: Annotated[str, typer.Option(help="A version number, or 'latest' live one.")] = "latest",
    entity: Annotated[
        list[str] | None, typer.Option(help="Entity id; features come from the feature store; repeatable.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Add SHAP attributions.")] = False,
    _json: Json = False,
) -> None:
    """Get a prediction of a live model, from --input or from the stored features of --entity."""
    if (input_data is None) == (not entity):
        raise CommandFailed(Exit.USAGE, "give either --input or --entity", "mlops predict NAME --input '{\"x\": 1}'")
    body: dict[str, Any] = {"model_name": name, "model_version": version, "return_explanations": explain}
    if input_data is not None:
        body["input_data"] = read_json(input_data, "--input")
    else:
        body["entity_ids"] = entity
    show_fields(call("POST", "/api/v1/predict", body=body))
