"""Running a verification, and remembering what it found and how far the log is known to be intact."""

import asyncio

from mlops_platform.audit import marks
from mlops_platform.audit.interfaces import Verifier
from mlops_platform.audit.merkle import Frontier
from mlops_platform.audit.schemas import Verification
from mlops_platform.audit.verify import verify_after
from mlops_platform.database.session import Database, ReadSession

_REQUEST_SECONDS = 45.0


async def run(database: Database, *, full: bool) -> Verification:
    """Verify all of the log, or what follows the part that was found intact before; remember the result.

    After a run that found something the next one reads everything: what is wrong stays reported until it is right.
    """
    async with database.read_session() as session:
        start = Frontier() if full else await _known_intact(session)
    # a session of its own: the check is one snapshot from its first statement
    async with database.read_session() as session:
        found, reached = await verify_after(session, start)
    async with database.session() as session:
        await marks.write(session, "result", found.model_dump(mode="json"))
        if not found.intact:
            await marks.write(session, "verified", {"size": 0, "roots": []})
        elif found.mirror != "unreachable":
            content = {"size": reached.size, "roots": [root.hex() for root in reached.roots]}
            await marks.write(session, "verified", content)
    return found


async def latest(session: ReadSession) -> Verification | None:
    """Return the result of the last run; None when there was none, or its record was changed."""
    content = await marks.read(session, "result")
    return None if content is None else Verification.model_validate(content)


async def within_a_request(verifier: Verifier, *, full: bool) -> Verification | None:
    """Return the result, or None when it takes longer than a request should; the run goes on and the next call takes it."""
    try:
        return await asyncio.wait_for(verifier.verify(full=full), _REQUEST_SECONDS)
    except TimeoutError:
        return None


async def _known_intact(session: ReadSession) -> Frontier:
    content = await marks.read(session, "verified")
    if content is None:
        return Frontier()
    return Frontier(content["size"], tuple(bytes.fromhex(root) for root in content["roots"]))
