"""`mlops models`."""

import json
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

import typer

from mlops_platform.cli.api import call, pages
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.inputs import read_pairs
from mlops_platform.cli.models_check import check
from mlops_platform.cli.output import Json, Limit, say, show, show_fields, show_json, show_table, wants_json
from mlops_platform.models.stages import Stage

app = typer.Typer(no_args_is_help=True, help="Registered models and their versions.")
app.command("check")(check)

Risk = Literal["low", "medium", "high"]


@app.command("list")
def list_models(
    search: Annotated[str | None, typer.Option(help="Words in the name or description.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only models of this owner.")] = None,
    risk: Annotated[Risk | None, typer.Option(help="Only models of this risk level.")] = None,
    stage: Annotated[Stage | None, typer.Option(help="Only models with a version in this lifecycle stage.")] = None,
    limit: Limit = 50,
    _json: Json = False,
) -> None:
    """List the models you may see."""
    wanted = {"search": search, "owner": owner, "risk_level": risk, "stage": stage}
    answer = pages("/api/v1/models", wanted, limit)
    columns = ("name", "tenant", "owner", "risk_level", "latest_version", "stage")
    show_table(answer["items"], columns, "no models yet: register one with MLflow or `mlops models register`", answer)


@app.command("show")
def show_model(name: Annotated[str, typer.Argument(help="The model.")], _json: Json = False) -> None:
    """Show a model, or one of its versions as NAME:VERSION, with checks, model card and lineage."""
    model, _, version = name.partition(":")
    path = f"/api/v1/models/{quote(model, safe='')}"
    show_fields(call("GET", f"{path}/versions/{quote(version, safe='')}" if version else path))


@app.command()
def libraries(
    name: Annotated[str, typer.Argument(help="NAME:VERSION.")],
    to: Annotated[
        Literal["staging", "production"], typer.Option(help="Whose live version it is compared with.")
    ] = "production",
    sbom: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write the bill of materials (CycloneDX 1.6, JSON) to this file."),
    ] = None,
    _json: Json = False,
) -> None:
    """Show the libraries a version is loaded in, what differs from the live version, and known vulnerabilities."""
    model, _, version = name.partition(":")
    path = f"/api/v1/models/{quote(model, safe='')}/versions/{quote(version or 'latest', safe='')}"
    found = call("GET", f"{path}/libraries", params={"environment": to})
    if sbom is not None:
        sbom.write_text(json.dumps(call("GET", f"{path}/sbom"), indent=2) + "\n")
    if wants_json():
        show_json(found)
        return
    say(found["sentence"])
    for change in found["changes"]:
        say(f"  {change['library']}: {change['before'] or 'not there'} -> {change['now'] or 'not there'}")
    if found["compared_with"] is not None and not found["changes"]:
        say(f"the same libraries as version {found['compared_with']}, which is live")
    for one in found["vulnerabilities"] or []:
        say(
            f"! {one['id']}: {one['library']} {one['version']}: {one['summary']} (fixed in: {one['fixed_in'] or 'not named'})"
        )
    if found["not_read"]:
        say(f"! {found['not_read']}")
    show_table(found["libraries"], ("name", "version", "licence"), "no library is recorded yet", found)


@app.command()
def versions(name: Annotated[str, typer.Argument(help="The model.")], limit: Limit = 50, _json: Json = False) -> None:
    """List the versions of a model, newest first."""
    answer = pages(f"/api/v1/models/{quote(name, safe='')}/versions", {}, limit, key="versions")
    columns = ("version", "stage", "status", "risk_level", "digest", "created_at")
    show_table(answer["versions"], columns, f"{name} has no versions", answer)


@app.command()
def register(
    name: Annotated[str, typer.Argument(help="The model's name.")],
    model_uri: Annotated[str, typer.Argument(help="Where MLflow has it: runs:/RUN_ID/model or models:/MODEL_ID.")],
    owner: Annotated[str, typer.Option(help="Email of the responsible person.")],
    risk: Annotated[
        Risk, typer.Option(help="How much harm a wrong answer does; a tag may only raise it later.")
    ] = "medium",
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    dataset: Annotated[str | None, typer.Option(help="URI of the training dataset (lineage).")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="NAME=VALUE; repeatable.")] = None,
    _json: Json = False,
) -> None:
    """Register a logged model as the next version of NAME."""
    body = {
        "metadata": {
            "name": name,
            "description": description,
            "risk_level": risk,
            "owner": owner,
            "tags": read_pairs(tag or [], "--tag"),
        },
        "model_uri": model_uri,
        "training_dataset_uri": dataset,
    }
    answer = call("POST", "/api/v1/models/register", body=body)
    version = answer.get("model_version", answer.get("version"))
    show(
        answer,
        f"registered {name} version {version}\n  next: mlops deploy {name} {version} --to staging --justification ...",
    )


@app.command()
def delete(
    name: Annotated[str, typer.Argument(help="NAME deletes the model, NAME:VERSION one version.")],
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation.")] = False,
    _json: Json = False,
) -> None:
    """Delete a model or one version. Fails while it is deployed."""
    model, _, version = name.partition(":")
    if not yes and not typer.confirm(f"Delete {name} for ever?"):
        raise CommandFailed(Exit.USAGE, "nothing was deleted", "repeat with --yes")
    path = f"/api/v1/models/{quote(model, safe='')}"
    answer = call("DELETE", f"{path}/versions/{quote(version, safe='')}" if version else path)
    show(answer, f"deleted {name}")
