"""`mlops deploy` and `mlops deployments`."""

from typing import Annotated, Any, Literal

import typer

from mlops_platform.cli.api import call, pages
from mlops_platform.cli.inputs import read_pairs
from mlops_platform.cli.output import Json, Limit, say, show, show_fields, show_json, show_table, wants_json

app = typer.Typer(no_args_is_help=True, help="What is deployed, and its rollouts.")
Deployment = Annotated[str, typer.Argument(help="Deployment id (see `mlops deployments list`).")]
Reason = Annotated[str | None, typer.Option(help="Reason; kept in the audit log.")]


def deploy(
    name: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[str, typer.Argument(help="A version number, or 'latest'.")],
    justification: Annotated[str, typer.Option(help="Justification; approvers and auditors read it.")],
    to: Annotated[Literal["staging", "production"], typer.Option(help="Target environment.")] = "staging",
    replicas: Annotated[int, typer.Option(min=1, max=100, help="Model servers (KServe runtime only).")] = 3,
    env: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for the model server; repeatable.")] = None,
    _json: Json = False,
) -> None:
    """Request a deployment. If the policy requires approvals, it waits for them and continues automatically after the last one."""
    body = {
        "model_name": name,
        "model_version": version,
        "target_stage": to,
        "replicas": replicas,
        "justification": justification,
        "environment_vars": read_pairs(env or [], "--env"),
    }
    answer = call("POST", "/api/v1/models/deploy", body=body)
    if wants_json():
        show_json(answer)
        return
    say(str(answer.get("message") or answer["status"]))
    if answer.get("approval_id"):
        say(
            f"  status      {answer['status']}\n  approval    {answer['approval_id']}\n  deployment  {answer.get('deployment_id')}"
        )
        say(f"  next: mlops approvals show {answer['approval_id']}")
    else:
        say(
            f"  deployment  {answer.get('deployment_id')}\n  next: mlops deployments show {answer.get('deployment_id')}"
        )


@app.command("list")
def list_deployments(
    model: Annotated[str | None, typer.Option(help="Only of this model.")] = None,
    environment: Annotated[str | None, typer.Option(help="staging or production.")] = None,
    limit: Limit = 50,
    _json: Json = False,
) -> None:
    """List deployments: desired and observed state."""
    answer = pages("/api/v1/deployments", {"model_name": model, "environment": environment}, limit)
    columns = ("id", "model_name", "environment", "version", "state", "traffic", "updated_at")
    show_table(answer["items"], columns, "nothing is deployed: mlops deploy NAME VERSION --to staging", answer)


@app.command("show")
def show_deployment(deployment: Deployment, _json: Json = False) -> None:
    """Show one deployment with its revisions and history."""
    answer = call("GET", f"/api/v1/deployments/{deployment}")
    if wants_json():
        show_json(answer)
        return
    show_fields({name: value for name, value in answer.items() if not isinstance(value, list)})
    for name in ("revisions", "history"):
        rows: list[Any] = answer.get(name) or []
        if rows:
            say(f"\n{name}")
            show_table(rows, [column for column in rows[0] if not isinstance(rows[0][column], dict | list)], "")


def _operate(deployment: str, operation: str, reason: str | None) -> None:
    answer = call("POST", f"/api/v1/deployments/{deployment}/{operation}", body={"reason": reason} if reason else {})
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
def rollback(deployment: Deployment, reason: Reason = None, _json: Json = False) -> None:
    """Return all traffic to the previous revision."""
    _operate(deployment, "rollback", reason)


@app.command()
def undeploy(deployment: Deployment, reason: Reason = None, _json: Json = False) -> None:
    """Stop serving this deployment; its history stays."""
    _operate(deployment, "undeploy", reason)
