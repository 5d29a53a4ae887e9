"""`mlops service-accounts`."""

import secrets
from hashlib import sha256
from typing import Annotated

import typer

from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import Json, say, show_json, wants_json

app = typer.Typer(no_args_is_help=True, help="Programs that call the platform as themselves.")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="What the account is called.")],
    tenant: Annotated[str, typer.Option(help="The team it works for.")] = "default",
    role: Annotated[list[str] | None, typer.Option(help="A role beside 'service'; repeatable.")] = None,
    _json: Json = False,
) -> None:
    """Make the secret of an account at the embedded issuer. It is shown once; the file of accounts gets its hash only."""
    from pydantic import ValidationError

    from mlops_platform.identity.service_accounts import ServiceAccount

    secret = secrets.token_urlsafe(32)
    entry = {"name": name, "tenant": tenant, "roles": role or [], "secret_sha256": sha256(secret.encode()).hexdigest()}
    try:
        ServiceAccount.model_validate(entry)
    except ValidationError as error:
        why = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'account'}: {one['msg']}" for one in error.errors())
        raise CommandFailed(
            Exit.USAGE, f"no account can be like this: {why}", "mlops service-accounts new --help"
        ) from error
    if wants_json():
        show_json({"account": entry, "secret": secret})
        return
    say("Add to the file that MLOPS_SERVICE_ACCOUNTS_FILE names:")
    say(f"  accounts:\n    - name: {name}\n      tenant: {tenant}\n      roles: [{', '.join(role or [])}]")
    say(f"      secret_sha256: {entry['secret_sha256']}")
    say(f"Give to the program, once: MLOPS_CLIENT_ID={name} and MLOPS_CLIENT_SECRET={secret}")
