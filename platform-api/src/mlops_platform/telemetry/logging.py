"""Structured logs: one JSON object per line on standard error, secrets never in it."""

import logging
import sys
from typing import Any

import structlog

from mlops_platform.telemetry.requests import name_request

_SECRET_KEYS = frozenset({"token", "authorization", "password", "secret", "cookie", "set-cookie", "database_url"})


def _redact(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for key in event:
        if key.lower() in _SECRET_KEYS:
            event[key] = "[redacted]"
    return event


def configure(service: str, level: int = logging.INFO) -> None:
    """Send every log line of this process, libraries included, to standard error as JSON with `service`, `level`, `timestamp`."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        name_request,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    structlog.contextvars.bind_contextvars(service=service)
    # one line per outgoing call would drown what matters
    for noisy in ("httpx", "httpcore", "urllib3", "mlflow", "alembic.runtime.migration"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
