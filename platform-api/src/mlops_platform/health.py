"""Is the process alive, is the platform ready, and what does it count: for machines. What names models is for scrapers."""

from datetime import datetime

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from mlops_platform.dependencies import ServicesDep
from mlops_platform.identity.scraping import may_scrape, scrapes
from mlops_platform.kit.clock import now
from mlops_platform.monitoring import probes
from mlops_platform.monitoring.probes import Check
from mlops_platform.telemetry.exposition import exposition

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The process answers."""

    status: str
    timestamp: datetime


class Readiness(BaseModel):
    """Whether everything the platform needs answers; with the scrape token also what it asked, and what that said."""

    status: str = Field(description="'ready' or 'not_ready'")
    checks: dict[str, Check] = Field({}, description="only with the scrape token")
    backends: dict[str, str] = Field(
        {}, description="which implementation serves each seam; only with the scrape token"
    )


@router.get("/health", operation_id="health")
def health() -> Health:
    """Return 200 while the process can answer at all; says nothing of its dependencies."""
    return Health(status="healthy", timestamp=now())


@router.get("/ready", operation_id="ready", responses={503: {"model": Readiness}})
async def ready(services: ServicesDep, request: Request, response: Response) -> Readiness:
    """Ask every dependency; 200 when all answer, 503 with the same body when one does not.

    Details are for who has the scrape token.
    """
    checks = await probes.ask(services)
    ok = all(check.ok for check in checks.values())
    response.status_code = 200 if ok else 503
    if not may_scrape(request.headers.raw, services.settings.scrape_token):
        return Readiness(status="ready" if ok else "not_ready")
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


@router.get("/metrics", operation_id="metrics", response_class=Response, dependencies=[scrapes()])
def metrics() -> Response:
    """Return the metrics of all API processes in the Prometheus text format, to who has the scrape token."""
    return Response(exposition(), media_type=CONTENT_TYPE_LATEST)
