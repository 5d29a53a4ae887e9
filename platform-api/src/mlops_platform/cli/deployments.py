"""`mlops deploy` and `mlops deployments`."""

from typing import Annotated, Any, Literal

import typer

from mlops_platform.cli.api import call, pages
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.inputs import read_pairs
from mlops_platform.cli.names import deployment_id
from mlops_platform.cli.output import Json, Limit, say, show, show_fields, show_json, show_table, wants_json
from mlops_platform.cli.waiting import wait_for

app = typer.Typer(no_args_is_help=True, help="What is deployed, and its rollouts.")
Deployment = Annotated[
    str, typer.Argument(help="MODEL/staging, MODEL/production, or a deployment's id or its beginning.")
]
Reason = Annotated[str | None, typer.Option(help="Reason; kept in the audit log.")]
NeededReason = Annotated[str, typer.Option("--reason", help="Reason; kept in the audit log.")]


def deploy(
    name: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[str, typer.Argument(help="A version number, or 'latest'.")],
    justification: Annotated[str, typer.Option(help="Justification; approvers and auditors read it.")],
    to: Annotated[Literal["staging", "production"], typer.Option(help="Target environment.")] = "staging",
    replicas: Annotated[int, typer.Option(min=1, max=100, help="Model servers (KServe runtime only).")] = 3,
    env: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for the model server; repeatable.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until the version is built or refused.")] = True,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait. Exits 5 after that.")] = 900,
    _json: Json = False,
) -> None:
    """Request a deployment and wait until the version is built. It continues automatically after the last required approval.

    Exits 1 with the reason if the version is refused, and 5 after --timeout. The request stays open in both cases.
    """
    body = {
        "model_name": name,
        "model_version": version,
        "target_stage": to,
        "replicas": replicas,
        "justification": justification,
        "environment_vars": read_pairs(env or [], "--env"),
    }
    answer = call("POST", "/api/v1/models/deploy", body=body)
    if not wants_json():
        say(str(answer.get("message") or answer["status"]))
    revision = _until_built(answer, timeout) if wait else None
    if wants_json():
        show_json({**answer, "revision_state": revision} if revision else answer)
        return
    if revision:
        say(f"  built       {revision['engine']} engine, digest {revision['digest']}")
    if answer.get("approval_id"):
        say(
            f"  status      {answer['status']}\n  approval    {answer['approval_id']}\n  deployment  {answer.get('deployment_id')}"
        )
        say(f"  next: mlops approvals show {answer['approval_id']}")
    else:
        say(
            f"  deployment  {answer.get('deployment_id')}\n  next: mlops deployments show {answer.get('deployment_id')}"
        )


def _until_built(answer: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Return the revision once it is built. Raises CommandFailed with the reason when it is refused."""
    deployment, number = answer["deployment_id"], answer["revision"]

    def look() -> dict[str, Any]:
        revisions = call("GET", f"/api/v1/deployments/{deployment}")["revisions"]
        found: dict[str, Any] = next(one for one in revisions if one["number"] == number)
        return found

    def settled(revision: dict[str, Any]) -> bool:
        return revision["build"] != "pending" or revision["state"] not in {"awaiting_approval", "approved"}

    def waiting(revision: dict[str, Any]) -> str:
        return f"the build of version {revision['version']}" + (
            f" ({revision['reason']})" if revision["reason"] else ""
        )

    todo = f"mlops deployments show {deployment}"
    revision = wait_for(look, settled, timeout, waiting, todo)
    if revision["build"] == "refused" or revision["state"] in {"failed", "rejected", "expired", "withdrawn"}:
        state = revision["state"].replace("_", " ")
        raise CommandFailed(Exit.PROBLEM, f"version {revision['version']} is {state}: {revision['reason']}", todo)
    return revision


@app.command("list")
def list_deployments(
    model: Annotated[str | None, typer.Option(help="Only of this model.")] = None,
    environment: Annotated[
        Literal["staging", "production"] | None, typer.Option(help="Only in this environment.")
    ] = None,
    limit: Limit = 50,
    _json: Json = False,
) -> None:
    """List deployments: desired and observed state."""
    answer = pages("/api/v1/deployments", {"model_name": model, "environment": environment}, limit)
    columns = ("id", "model_name", "environment", "headline", "updated_at")
    show_table(answer["items"], columns, "nothing is deployed: mlops deploy NAME VERSION --to staging", answer)


@app.command("show")
def show_deployment(deployment: Deployment, _json: Json = False) -> None:
    """Show one deployment with its revisions and history."""
    answer = call("GET", f"/api/v1/deployments/{deployment_id(deployment)}")
    show_fields(answer)


def _operate(deployment: str, operation: str, reason: str | None) -> None:
    path = f"/api/v1/deployments/{deployment_id(deployment)}/{operation}"
    answer = call("POST", path, body={"reason": reason} if reason else {})
    state = answer.get("state") or answer.get("status") or "done" if isinstance(answer, dict) else "done"
    show(answer, f"{operation}: {state}\n  next: mlops deployments show {deployment}")


@app.command()
def promote(deployment: Deployment, reason: Reason = None, _json: Json = False) -> None:
    """Give all traffic to the revision that is rolling out, now."""
    _operate(deployment, "promote", reason)


@app.command()
def pause(deployment: Deployment, reason: Reason = None, _json: Json = False) -> None:
    """Pause the rollout at its current traffic share."""
    _operate(deployment, "pause", reason)


@app.command()
def resume(deployment: Deployment, reason: Reason = None, _json: Json = False) -> None:
    """Continue a paused rollout."""
    _operate(deployment, "resume", reason)


@app.command()
def rollback(deployment: Deployment, reason: NeededReason, _json: Json = False) -> None:
    """Return all traffic to the previous revision."""
    _operate(deployment, "rollback", reason)


@app.command()
def undeploy(deployment: Deployment, reason: NeededReason, _json: Json = False) -> None:
    """Stop serving this deployment; its history stays."""
    _operate(deployment, "undeploy", reason)
