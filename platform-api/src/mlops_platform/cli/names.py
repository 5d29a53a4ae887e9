"""What people call things: `credit-limit/staging` for a deployment, `credit-limit:3` for a request, the beginning of an id for both."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from mlops_platform.cli.api import call, pages
from mlops_platform.cli.exits import CommandFailed, Exit

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BEGINNING = re.compile(r"[0-9a-f][0-9a-f-]{3,34}")
_MANY = 10_000


def deployment_id(named: str) -> str:
    """Return a deployment's id: of MODEL/ENVIRONMENT, of a unique beginning (4 characters or more), or as it was given.

    Raises CommandFailed: 1 when there is none, 2 when several fit.
    """
    if _ID.fullmatch(named):
        return named
    model, slash, environment = named.rpartition("/")
    if slash:
        found = call("GET", "/api/v1/deployments", params={"model_name": model, "environment": environment})["items"]
        return only(found, f"deployment of {model} in {environment}", "mlops deployments list")
    if _BEGINNING.fullmatch(named):
        every = pages("/api/v1/deployments", {}, _MANY)["items"]
        return only(beginning(every, named), f"deployment whose id begins with {named}", "mlops deployments list")
    raise CommandFailed(
        Exit.USAGE, f"{named!r} names no deployment", "give MODEL/staging, MODEL/production, or the beginning of an id"
    )


def approval_id(named: str, status: str | None = None) -> str:
    """Return a request's id: of MODEL:VERSION, of a unique beginning (4 characters or more), or as it was given.

    A model's version may have had several requests: those with `status` come first, and of these the newest counts.
    Raises CommandFailed: 1 when there is none, 2 when several fit a beginning.
    """
    if _ID.fullmatch(named):
        return named
    model, colon, version = named.rpartition(":")
    if colon and version.isdigit():
        asked = {"model_name": model, "status": status}
        found = [
            each for each in pages("/api/v1/approvals", asked, _MANY)["items"] if each["model_version"] == int(version)
        ]
        open_ = {each["transition"] for each in found if each["status"] == "pending"}
        if len(open_) > 1:
            raise _several(found, f"{model} version {version} waits for {' and '.join(sorted(open_))}")
        newest = sorted(found, key=lambda each: each["created_at"])[-1:]
        wanted = f"{status} request" if status else "request"
        return only(newest, f"{wanted} for {model} version {version}", f"mlops approvals list --model {model}")
    if _BEGINNING.fullmatch(named):
        every = pages("/api/v1/approvals", {}, _MANY)["items"]
        return only(beginning(every, named), f"request whose id begins with {named}", "mlops approvals list")
    raise CommandFailed(Exit.USAGE, f"{named!r} names no request", "give MODEL:VERSION or the beginning of an id")


def beginning(items: Iterable[Mapping[str, Any]], start: str) -> list[Mapping[str, Any]]:
    """Return those whose id begins so."""
    return [each for each in items if str(each["id"]).startswith(start)]


def only(items: list[Mapping[str, Any]], what: str, todo: str) -> str:
    """Return the one item's id. Raises CommandFailed with how to choose."""
    if not items:
        raise CommandFailed(Exit.PROBLEM, f"you see no {what}", f"{todo} shows what there is")
    if len(items) > 1:
        raise _several(items, f"there is more than one {what}")
    return str(items[0]["id"])


def _several(items: list[Mapping[str, Any]], sentence: str) -> CommandFailed:
    shown = ", ".join(str(each["id"]) for each in items[:5])
    return CommandFailed(Exit.USAGE, sentence, f"give the id: {shown}")
