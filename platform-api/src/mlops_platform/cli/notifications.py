"""`mlops notifications`: what you hear of, and what could not be delivered."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from mlops_platform.cli.api import call
from mlops_platform.cli.output import Json, say, show, show_json, show_table, wants_json

app = typer.Typer(no_args_is_help=True, help="What you are told of, and what could not be delivered.")


class Kind(StrEnum):
    """Kinds of notices; a test compares them with the platform's."""

    APPROVAL_REQUESTED = "approval-requested"
    APPROVAL_OVERDUE = "approval-overdue"
    APPROVAL_SETTLED = "approval-settled"
    APPROVAL_REVOKED = "approval-revoked"
    VERSION_REFUSED = "version-refused"
    DEPLOYMENT_LIVE = "deployment-live"
    DEPLOYMENT_ROLLED_BACK = "deployment-rolled-back"
    DEPLOYMENT_FAILED = "deployment-failed"
    REVIEW_DUE = "review-due"


@app.command("show")
def show_settings(_json: Json = False) -> None:
    """Show what you are told of, and where."""
    _shown(call("GET", "/api/v1/notifications/settings"))


@app.command("set")
def set_settings(
    email: Annotated[bool | None, typer.Option("--email/--no-email", help="Send me mail, or none.")] = None,
    wanted: Annotated[list[Kind] | None, typer.Option("--with", help="Tell me of this; repeatable.")] = None,
    unwanted: Annotated[list[Kind] | None, typer.Option("--without", help="Not of this; repeatable.")] = None,
    _json: Json = False,
) -> None:
    """Change what you are told of."""
    kinds = {str(kind): True for kind in wanted or []} | {str(kind): False for kind in unwanted or []}
    body: dict[str, Any] = {"kinds": kinds}
    if email is not None:
        body["email"] = email
    _shown(call("PATCH", "/api/v1/notifications/settings", body=body))


@app.command("dead")
def dead(
    retry: Annotated[bool, typer.Option("--retry", help="Let what is shown be tried again.")] = False,
    _json: Json = False,
) -> None:
    """Show what no channel took, and what waits for each; for platform administrators."""
    found = call("GET", "/api/v1/notifications/undelivered")
    if retry and found["dead"]:
        for letter in found["dead"]:
            call("POST", f"/api/v1/notifications/undelivered/{letter['id']}/retry")
        count = len(found["dead"])
        show({"retried": count}, f"{count} {'copy waits' if count == 1 else 'copies wait'} to be tried again")
        return
    if wants_json():
        show_json(found)
        return
    show_table(found["channels"], ("channel", "waiting", "dead", "away_since", "problem"), "Nothing waits anywhere.")
    show_table(found["dead"], ("created_at", "channel", "recipient", "kind", "sentence", "problem"), "No dead letters.")


def _shown(found: dict[str, Any]) -> None:
    if wants_json():
        show_json(found)
        return
    where = found["address"] or "nowhere: your identity provider has verified no address of yours"
    say(f"mail goes to {where}" if found["email"] else "no mail is sent to you")
    rows = [{"kind": kind, "told": "yes" if told else "no"} for kind, told in found["kinds"].items()]
    show_table(rows, ("kind", "told"), "")
