"""Bringing published bundles to the process that runs compiled models."""

from dataclasses import replace

import structlog

from mlops_platform.builds.interfaces import BundleDamaged, BundleStore, BundleUnavailable
from mlops_platform.deployments.schemas import RoutingSnapshot

log = structlog.get_logger(__name__)


def fetch_bundles(snapshot: RoutingSnapshot, bundles: BundleStore) -> RoutingSnapshot:
    """Return the snapshot with local folders for addresses. Blocking: call it in a thread.

    A revision whose published bytes are not those that were built is put aside and logged as an error: it must not
    answer, and must not keep others from answering. A store that does not answer raises BundleUnavailable, so that the
    routes of before keep answering and this is tried again.
    """
    found, not_fetched = [], []
    for live in snapshot.revisions:
        try:
            found.append(replace(live, folder=str(bundles.fetch(live.bundle))))
        except BundleDamaged as damaged:
            log.error("revision not served", revision=live.revision_id, model=live.model_name, reason=damaged.detail)  # noqa: TRY400 - the reason is the message
            not_fetched.append(live)
        except BundleUnavailable:
            raise
        except Exception:  # one address or folder that nobody foresaw; the others go on
            log.exception("revision not served", revision=live.revision_id, model=live.model_name)
            not_fetched.append(live)
    return RoutingSnapshot(snapshot.generation, tuple(found), tuple(not_fetched))
