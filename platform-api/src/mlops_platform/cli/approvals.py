"""`mlops approvals`."""

from typing import Annotated

import typer

from mlops_platform.cli.api import call, pages
from mlops_platform.cli.output import Json, Limit, show, show_fields, show_table

app = typer.Typer(no_args_is_help=True, help="Approval requests and decisions.")
Approval = Annotated[str, typer.Argument(help="Approval id.")]
Comment = Annotated[str, typer.Option(help="Comment; kept with the decision and in the audit log.")]


@app.command("list")
def list_approvals(
    mine: Annotated[bool, typer.Option("--mine", help="Only requests you can approve now.")] = False,
    status: Annotated[
        str | None, typer.Option(help="pending, approved, rejected, expired, withdrawn or revoked.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Only for this model.")] = None,
    limit: Limit = 50,
    _json: Json = False,
) -> None:
    """List approval requests you may see."""
    wanted = {"mine": "true" if mine else None, "status": status, "model_name": model}
    answer = pages("/api/v1/approvals", wanted, limit)
    columns = (
        "id",
        "status",
        "model_name",
        "model_version",
        "transition",
        "risk_level",
        "requester",
        "missing",
        "due_at",
    )
    show_table(answer["items"], columns, "no approval requests", answer)


@app.command("show")
def show_approval(approval: Approval, _json: Json = False) -> None:
    """Show one request: the exact version (digest), the roles it needs, and the decisions so far."""
    show_fields(call("GET", f"/api/v1/approvals/{approval}"))


def _decide(approval: str, decision: str, comment: str) -> None:
    answer = call("POST", f"/api/v1/approvals/{approval}/decisions", body={"decision": decision, "comment": comment})
    show(
        answer,
        f"recorded; the request is now {answer.get('status', 'decided')}\n  next: mlops approvals show {approval}",
    )


@app.command()
def approve(approval: Approval, comment: Comment = "", _json: Json = False) -> None:
    """Approve a request. The deployment continues automatically after the last required approval."""
    _decide(approval, "approve", comment)


@app.command()
def reject(
    approval: Approval,
    comment: Annotated[str, typer.Option(help="Reason; the requester reads it.")],
    _json: Json = False,
) -> None:
    """Reject a request. This closes it. The requester reads your comment."""
    _decide(approval, "reject", comment)


@app.command()
def withdraw(
    approval: Approval,
    reason: Annotated[str, typer.Option(help="Reason; kept in the audit log.")] = "",
    _json: Json = False,
) -> None:
    """Withdraw your own request. The version that is live stays live."""
    answer = call("POST", f"/api/v1/approvals/{approval}/withdraw", body={"reason": reason})
    show(answer, "withdrawn; nobody has to decide any more")


@app.command()
def revoke(
    approval: Approval,
    reason: Annotated[str, typer.Option(help="Reason; people who must review read it.")],
    _json: Json = False,
) -> None:
    """Withdraw an approval that was given. What runs on it is due for review, and drained after the policy's grace."""
    answer = call("POST", f"/api/v1/approvals/{approval}/revoke", body={"reason": reason})
    show(answer, "revoked; what runs on it must be reviewed\n  next: mlops deployments list")
