"""Every path of the data plane, once: requests are routed by this list and the OpenAPI document is made from it."""

import re
from typing import NamedTuple

from msgspec import Struct

from mlops_platform.predictions import schemas
from model_server.doors.infer import InferRequest
from model_server.doors.plain import PlainRequest

PREDICT = "/api/v1/predict"
RETRIEVE = "/api/v1/features/retrieve"
INFERENCE = "/v2"
PLAIN = "/v1"


class Operation(NamedTuple):
    """One method of one path. `public`: it answers without a token."""

    method: str
    path: str
    id: str
    summary: str
    answer: type[Struct]
    body: type[Struct] | None = None
    tag: str = "predictions"
    public: bool = False

    @property
    def open_inference(self) -> bool:
        """Whether it belongs to a protocol of KServe's, which have their own form of an error."""
        return self.path.startswith((INFERENCE, PLAIN))


_MODEL = f"{INFERENCE}/models/{{model_name}}"
_V1_MODEL = f"{PLAIN}/models/{{model_name}}"
_VERSION = f"{_MODEL}/versions/{{model_version}}"


def _of_model(path: str, kind: str, of: str) -> tuple[Operation, ...]:
    return (
        Operation("GET", path, f"oip_{kind}metadata", f"Inputs and outputs of {of}", schemas.ModelMetadata),
        Operation("GET", f"{path}/ready", f"oip_{kind or 'model_'}ready", f"Whether {of} answers", schemas.ModelReady),
        Operation(
            "POST",
            f"{path}/infer",
            f"oip_{kind}infer",
            f"Predict by tensors with {of} (Open Inference Protocol)",
            schemas.InferAnswer,
            InferRequest,
        ),
    )


def _plain(path: str, kind: str, of: str) -> tuple[Operation, ...]:
    return tuple(
        Operation(
            "POST", f"{path}{door}", f"{kind}{name}", f"Predict with {of} ({says})", schemas.PlainAnswer, PlainRequest
        )
        for door, name, says in (
            (":predict", "v1_predict", "KServe's v1 protocol"),
            ("/invocations", "invocations", "the bodies of MLflow's scoring server"),
        )
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "POST",
        PREDICT,
        "predict",
        "Predict by values or by entity id",
        schemas.PredictAnswer,
        schemas.PredictRequest,
    ),
    Operation(
        "POST",
        RETRIEVE,
        "retrieve_features",
        "Return the newest values of features",
        schemas.RetrieveAnswer,
        schemas.RetrieveRequest,
        tag="features",
    ),
    Operation("GET", INFERENCE, "oip_server_metadata", "The server's name and version", schemas.ServerMetadata),
    Operation(
        "GET", f"{INFERENCE}/health/live", "oip_live", "Whether the process answers", schemas.ServerLive, public=True
    ),
    Operation(
        "GET",
        f"{INFERENCE}/health/ready",
        "oip_ready",
        "Whether the routes are known",
        schemas.ServerReady,
        public=True,
    ),
    *_of_model(_MODEL, "", "a model"),
    *_of_model(_VERSION, "version_", "a version"),
    Operation("GET", f"{PLAIN}/models", "v1_models", "Models that answer this caller", schemas.ModelList),
    Operation("GET", _V1_MODEL, "v1_model_ready", "Whether a model answers (KServe's v1 protocol)", schemas.ModelReady),
    *_plain(_V1_MODEL, "", "a model"),
    *_plain(f"{_V1_MODEL}/versions/{{model_version}}", "version_", "a version"),
)
BY_PATH = {operation.path: operation for operation in OPERATIONS}

_PREDICT = PREDICT.encode()
_INFER = re.compile(rb"/v2/models/[^/%?]+(?:/versions/[^/%?]+)?/infer")


def is_short(url: bytes) -> bool:
    """Return whether requests to a path may be answered at once; a name that is written in percents takes the long way."""
    return url == _PREDICT or (url.startswith(b"/v2/models/") and _INFER.fullmatch(url) is not None)
