"""What the data plane takes and answers. Requests are decoded by these structs; the OpenAPI document is made from all."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from mlops_platform.features.interfaces import Status
from mlops_platform.policy.definition import Environment
from model_server.contract.decoder import MAX_ROWS
from model_server.doors.datatypes import Datatype
from model_server.doors.infer import Size

MAX_ENTITIES = 1_000
MAX_REFS = 200
MAX_KEYS = 10

Value = float | int | str | bool | None
Key = Annotated[str, Meta(max_length=500)] | int
Ref = Annotated[str, Meta(pattern=r"^[^:\s]+:[^:\s]+$", max_length=300, description="'view:feature'")]

_SCORES = "per row, beside labels without probabilities: how odd it is, how far from each centre, or from each border"
# it stays bytes here: who reads it knows the model
_VALUE = {"type": ["number", "string", "boolean", "null"]}
_ROW = {"type": "object", "additionalProperties": _VALUE}
_LIST = {"type": "array", "items": _VALUE}
_COLUMNS = {"type": "object", "additionalProperties": {"type": "array", "items": _VALUE}}
InputData = Annotated[
    Raw,
    Meta(
        description="one row, columns of values (what features/retrieve answers), or a list of rows: objects, or lists in "
        "the model's order",
        extra_json_schema={"anyOf": [_ROW, _COLUMNS, {"type": "array", "items": {"anyOf": [_ROW, _LIST]}}]},
    ),
]


class PredictRequest(Struct, forbid_unknown_fields=True, gc=False):
    """Values, or the ids of entities whose values are in the feature store."""

    model_name: str
    input_data: InputData = field(default_factory=Raw)
    model_version: Annotated[str | int, Meta(description="a number, an alias of the registry, or 'latest'")] = "latest"
    return_explanations: bool = False
    environment: Annotated[Environment | None, Meta(description="production before staging when it is not named")] = (
        None
    )
    entity_ids: Annotated[list[Key], Meta(max_length=MAX_ROWS)] | None = None
    params: Annotated[
        Raw, Meta(description="values of the params the model declares", extra_json_schema={"type": "object"})
    ] = field(default_factory=Raw)


class Background(Struct):
    """What the explained rows were compared with."""

    source: Annotated[
        str,
        Meta(
            description="input_example, training_sample, recent_inputs, training_trees, training_statistics, "
            "this_request, zeros, or the name of the file that was logged with the model"
        ),
    ]
    rows: Annotated[int | None, Meta(description="how many rows; null when the model's trees needed none")]
    detail: str


class ExplainedClasses(Struct):
    """Attributions of each row to the probability of every class, in the order of `labels`."""

    labels: list[Value]
    shap_values: list[list[list[float]]]
    base_values: list[list[float]]
    raw_output: list[list[float]]


class Explanations(Struct):
    """Attributions of each row, or why there are none."""

    method: str
    feature_names: list[str] | UnsetType = UNSET
    shap_values: Annotated[
        list[list[Any]] | UnsetType,
        Meta(description="per row: one number for each input; of several values or scores, one list for each of them"),
    ] = UNSET
    base_values: list[float | list[float]] | UnsetType = UNSET
    raw_output: Annotated[
        list[float | list[float]] | UnsetType, Meta(description="per row: base value and attributions add up to it")
    ] = UNSET
    space: Annotated[Literal["probability", "value", "score"] | UnsetType, Meta(description="what is added up")] = UNSET
    algorithm: str | UnsetType = UNSET
    explained_labels: list[Value] | UnsetType | None = UNSET
    by_class: Annotated[
        ExplainedClasses | UnsetType,
        Meta(description="for multi-class models: the same for every class; absent beyond 100,000 attributions"),
    ] = UNSET
    background: Background | UnsetType = UNSET
    error: Annotated[str | UnsetType, Meta(description="a stable word, when there are no attributions")] = UNSET
    detail: str | UnsetType = UNSET


class PredictAnswer(Struct):
    """One prediction per row."""

    status: Literal["success"]
    model_name: str
    model_version: str
    environment: Environment
    revision: int
    prediction_id: str
    prediction: Annotated[
        list[float | int | str | bool | list[Any] | dict[str, Any] | None],
        Meta(description="per row: the probability of the positive class, class probabilities, or the value"),
    ]
    labels: Annotated[list[Value] | UnsetType, Meta(description="per row, for classifiers")] = UNSET
    classes: Annotated[
        list[Value] | UnsetType, Meta(description="the order of class probabilities, for multi-class models")
    ] = UNSET
    scores: Annotated[list[float | list[float]] | UnsetType, Meta(description=_SCORES)] = UNSET
    explanations: Explanations | UnsetType = UNSET


class RetrieveRequest(Struct, forbid_unknown_fields=True):
    """Which features of whom. The join key comes from the views; name keys with `entities` when there are several."""

    feature_refs: Annotated[list[Ref], Meta(min_length=1, max_length=MAX_REFS)]
    entity_ids: Annotated[list[Key], Meta(max_length=MAX_ENTITIES)] = []
    entities: Annotated[
        dict[str, Annotated[list[Key], Meta(max_length=MAX_ENTITIES)]],
        Meta(max_length=MAX_KEYS, description="a column of keys per join key"),
    ] = {}
    include_metadata: bool = False
    on_missing: Literal["null", "error"] = "null"


class FeatureMetadata(Struct):
    """Per feature and entity: where the value stands, and when it was true."""

    statuses: dict[str, list[Status]]
    event_timestamps: dict[str, list[datetime | None]]


class RetrieveAnswer(Struct):
    """Columns of values, one entry per entity; an entity that is not stored answers nulls."""

    status: Literal["success"]
    features: dict[str, list[Any]]
    entity_count: int
    metadata: FeatureMetadata | UnsetType = UNSET


class PlainAnswer(Struct):
    """Predictions as KServe's v1 protocol and MLflow's scoring server name them, with the labels of a classifier."""

    predictions: Annotated[
        list[float | int | str | bool | list[Any] | dict[str, Any] | None],
        Meta(description="per row: the probability of the positive class, class probabilities, or the value"),
    ]
    prediction_id: str
    model_version: str
    labels: Annotated[list[Value] | UnsetType, Meta(description="per row, for classifiers")] = UNSET
    scores: Annotated[list[float | list[float]] | UnsetType, Meta(description=_SCORES)] = UNSET


class ModelList(Struct):
    """Names of models that answer this caller."""

    models: list[str]


class InferOutput(Struct):
    """One tensor of an answer."""

    name: str
    datatype: Datatype
    shape: list[Size]
    data: list[Any]


class InferParameters(Struct):
    """What the protocol has no place for; the request's own parameters stand beside it."""

    revision: int
    prediction_id: str


class InferAnswer(Struct):
    """Predictions as tensors. `id` is the request's own, or else the prediction's."""

    model_name: str
    model_version: str
    id: str
    parameters: InferParameters
    outputs: list[InferOutput]


class ServerMetadata(Struct):
    """The server."""

    name: str
    version: str
    extensions: list[str]


class ServerLive(Struct):
    """Whether the process answers."""

    live: bool


class ServerReady(Struct):
    """Whether the routes are known."""

    ready: bool


class TensorMetadata(Struct):
    """One input or output; -1 stands for the number of rows."""

    name: str
    datatype: Datatype
    shape: list[int]


class ModelMetadata(Struct):
    """A model's inputs and outputs."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    properties: dict[str, str]


class ModelReady(Struct):
    """Whether the model answers."""

    name: str
    ready: bool


class InferenceError(Struct):
    """The protocols' own form of an error; `errors` has one entry per wrong part, where there are parts."""

    error: str
    errors: list[dict[str, Any]] | UnsetType = UNSET
