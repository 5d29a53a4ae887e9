"""The libraries of a version over HTTP, and its bill of materials."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from mlops_platform.database.session import ReadSessionDep
from mlops_platform.dependencies import ServicesDep
from mlops_platform.identity.dependencies import requires
from mlops_platform.identity.principal import Principal
from mlops_platform.materials import service
from mlops_platform.materials.schemas import Materials
from mlops_platform.policy.definition import Environment

router = APIRouter(prefix="/api/v1/models/{model_name}/versions/{version}", tags=["models"])
CanRead = Annotated[Principal, requires("model:read")]
Name = Annotated[str, Path(max_length=250)]
Version = Annotated[str, Path(max_length=20, description="a number, or 'latest'")]
Compared = Annotated[Environment, Query(description="whose live version the libraries are compared with")]


@router.get("/libraries", operation_id="get_libraries")
async def libraries(
    caller: CanRead,
    model_name: Name,
    version: Version,
    session: ReadSessionDep,
    services: ServicesDep,
    environment: Compared = "production",
) -> Materials:
    """Return the libraries a version is loaded in, their licences, what differs from the live version, and known vulnerabilities."""
    return await service.of_version(session, services.advisories, caller, model_name, version, environment)


@router.get("/sbom", operation_id="get_sbom", response_class=Response)
async def sbom(
    caller: CanRead, model_name: Name, version: Version, session: ReadSessionDep, services: ServicesDep
) -> Response:
    """Return the bill of materials of a version: CycloneDX 1.6 in JSON. It names what the build found, or no library yet."""
    # the library costs memory that few requests need
    from mlops_platform.materials.bill import MEDIA_TYPE, bill

    found = await service.of_version(session, services.advisories, caller, model_name, version, "production")
    return Response(bill(found), media_type=MEDIA_TYPE)
