"""Asking every part the platform stands on whether it answers now: for /ready, and for `platform_up`."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from pydantic import BaseModel
from sqlalchemy import text

from mlops_platform.dependencies import Services
from mlops_platform.errors import PlatformError

log = structlog.get_logger(__name__)

# a dependency slower than this is not one to send traffic to
_PATIENCE_SECONDS = 3.0


class Check(BaseModel):
    """What one dependency said just now."""

    ok: bool
    milliseconds: float
    message: str = ""


async def ask(services: Services) -> dict[str, Check]:
    """Return what each dependency says now; all are asked at once and none is waited for longer than three seconds."""
    probes: dict[str, Callable[[], Awaitable[object]]] = {
        "database": lambda: _ask_database(services),
        "mlflow": services.registry.ping,
        "feast": services.features.ping,
        "prediction_log": services.prediction_log.ping,
    }
    answers = await asyncio.gather(*(_probe(name, probe) for name, probe in probes.items()))
    return dict(zip(probes, answers, strict=True))


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
        # the answer says that it fails; what a library said of it is for whoever mends it
        log.warning("readiness probe failed", dependency=name, cause=repr(error.__cause__))
    except Exception:  # a probe is a boundary: whatever it raises means 'not ready', and the log says what it was
        log.exception("readiness probe failed", dependency=name)
        message = "the probe failed; see the log"
    return Check(ok=not message, milliseconds=round((time.perf_counter() - began) * 1000, 2), message=message)
