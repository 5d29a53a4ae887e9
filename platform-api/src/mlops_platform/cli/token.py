"""`mlops token`."""

import os
import sys
from typing import Annotated

import typer

from mlops_platform.cli.api import connection
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import HomeOption, Json, say, show_json, wants_json
from mlops_platform.identity.principal import Role
from mlops_platform.local.home import Home
from mlops_platform.local.issuer import issuer_and_audience
from mlops_platform.local.login import forget

_LONGEST_HOURS = 24 * 30


def token(
    email: Annotated[str, typer.Argument(help="Who the token is for.")],
    role: Annotated[list[Role], typer.Option(help="A role; repeatable.")],
    tenant: Annotated[str, typer.Option(help="The team the person belongs to.")] = "default",
    hours: Annotated[float, typer.Option(min=0.01, max=_LONGEST_HOURS, help="How long it is valid.")] = 8,
    save: Annotated[
        bool, typer.Option("--save", help="Keep it in <home>/keys/token (0600) for later commands.")
    ] = False,
    home: HomeOption = None,
    _json: Json = False,
) -> None:
    """Print a token of the embedded development issuer, signed with the key in this home. Not available in production."""
    from mlops_platform.identity.development import DevelopmentIssuer

    if os.environ.get("MLOPS_ENVIRONMENT") == "production":
        raise CommandFailed(
            Exit.REFUSED,
            "the embedded issuer refuses to mint tokens with MLOPS_ENVIRONMENT=production",
            "sign in with your company's identity provider",
        )
    place = Home.at(home or connection.home)
    issuer, audience = issuer_and_audience(place)
    place.create()
    minted = DevelopmentIssuer(place.folder / "keys", issuer, audience, "development").mint(
        email, [str(one) for one in role], tenant, int(hours * 3600)
    )
    if save:
        _save(place, minted)
    if wants_json():
        show_json({"token": minted, "subject": email, "roles": role, "tenant": tenant, "hours": hours, "saved": save})
    elif save:
        say(f"saved for {email} ({', '.join(role)}; tenant {tenant}; {hours:g} h): later commands use it")
    else:
        sys.stdout.write(minted + "\n")


def _save(place: Home, minted: str) -> None:
    # a sign-in that was kept would renew this token as somebody else's
    forget(place)
    fresh = place.token_file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(minted)
    fresh.replace(place.token_file)
