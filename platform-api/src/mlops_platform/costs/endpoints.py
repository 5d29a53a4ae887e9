"""Costs over HTTP."""

from typing import Annotated

from fastapi import APIRouter

from mlops_platform.costs import service
from mlops_platform.costs.schemas import CostReport
from mlops_platform.database.session import ReadSessionDep
from mlops_platform.dependencies import ServicesDep
from mlops_platform.identity.dependencies import requires
from mlops_platform.identity.principal import Principal

router = APIRouter(prefix="/api/v1/costs", tags=["costs"])
CanRead = Annotated[Principal, requires("cost:read")]


@router.get("", operation_id="get_costs")
async def get_costs(caller: CanRead, session: ReadSessionDep, services: ServicesDep) -> CostReport:
    """Return this month's costs of the caller's tenant (auditors and administrators: of all), by service and model."""
    return await service.report(session, services, caller)
