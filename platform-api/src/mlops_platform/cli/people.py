"""`mlops whoami`, `mlops elevate`, `mlops open` and `mlops people`."""

import re
import webbrowser
from typing import Annotated

import typer

from mlops_platform.cli.api import base_url, call
from mlops_platform.cli.cells import cell
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.names import approval_id, deployment_id
from mlops_platform.cli.output import Json, say, show, show_json, wants_json
from mlops_platform.identity.principal import Role

app = typer.Typer(no_args_is_help=True, help="People who use the platform; for platform administrators.")


@app.command("sign-out")
def sign_out(
    person: Annotated[str, typer.Argument(help="Who, by the name that `mlops audit list` shows.")],
    reason: Annotated[str, typer.Option(help="Why; the audit log keeps it.")],
    _json: Json = False,
) -> None:
    """End a person's sessions and tokens. They can sign in again: deactivate them at the identity provider first."""
    answer = call("POST", "/api/v1/people/sign-out", body={"subject": person, "reason": reason})
    show(answer, f"signed out: {answer['sessions']} sessions of browsers, and every token from before now")


def whoami(_json: Json = False) -> None:
    """Show who you are to the platform: as whom your token signs you in, with which roles, in which team."""
    answer = call("GET", "/api/v1/me")
    roles = ", ".join(answer["roles"]) or "no role"
    taken = "".join(
        f"\n  {one['role']} until {cell('ends_at', one['ends_at'])}: {one['reason']}" for one in answer["elevations"]
    )
    show(answer, f"{answer['subject']} ({answer['kind']}): {roles}; team {answer['tenant']}; at {base_url()}{taken}")


def elevate(
    role: Annotated[Role | None, typer.Argument(help="The role to take.")] = None,
    lasts: Annotated[str, typer.Option("--for", help="For how long, at most 4h: 2h, 90m, 1h30m.")] = "1h",
    reason: Annotated[str, typer.Option(help="Why; the audit log keeps it.")] = "",
    end: Annotated[bool, typer.Option("--end", help="Give the roles you took back now.")] = False,
    _json: Json = False,
) -> None:
    """Take a role for some hours, where an administrator's setting allows it, or give it back. Both are recorded."""
    if end:
        call("DELETE", "/api/v1/me/elevations")
        show({"ended": True}, "you have the roles of your token again")
        return
    if role is None or not reason.strip():
        raise CommandFailed(Exit.USAGE, "a role and a reason are needed", "mlops elevate ROLE --for 2h --reason '...'")
    body = {"role": str(role), "seconds": seconds_of(lasts), "reason": reason}
    answer = call("POST", "/api/v1/me/elevations", body=body)
    show(
        answer, f"you are {role} until {cell('ends_at', answer['ends_at'])}\n  next: mlops whoami, mlops elevate --end"
    )


def seconds_of(text: str) -> int:
    """Return the seconds of '2h', '90m' or '1h30m'. Raises CommandFailed."""
    found = re.fullmatch(r"(?=\d)(?:(\d{1,3})h)?(?:(\d{1,4})m)?", text)
    if found is None:
        raise CommandFailed(Exit.USAGE, f"'{text}' is no length of time", "write 2h, 90m or 1h30m")
    hours, minutes = (int(part or 0) for part in found.groups())
    return hours * 3_600 + minutes * 60


def open_page(
    named: Annotated[
        str | None,
        typer.Argument(
            help="MODEL, MODEL:VERSION (the request that is open for it, else its page) or MODEL/ENVIRONMENT."
        ),
    ] = None,
    _json: Json = False,
) -> None:
    """Open the console in your browser, at a model, a version's request or a deployment. Prints the address too."""
    address = f"{base_url()}/console{_page(named)}"
    if wants_json():
        show_json({"url": address})
        return
    say(address)
    webbrowser.open(address)


def _page(named: str | None) -> str:
    from urllib.parse import quote

    if named is None:
        return ""
    if named.endswith(("/staging", "/production")):
        return f"/deployments/{deployment_id(named)}"
    model, colon, version = named.rpartition(":")
    if not colon:
        return f"/models/{quote(named, safe='')}"
    try:
        return f"/approvals/{approval_id(named, 'pending')}"
    except CommandFailed as failed:
        if failed.code != Exit.PROBLEM or (failed.problem or {}).get("status") is not None:
            raise
        return f"/models/{quote(model, safe='')}/versions/{quote(version, safe='')}"
