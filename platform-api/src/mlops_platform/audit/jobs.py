"""What the worker does for the audit log."""

import time

import structlog

from mlops_platform.audit import anchoring, service
from mlops_platform.audit.interfaces import MirrorConflict
from mlops_platform.audit.mirroring import copy_missing
from mlops_platform.dependencies import Services
from mlops_platform.kit.jobs import Job
from mlops_platform.telemetry import metrics

log = structlog.get_logger(__name__)


async def _anchor(services: Services) -> None:
    """Anchor what missed its anchor, then remember how far the file is complete: what leaves it later was taken away."""
    async with services.database.read_session() as session:
        metrics.audit_heads_anchored_late_total.inc(await anchoring.anchor_missing(session))
    await anchoring.note_anchored(services.database)


async def _verify_new(services: Services) -> None:
    await _verify(services, full=False)


async def _verify_all(services: Services) -> None:
    await _verify(services, full=True)


async def _verify(services: Services, *, full: bool) -> None:
    """Verify the log and say so in metrics: an alert is raised when it is not intact, or when nobody looked."""
    began = time.perf_counter()
    found = await services.audit_verifier.verify(full=full)
    metrics.audit_log_events.set(found.events)
    metrics.audit_verification_problems.set(len(found.problems))
    metrics.audit_verification_ok.set(1 if found.intact else 0)
    if full:
        # a check of what is new must not hide that nobody reads the rest
        metrics.audit_verification_seconds.set(time.perf_counter() - began)
        metrics.audit_last_verification_timestamp_seconds.set_to_current_time()
    if not found.intact:
        log.error("the audit log is not intact", problems=[problem.sentence for problem in found.problems[:5]])
    if found.mirror == "unreachable":
        log.warning("the audit log was verified without its mirror, which does not answer")


async def _mirror(services: Services) -> None:
    """Copy what the mirror lacks. A disagreement is counted, because nothing more is copied until a person has looked."""
    async with services.database.read_session() as session:
        mirror = service.audit_log(session).mirror
    if mirror is None:
        return
    try:
        reached = await copy_missing(services.database, mirror)
    except MirrorConflict:
        metrics.audit_mirror_conflicts_total.inc()
        raise
    metrics.audit_mirror_events.set(reached.mirrored)
    metrics.audit_log_events.set(reached.recorded)
    if reached.mirrored == reached.recorded:
        metrics.audit_mirror_complete_timestamp_seconds.set_to_current_time()


JOBS = (
    # how long whoever rewrites the log goes unnoticed at most; each pass that finds something new locks one object for years
    Job("audit-mirror", 30, _mirror),
    # a head that missed its anchor (full disk, kill between commit and append) is anchored within seconds
    Job("audit-anchor", 5, _anchor),
    # reads every event: often enough to find tampering the same hour, seldom enough to cost nothing
    Job("audit-verification", 900, _verify_all, exclusive=False),
    # reads what is new: a cut, an emptied anchor, a row past the platform are found within minutes on a long log too
    Job("audit-verification-new", 300, _verify_new, exclusive=False),
)
