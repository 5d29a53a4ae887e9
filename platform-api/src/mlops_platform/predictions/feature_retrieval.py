"""`POST /api/v1/features/retrieve`: decoded by a struct, encoded by orjson, without FastAPI."""

from functools import partial
from typing import Any

import msgspec
import orjson

from mlops_platform.dependencies import Services
from mlops_platform.errors import BadRequest, Invalid
from mlops_platform.features import service
from mlops_platform.predictions.callers import Caller
from mlops_platform.predictions.schemas import RetrieveRequest


class RetrieveNotJson(BadRequest):
    """The body is not JSON."""

    def __init__(self) -> None:
        super().__init__("The body could not be parsed as JSON; send one JSON object.")


class RetrieveNotValid(Invalid):
    """The body does not fit."""

    title = "The request does not fit the API's schema"


_DECODER = msgspec.json.Decoder(RetrieveRequest)


async def retrieve_raw(services: Services, caller: Caller, body: bytes) -> bytes:
    """Return the JSON answer to a JSON request.

    Raises RetrieveNotJson, RetrieveNotValid and the errors of features.service.retrieve.
    """
    try:
        request = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        hint = " A feature is written 'view:feature'." if "$.feature_refs[" in str(error) else ""
        raise RetrieveNotValid(f"{error}.{hint}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RetrieveNotJson from error
    found = await service.retrieve(
        services.features,
        partial(caller.may, "feature:read"),
        request.feature_refs,
        request.entity_ids,
        request.entities,
        missing_is_error=request.on_missing == "error",
    )
    answer: dict[str, Any] = {
        "status": "success",
        "features": found.columns,
        "entity_count": len(next(iter(found.columns.values()))),
    }
    if request.include_metadata:
        answer["metadata"] = service.provenance(found)
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
