"""`mlops audit`."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from mlops_platform.cli.api import call, connection, pages
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import Json, Limit, say, show_fields, show_json, show_table, wants_json
from mlops_platform.local.home import Home

if TYPE_CHECKING:
    from mlops_platform.database.session import Database

Result = TypeVar("Result")

app = typer.Typer(no_args_is_help=True, help="Read the audit log and verify that nobody changed it.")


@app.command("list")
def list_events(
    action: Annotated[str | None, typer.Option(help="Only actions that begin with this, as 'deployment:'.")] = None,
    resource: Annotated[str | None, typer.Option(help="Only this resource.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Only from this time on (UTC).")] = None,
    limit: Limit = 50,
    _json: Json = False,
) -> None:
    """List events, newest first."""
    began = f"{since.isoformat()}Z" if since else None
    wanted = {"action": action, "resource": resource, "tenant": tenant, "since": began}
    answer = pages("/api/v1/audit/events", wanted, limit)
    show_table(answer["items"], ("seq", "at", "action", "actor", "resource", "tenant"), "no events", answer)


@app.command()
def head(_json: Json = False) -> None:
    """Show the newest signed head of the log."""
    show_fields(call("GET", "/api/v1/audit/head"))


@app.command()
def verify(
    offline: Annotated[bool, typer.Option("--offline", help="Read the database directly instead of the API.")] = False,
    home: Annotated[
        Path | None, typer.Option(help="Home whose keys and anchored heads to use (with --offline).")
    ] = None,
    _json: Json = False,
) -> None:
    """Check every event against the signed heads and the mirror, where there is one.

    Exits 1 when an event was edited, deleted, reordered or cut off, and 3 when the mirror did not answer.
    """
    result: dict[str, Any] = (
        _offline(Home.at(home or connection.home)) if offline else call("GET", "/api/v1/audit/verify")
    )
    if wants_json():
        show_json(result)
    else:
        verdict = "intact" if result["intact"] else "NOT INTACT"
        say(
            f"the audit log is {verdict}: {result['events']} events, {result['heads']} signed heads, "
            f"{result['anchored_heads']} anchored heads, root {result['root']}"
        )
        if result["mirror"] == "compared":
            say(
                f"compared with the mirror: {result['mirrored_heads']} locked heads, events up to {result['mirrored_events']}"
            )
        for problem in result["problems"]:
            say(f"  {problem['kind']}: {problem['sentence']}")
    if not result["intact"]:
        raise CommandFailed(
            Exit.PROBLEM,
            "the audit log was changed behind the platform's back",
            "do not change the database; inform the security officer",
        )
    if result["mirror"] == "unreachable":
        raise CommandFailed(
            Exit.UNREACHABLE,
            "the mirror did not answer: the log was not compared with it",
            "look at MLOPS_AUDIT_MIRROR_TABLE and MLOPS_AUDIT_MIRROR_BUCKET and at the rights on both, then verify again",
        )


@app.command()
def recover(
    home: Annotated[Path | None, typer.Option(help="Home whose keys to use.")] = None,
    _json: Json = False,
) -> None:
    """After a database restore, before the platform starts: copy lost events back from the mirror."""
    from mlops_platform.audit.recovery import recover as recover_lost
    from mlops_platform.audit.service import audit_log

    async def bring_back(database: "Database") -> int:
        async with database.session() as session:
            mirror = audit_log(session).mirror
            if mirror is None:
                raise CommandFailed(
                    Exit.USAGE, "no mirror is configured", "set MLOPS_AUDIT_MIRROR_TABLE and MLOPS_AUDIT_MIRROR_BUCKET"
                )
            return await recover_lost(session, mirror)

    count = _on_the_database(Home.at(home or connection.home), bring_back)
    if wants_json():
        show_json({"recovered": count})
    else:
        say(f"recovered {count} events; run `mlops audit verify --offline` before the platform starts")


def _offline(home: Home) -> dict[str, Any]:
    from mlops_platform.audit.verify import verify as verify_log

    async def check(database: "Database") -> dict[str, Any]:
        async with database.read_session() as session:
            return (await verify_log(session)).model_dump(mode="json")

    return _on_the_database(home, check)


def _on_the_database(home: Home, work: Callable[["Database"], Awaitable[Result]]) -> Result:
    """Work with the database of MLOPS_DATABASE_URL, else the PostgreSQL of this home (started for it if needed)."""
    import asyncio

    from pydantic import SecretStr

    from mlops_platform.bootstrap import build_database
    from mlops_platform.cli.database import reachable_database
    from mlops_platform.errors import Conflict, PlatformError
    from mlops_platform.settings import Settings

    async def run(url: str) -> Result:
        database = build_database(Settings(home=home.folder, database_url=SecretStr(url)))
        try:
            return await work(database)
        finally:
            await database.dispose()

    with reachable_database(home) as url:
        try:
            return asyncio.run(run(url))
        except Conflict as error:
            raise CommandFailed(Exit.PROBLEM, error.detail, "change nothing; inform the security officer") from error
        except PlatformError as error:
            raise CommandFailed(Exit.UNREACHABLE, error.detail, "check MLOPS_DATABASE_URL or --home") from error
