"""`mlops approvals`."""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer

from mlops_platform.cli.api import call, pages
from mlops_platform.cli.names import approval_id
from mlops_platform.cli.output import Json, Limit, show, show_fields, show_table

app = typer.Typer(no_args_is_help=True, help="Approval requests and decisions.")
Approval = Annotated[str, typer.Argument(help="MODEL:VERSION, or a request's id or its beginning.")]
Comment = Annotated[str, typer.Option(help="Comment; kept with the decision and in the audit log.")]


@app.command("list")
def list_approvals(
    mine: Annotated[bool, typer.Option("--mine", help="Only requests you can approve now.")] = False,
    status: Annotated[
        Literal["pending", "approved", "rejected", "expired", "withdrawn", "revoked"] | None,
        typer.Option(help="Only with this status."),
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
    show_fields(call("GET", f"/api/v1/approvals/{approval_id(approval)}"))


def standing(request: Mapping[str, Any]) -> str:
    """Say how far a request is: who has agreed, who is still needed, or how it ended."""
    if request["status"] != "pending":
        return f"the request is {request['status']}"
    needed = sum(each["count"] for each in request["requirements"])
    missing = Counter(request["missing"])
    still = ", ".join(f"{count} x {role}" if count > 1 else role for role, count in missing.items())
    return f"{needed - missing.total()} of {needed} approvals; still needed: {still or 'the platform'}"


def _decide(approval: str, decision: str, comment: str) -> None:
    found = approval_id(approval, "pending")
    answer = call("POST", f"/api/v1/approvals/{found}/decisions", body={"decision": decision, "comment": comment})
    show(answer, f"recorded: {standing(answer)}\n  next: mlops approvals show {found}")


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
    answer = call("POST", f"/api/v1/approvals/{approval_id(approval, 'pending')}/withdraw", body={"reason": reason})
    show(answer, "withdrawn; nobody has to decide any more")


@app.command()
def revoke(
    approval: Approval,
    reason: Annotated[str, typer.Option(help="Reason; people who must review read it.")],
    _json: Json = False,
) -> None:
    """Withdraw an approval that was given. What runs on it is due for review, and drained after the policy's grace."""
    answer = call("POST", f"/api/v1/approvals/{approval_id(approval, 'approved')}/revoke", body={"reason": reason})
    show(answer, "revoked; what runs on it must be reviewed\n  next: mlops deployments list")
