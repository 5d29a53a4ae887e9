"""One item of a job that works on many: when it fails, it is named and counted, and its neighbours go on."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from mlops_platform.errors import Unavailable
from mlops_platform.telemetry import metrics

log = structlog.get_logger(__name__)


@contextmanager
def apart(job: str, **names: object) -> Iterator[None]:
    """Run one item's work: what it raises is logged with the item's names and counted, and goes no further.

    Raises Unavailable as it is: what is down is down for the neighbours too, and the pass is repeated.
    """
    try:
        yield
    except Unavailable:
        raise
    except Exception:  # one item's boundary
        metrics.worker_items_failed_total.labels(job).inc()
        log.exception("item left out", job=job, **names)
