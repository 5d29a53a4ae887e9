"""`mlops approvals`."""

from typing import Annotated

import typer

from mlops_platform.cli.api import call, pages
from mlops_platform.cli.output import Json, Limit, show, show_fields, show_table

app = typer.Typer(no_args_is_help=True, help="Approval requests: what waits for whom, and decisions.")
Approval = Annotated[str, typer.Argument(help="Approval id.")]
Comment = Annotated[str, typer.Option(help="Why; kept with the decision and in the audit log.")]


@app.command("list")
def list_approvals(
    mine: Annotated[bool, typer.Option("--mine", help="Only those you could approve now.")] = False,
    status: Annotated[str | None, typer.Option(help="pending, approved, rejected, expired or withdrawn.")] = None,
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
    """Show one request: what exactly, whose decisions it needs, and those made."""
    show_fields(call("GET", f"/api/v1/approvals/{approval}"))


def _decide(approval: str, decision: str, comment: str) -> None:
    answer = call("POST", f"/api/v1/approvals/{approval}/decisions", body={"decision": decision, "comment": comment})
    show(
        answer,
        f"recorded; the request is now {answer.get('status', 'decided')}\n  next: mlops approvals show {approval}",
    )


@app.command()
def approve(approval: Approval, comment: Comment = "", _json: Json = False) -> None:
    """Approve. The deployment continues by itself after the last approval that the policy asks for."""
    _decide(approval, "approve", comment)


@app.command()
def reject(
    approval: Approval,
    comment: Annotated[str, typer.Option(help="Why; the requester reads it.")],
    _json: Json = False,
) -> None:
    """Reject a request for good. The requester reads your comment."""
    _decide(approval, "reject", comment)


@app.command()
def withdraw(
    approval: Approval,
    reason: Annotated[str, typer.Option(help="Why; kept in the audit log.")] = "",
    _json: Json = False,
) -> None:
    """Take back a request of your own. What is live stays live."""
    answer = call("POST", f"/api/v1/approvals/{approval}/withdraw", body={"reason": reason})
    show(answer, "withdrawn; nobody has to decide any more")
