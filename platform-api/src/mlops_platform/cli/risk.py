"""`mlops risk`."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from mlops_platform.cli.api import call
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import Json, say, show, show_json, wants_json

app = typer.Typer(
    no_args_is_help=True, help="How risky exactly these bytes are, who said so, and lowering it by two people."
)

Bytes = Annotated[str, typer.Argument(metavar="NAME:VERSION", help="A version, or a digest (sha256:...).")]


@app.command("show")
def show_record(version: Bytes, _json: Json = False) -> None:
    """Show the risk record of a version's bytes and what was proposed."""
    _explain(call("GET", f"/api/v1/risk/records/{_digest(version)}"))


@app.command()
def propose(
    version: Bytes,
    level: Annotated[str, typer.Option(help="low, medium or high.")],
    reason: Annotated[str, typer.Option(help="Why; whoever confirms reads it.")],
    _json: Json = False,
) -> None:
    """Raise the level at once, or propose a lower one, which somebody else must confirm."""
    digest = _digest(version)
    body = {"level": level, "reason": reason}
    answer = call("POST", f"/api/v1/risk/records/{digest}/proposals", body=body)
    waiting = _open(answer)
    show(
        answer,
        f"the level is {answer['level']} from now on"
        if waiting is None
        else f"proposed {level}; the level stays {answer['level']} until a manager, who is not you, has confirmed it\n"
        f"  next: mlops risk confirm {version}",
    )


@app.command()
def confirm(
    version: Bytes,
    proposal: Annotated[str | None, typer.Option(help="Its id; by default the open one.")] = None,
    comment: Annotated[str, typer.Option(help="Kept with the record.")] = "",
    _json: Json = False,
) -> None:
    """Confirm a lower level that somebody else has proposed."""
    answer = _decide(version, proposal, "confirm", comment)
    show(answer, f"the level is {answer['level']} from now on")


@app.command()
def refuse(
    version: Bytes,
    comment: Annotated[str, typer.Option(help="Why; the proposer reads it.")],
    proposal: Annotated[str | None, typer.Option(help="Its id; by default the open one.")] = None,
    _json: Json = False,
) -> None:
    """Refuse a lower level that somebody else has proposed."""
    answer = _decide(version, proposal, "refuse", comment)
    show(answer, f"refused; the level stays {answer['level']}")


def _decide(version: str, proposal: str | None, decision: str, comment: str) -> dict[str, Any]:
    path = f"/api/v1/risk/records/{_digest(version)}"
    if proposal is None:
        waiting = _open(call("GET", path))
        if waiting is None:
            raise CommandFailed(Exit.PROBLEM, "nothing is proposed for these bytes", f"see `mlops risk show {version}`")
        say(
            f"{waiting['proposed_by']} proposed {waiting['to_level']} instead of {waiting['from_level']}: {waiting['reason']}"
        )
        proposal = waiting["id"]
    body = {"proposal": proposal, "decision": decision, "comment": comment}
    answer: dict[str, Any] = call("POST", f"{path}/decisions", body=body)
    return answer


def _digest(version: str) -> str:
    """Return the digest that NAME:VERSION or a digest names. Raises CommandFailed."""
    name, _, number = version.partition(":")
    if not number:
        raise CommandFailed(Exit.USAGE, f"'{version}' names no version", "write NAME:VERSION, or sha256:...")
    if name == "sha256":
        return version
    path = f"/api/v1/models/{quote(name, safe='')}/versions/{quote(number, safe='')}"
    digest: str | None = call("GET", path)["digest"]
    if digest is None:
        raise CommandFailed(
            Exit.PROBLEM,
            f"the bytes of {version} are not known yet",
            f"measure it (`mlops pipeline validate {name} {number}`) or deploy it; until then its tag says its level",
        )
    return digest


def _open(record: dict[str, Any]) -> dict[str, Any] | None:
    return next((one for one in record["proposals"] if one["status"] == "open"), None)


def _explain(record: dict[str, Any]) -> None:
    if wants_json():
        show_json(record)
        return
    say(f"{record['digest']}: {record['level']} risk ({', '.join(record['versions'])})")
    say(f"set by {record['changed_by']} at {record['changed_at']} from {record['source']}: {record['reason']}")
    for one in record["proposals"]:
        say(
            f"  {one['status']}: {one['from_level']} to {one['to_level']}, proposed by {one['proposed_by']}: {one['reason']}"
            + (f"; decided by {one['decided_by']}: {one['comment'] or '-'}" if one["decided_by"] else "")
        )
