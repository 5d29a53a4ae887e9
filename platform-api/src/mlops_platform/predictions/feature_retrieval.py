"""`POST /api/v1/features/retrieve` without FastAPI: decoded by msgspec, encoded by orjson. Same service, same answers."""

from typing import Any, Literal

import msgspec
import orjson

from mlops_platform.dependencies import Services
from mlops_platform.errors import BadRequest, Invalid
from mlops_platform.features import service
from mlops_platform.features.schemas import MAX_ENTITIES, MAX_REFS
from mlops_platform.identity.principal import Principal


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    feature_refs: list[str]
    entity_ids: list[str | int] = []
    entities: dict[str, list[str | int]] = {}
    include_metadata: bool = False
    on_missing: Literal["null", "error"] = "null"


class RetrieveNotJson(BadRequest):
    """The body is not JSON."""

    def __init__(self) -> None:
        super().__init__("The body could not be parsed as JSON; send one JSON object.")


class RetrieveNotValid(Invalid):
    """The body does not fit."""

    title = "The request does not fit the API's schema"


_DECODER = msgspec.json.Decoder(_Request)


async def retrieve_raw(services: Services, principal: Principal, body: bytes) -> bytes:
    """Return the JSON answer to a JSON request. Raises the situations of features.service.retrieve."""
    try:
        request = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise RetrieveNotValid(f"{error}.") from error
    except msgspec.DecodeError as error:
        raise RetrieveNotJson from error
    count = len(request.entity_ids) or max(map(len, request.entities.values()), default=0)
    if not request.feature_refs or len(request.feature_refs) > MAX_REFS or count > MAX_ENTITIES:
        raise RetrieveNotValid(f"Ask for 1 to {MAX_REFS} features of at most {MAX_ENTITIES} entities at once.")
    found = await service.retrieve(
        services.features,
        principal,
        request.feature_refs,
        request.entity_ids,
        request.entities,
        missing_is_error=request.on_missing == "error",
    )
    answer: dict[str, Any] = {"status": "success", "features": found.columns, "entity_count": count}
    if request.include_metadata:
        answer["metadata"] = service.provenance(found)
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
