"""`mlops audit`."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from mlops_platform.cli import witness
from mlops_platform.cli.api import call, connection, pages
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import Json, Limit, say, show, show_json, show_table, wants_json
from mlops_platform.local.home import Home

if TYPE_CHECKING:
    from mlops_platform.audit.heads import SignedHead
    from mlops_platform.database.session import Database

Result = TypeVar("Result")
_ASK_AGAIN_SECONDS = 5.0

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
    """Print the newest signed head as JSON: keep it on another machine (`mlops audit head > head.json`)."""
    show_json(call("GET", "/api/v1/audit/heads/latest"))


@app.command()
def verify(
    offline: Annotated[bool, typer.Option("--offline", help="Read the database directly instead of the API.")] = False,
    home: Annotated[
        Path | None, typer.Option(help="Home whose keys and anchored heads to use (with --offline).")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="A head that was kept elsewhere: the log must continue it.", dir_okay=False)
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="Only what was recorded since the last check.")] = False,
    _json: Json = False,
) -> None:
    """Check every event against the signed heads, the mirror where there is one, and a head that was kept elsewhere.

    Exits 1 when an event was edited, deleted, reordered or cut off, or the log is not the continuation of the kept head,
    and 3 when the mirror did not answer.
    """
    kept = witness.read(against) if against is not None else None
    # a wrong file is said before anything is read or started
    known = witness.head_of(kept) if kept is not None else None
    if offline:
        result = _offline(Home.at(home or connection.home), known)
    else:
        result = _checked_by_the_platform(full=not new)
        if kept is not None:
            witness.compare(result, kept)
    if wants_json():
        show_json(result)
    else:
        _explain(result)
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


def _checked_by_the_platform(*, full: bool) -> dict[str, Any]:
    """Return the platform's result; a long log takes several requests."""
    import time

    while True:
        answer: dict[str, Any] = call("GET", "/api/v1/audit/verify", params={"full": str(full).lower()})
        if answer.get("state") != "running":
            return answer
        say("the platform is still reading the log")
        time.sleep(_ASK_AGAIN_SECONDS)


def _explain(result: dict[str, Any]) -> None:
    verdict = "intact" if result["intact"] else "NOT INTACT"
    say(
        f"the audit log is {verdict}: {result['events']} events, {result['heads']} signed heads, "
        f"{result['anchored_heads']} anchored heads, root {result['root']}"
    )
    if result["since"]:
        say(f"only what follows event {result['since']} was read; without --new everything is")
    if result["mirror"] == "compared":
        say(
            f"compared with the mirror: {result['mirrored_heads']} locked heads, events up to {result['mirrored_events']}"
        )
    if result["witness"] == "head":
        say("compared with the head that was kept elsewhere")
    for problem in result["problems"]:
        say(f"  {problem['kind']}: {problem['sentence']}")
    for limit in result["limits"]:
        say(limit)


@app.command("prove")
def prove(
    seq: Annotated[int, typer.Argument(help="Number of the event.")],
    size: Annotated[
        int | None, typer.Option(help="Of the log when it had this many events: the size of your head.")
    ] = None,
    _json: Json = False,
) -> None:
    """Print the proof that an event is in the log, as JSON: `mlops audit check-proof` checks it anywhere."""
    show_json(call("GET", f"/api/v1/audit/events/{seq}/proof", params={"size": size}))


@app.command("check-proof")
def check_proof(
    proof: Annotated[
        Path, typer.Argument(help="A proof of inclusion or consistency, as the API gave it.", dir_okay=False)
    ],
    head: Annotated[Path, typer.Option("--head", help="The head that you kept (`mlops audit head`).", dir_okay=False)],
    _json: Json = False,
) -> None:
    """Check a proof with nothing but the head you kept: no platform, no key, no network."""
    sentences = witness.check(witness.read(proof), witness.read(head))
    if wants_json():
        show_json({"holds": not sentences, "problems": sentences})
    else:
        say("the proof holds" if not sentences else "THE PROOF DOES NOT HOLD")
        for sentence in sentences:
            say(f"  {sentence}")
    if sentences:
        raise CommandFailed(Exit.PROBLEM, "the proof does not hold", "keep both files and inform the security officer")


@app.command()
def erase(
    subject: Annotated[str, typer.Argument(help="The person, by the name that `mlops audit list` shows.")],
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation.")] = False,
    _json: Json = False,
) -> None:
    """Forget whose pseudonym it is: the events stay and verify, nobody can say whose they are. For platform-admins."""
    if not yes and not typer.confirm("Forget this person for ever?"):
        raise CommandFailed(Exit.USAGE, "nobody was erased", "repeat with --yes")
    answer = call("POST", "/api/v1/audit/erasures", body={"subject": subject})
    show(answer, f"erased: {answer['events']} events stay under {answer['pseudonym']}")


@app.command("renew-anchors")
def renew_anchors(
    reason: Annotated[str, typer.Option(help="Why the anchor file was lost or damaged; the log keeps it.")],
    home: Annotated[Path | None, typer.Option(help="Home whose keys to use.")] = None,
    _json: Json = False,
) -> None:
    """After a loss of the anchor file that you can explain: write it anew from the database, and record that."""
    from mlops_platform.audit.anchoring import renew

    async def write(database: "Database") -> int:
        async with database.session() as session:
            return await renew(session, reason)

    count = _on_the_database(Home.at(home or connection.home), write)
    if wants_json():
        show_json({"heads": count})
    else:
        say(f"anchored {count} heads anew; the old file is kept beside the new one, and the log says why")


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


def _offline(home: Home, known: "SignedHead | None") -> dict[str, Any]:
    from mlops_platform.audit.verify import verify as verify_log

    async def check(database: "Database") -> dict[str, Any]:
        async with database.read_session() as session:
            return (await verify_log(session, witness=known)).model_dump(mode="json")

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
