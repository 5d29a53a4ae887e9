"""Is the process alive, is the platform ready, and what is it made of: three public paths for machines."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from sqlalchemy import text

from mlops_platform.dependencies import Services, ServicesDep
from mlops_platform.errors import PlatformError
from mlops_platform.kit.clock import now
from mlops_platform.telemetry.exposition import exposition

log = structlog.get_logger(__name__)
router = APIRouter(tags=["health"])

# a dependency slower than this is not one to send traffic to
_PATIENCE_SECONDS = 3.0


class Health(BaseModel):
    """The process answers."""

    status: str
    timestamp: datetime


class Check(BaseModel):
    """What one dependency said just now."""

    ok: bool
    milliseconds: float
    message: str = ""


class Readiness(BaseModel):
    """Whether everything the platform needs answers."""

    status: str = Field(description="'ready' or 'not_ready'")
    checks: dict[str, Check]
    backends: dict[str, str] = Field(description="which implementation serves each seam")


@router.get("/health", operation_id="health")
def health() -> Health:
    """Return 200 while the process can answer at all; says nothing of its dependencies."""
    return Health(status="healthy", timestamp=now())


@router.get("/ready", operation_id="ready", responses={503: {"model": Readiness}})
async def ready(services: ServicesDep, response: Response) -> Readiness:
    """Ask every dependency now; 200 when all answer, 503 with the same body when one does not."""
    probes: dict[str, Callable[[], Awaitable[object]]] = {
        "database": lambda: _ask_database(services),
        "mlflow": services.registry.ping,
        "feast": services.features.ping,
        "prediction_log": services.prediction_log.ping,
    }
    answers = await asyncio.gather(*(_probe(name, probe) for name, probe in probes.items()))
    checks = dict(zip(probes, answers, strict=True))
    ok = all(check.ok for check in checks.values())
    response.status_code = 200 if ok else 503
    seams = {
        "identity": services.identity,
        "registry": services.registry,
        "features": services.features,
        "runtime": services.runtime,
    }
    return Readiness(
        status="ready" if ok else "not_ready",
        checks=checks,
        backends={name: type(part).__name__ for name, part in seams.items()},
    )


@router.get("/metrics", operation_id="metrics", response_class=Response)
def metrics() -> Response:
    """Return the metrics of all API processes in the Prometheus text format."""
    return Response(exposition(), media_type=CONTENT_TYPE_LATEST)


async def _ask_database(services: Services) -> None:
    async with services.database.read_session() as session:
        await session.execute(text("SELECT 1"))


async def _probe(name: str, probe: Callable[[], Awaitable[object]]) -> Check:
    began = time.perf_counter()
    message = ""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await probe()
    except TimeoutError:
        message = f"no answer within {_PATIENCE_SECONDS:g} s"
    except PlatformError as error:
        message = error.title
    except Exception:  # a probe is a boundary: whatever it raises means 'not ready', and the log says what it was
        log.exception("readiness probe failed", dependency=name)
        message = "the probe failed; see the log"
    return Check(ok=not message, milliseconds=round((time.perf_counter() - began) * 1000, 2), message=message)
