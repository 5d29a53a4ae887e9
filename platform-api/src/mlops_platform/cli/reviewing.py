"""`mlops access`: who can do what, and whether they still should."""

from typing import Annotated, Any

import typer

from mlops_platform.cli.api import call, pages
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import Json, show, show_table

app = typer.Typer(
    no_args_is_help=True, help="Who can do what, and whether they still should; for auditors and platform-admins."
)
_MOST = 10_000


@app.command("review")
def show_review(
    unused_days: Annotated[int, typer.Option(min=1, max=3_650, help="Unused: not here for so many days.")] = 90,
    unused: Annotated[bool, typer.Option("--unused", help="Only who was not here for so long.")] = False,
    _json: Json = False,
) -> None:
    """List people with their roles, when they were last here, and what a reviewer last said to it."""
    found = pages("/api/v1/access", {"unused_days": unused_days, "only_unused": unused or None}, _MOST)
    rows = [{**one, "review": _said(one["review"])} for one in found["items"]]
    columns = ("subject", "tenant", "roles", "seen_at", "acted_at", "unused", "review")
    show_table(rows, columns, "nobody has been here" if not unused else "nobody is unused", found)


@app.command()
def confirm(
    person: Annotated[str, typer.Argument(help="Who, as `mlops access review` names them.")],
    comment: Annotated[str, typer.Option(help="A word to it; the audit log keeps it.")] = "",
    _json: Json = False,
) -> None:
    """Say that a person still needs the roles they have."""
    _review(person, "confirm", comment)


@app.command()
def mark(
    person: Annotated[str, typer.Argument(help="Who, as `mlops access review` names them.")],
    comment: Annotated[str, typer.Option(help="Why; the audit log keeps it.")],
    _json: Json = False,
) -> None:
    """Say that a person should lose roles. That happens at the identity provider."""
    _review(person, "mark", comment)


def _review(person: str, verdict: str, comment: str) -> None:
    found = pages("/api/v1/access", {}, _MOST)["items"]
    seen = next((one for one in found if one["subject"] == person), None)
    if seen is None:
        raise CommandFailed(Exit.PROBLEM, f"nobody named {person} was here", "mlops access review")
    body = {"subject": person, "roles": seen["roles"], "verdict": verdict, "comment": comment}
    answer = call("POST", "/api/v1/access/reviews", body=body)
    show(answer, f"{verdict}ed: {person} ({', '.join(seen['roles']) or 'no role'})")


def _said(review: dict[str, Any] | None) -> str:
    if review is None:
        return ""
    changed = "" if review["still_so"] else ", changed since"
    return f"{review['verdict']}ed by {review['reviewer']} {review['at'][:10]}{changed}"
