"""What the rest of the platform knows of tenants."""

from decimal import Decimal
from pathlib import Path

import structlog

from mlops_platform.tenants.definition import BadDefinition, load

log = structlog.get_logger(__name__)


def budgets(folder: Path | None) -> dict[str, Decimal]:
    """Return the monthly budget of every defined tenant; none without a folder.

    A definition that cannot be read is logged and leaves all budgets out: alerts on no budget at all are better than on
    some of them.
    """
    if folder is None:
        return {}
    try:
        return {tenant.name: tenant.budget_usd for tenant in load(folder)}
    except BadDefinition:
        log.exception("tenant definitions cannot be read")
        return {}
