"""What the build hands to whoever serves: `bundle.json` beside the model. Format 1."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from model_server.build.report import write_json
from model_server.digests import tree_digest
from model_server.formats.flavours import Code
from model_server.refusals import Refused
from model_server.trust.files import Files

Task = Literal["binary", "multiclass", "regression", "raw"]
Engine = Literal["onnx", "process"]
# array: [rows, columns]; frame: a pandas DataFrame; values: a pandas Series of the only column, for text models;
# tensor: [rows, *shape] of the only input; tensors: the same by name, for several
Form = Literal["array", "frame", "values", "tensor", "tensors"]
Extra = Literal["refuse", "ignore"]
# how a missing value was held in the frame the model was trained on; `float`: true, false and missing as 1, 0 and NaN
Missing = Literal["nan", "none", "na", "float"]
Datatype = Literal["FP64", "INT64", "UINT64", "BOOL", "BYTES"]
# what scikit-learn calls the numbers behind a label: how far a row is on either side, distances from centres, shares
Scoring = Literal["decision_function", "transform", "predict_proba"]

FORMAT = 1
# as many rows as a build asks together, and so as many as it proves
MOST_JOINED = 64


@dataclass(frozen=True)
class InputColumn:
    """One input: `type` is a type of MLflow's schema, or `tensor`; a required one may not be null.

    `missing` says how a null of a text or boolean input reaches the model; in a number it is always NaN. `categories`
    are those of a pandas category the model was trained on, in its order. `spec` describes what is nested: MLflow's own
    description of an array, object or map, or {type: tensor, dtype, shape} of one row.
    """

    name: str
    type: str
    required: bool = True
    missing: Missing = "nan"
    categories: tuple[Any, ...] | None = None
    spec: dict[str, Any] | None = None


@dataclass(frozen=True)
class AnswerField:
    """One named value of a row's answer."""

    name: str
    shape: tuple[int, ...]
    datatype: Datatype


@dataclass(frozen=True)
class Scores:
    """The numbers that a row is answered with beside its label: shape () is one, (3,) a list of three."""

    method: Scoring
    shape: tuple[int, ...]


@dataclass(frozen=True)
class AnswerForm:
    """What one row is answered with: shape () is one value, (2,) a list of two. The datatype is OIP's name for the values.

    The shape is None in bundles from before it was recorded, where the task does not tell it. With `fields` the one value is an
    object {name: value}. `scores` are those of a detector, a clusterer or another model that answers labels without probabilities.
    """

    shape: tuple[int, ...] | None
    datatype: Datatype
    fields: tuple[AnswerField, ...] | None = None
    scores: Scores | None = None


@dataclass(frozen=True)
class Parameter:
    """What a request may say beside its rows: `type` is MLflow's (double, long, string, …); shape None is one value, (-1,) a list."""

    name: str
    type: str
    default: Any
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class OnnxGraph:
    """How to call model.onnx.

    mode `tensor`: one input named `input` of shape [rows, columns] and type `dtype`. mode `columns`: one input of
    shape [rows, 1] per column, named like the column, of the type in `columns` (float64, float32, int64, string, bool; optional_string has a text that
    stands for what is missing, see engines/texts.py).
    `probabilities` [rows, classes], `label` [rows], `value` [rows, targets] are names of outputs; null when absent.
    """

    file: str
    sha256: str
    mode: Literal["tensor", "columns"]
    dtype: str
    input: str | None
    columns: dict[str, str]
    probabilities: str | None
    label: str | None
    value: str | None
    # the graph's name of every input that is called otherwise than its column
    feeds: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """A built model version. `digest` names the artifact tree in native/."""

    digest: str
    model_name: str
    model_version: int
    flavor: str
    task: Task
    engine: Engine
    inputs: tuple[InputColumn, ...]
    labels: tuple[Any, ...]
    positive_label: Any
    native_input: Form
    onnx: OnnxGraph | None
    answer: AnswerForm
    feature_refs: tuple[str, ...] = ()
    # what becomes of a value that is none of the inputs: the owner's choice, in the metadata of the model's own files
    extra_inputs: Extra = "refuse"
    params: tuple[Parameter, ...] = ()
    code: Code = "none"
    """`declared`: the model brings Python code of its own, and is loaded in confined processes only."""
    format: int = FORMAT
    joined_rows: int = 0
    """As many rows of different requests may stand in one call, because they are independent; 0: each request alone."""
    libraries: str | None = None
    """Name of the environment the model is loaded in; None for the platform's own."""

    @property
    def columns(self) -> list[str]:
        """The names of the inputs, in the model's order."""
        return [column.name for column in self.inputs]

    def write(self, path: Path) -> None:
        """Write bundle.json atomically."""
        write_json(path, asdict(self))


def read_bundle(files: Files) -> Bundle:
    """Read a bundle. Raises Refused `not_built` unless its report says `built`, `bad_bundle` when it is damaged."""
    try:
        report = json.loads(_needed(files, "report.json"))
        if report["verdict"] != "built":
            raise Refused("not_built", f"The build refused this model: {report.get('detail') or report.get('reason')}")
        return parse_bundle(json.loads(_needed(files, "bundle.json")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused("bad_bundle", "The bundle is damaged or incomplete; build the version again.") from error


def _needed(files: Files, name: str) -> bytes:
    if (content := files.read(name)) is None:
        raise FileNotFoundError(name)
    return content


def parse_bundle(content: dict[str, Any]) -> Bundle:
    """Turn the content of bundle.json into a Bundle. Raises KeyError, TypeError or ValueError when it does not fit."""
    if content.get("format") != FORMAT:
        raise ValueError
    onnx = content["onnx"]
    return Bundle(
        **{
            **content,
            "inputs": tuple(map(input_column, content["inputs"])),
            "labels": tuple(content["labels"]),
            "answer": _answer_form(content),
            "feature_refs": tuple(content.get("feature_refs", ())),
            "onnx": OnnxGraph(**onnx) if onnx else None,
            "params": tuple(map(parameter, content.get("params", ()))),
            "code": _code(content.get("code", "none")),
            "joined_rows": joined_rows(content.get("joined_rows", 0)),
        }
    )


def input_column(described: dict[str, Any]) -> InputColumn:
    """Return an input as JSON describes it. Raises TypeError for what InputColumn does not have."""
    categories = described.get("categories")
    return InputColumn(**{**described, "categories": None if categories is None else tuple(categories)})


def _answer_form(content: dict[str, Any]) -> AnswerForm:
    described = content.get("answer")
    if described is not None:
        fields = described.get("fields")
        return AnswerForm(
            tuple(described["shape"]),
            described["datatype"],
            None if fields is None else answer_fields(fields),
            answer_scores(described.get("scores")),
        )
    # built before answers were described: one value a row, but for these
    if content["task"] == "raw":
        return AnswerForm(None, "BYTES")
    return AnswerForm((len(content["labels"]),) if content["task"] == "multiclass" else (), "FP64")


def answer_fields(found: list[dict[str, Any]]) -> tuple[AnswerField, ...]:
    """Return the named values of an answer as JSON describes them. Raises KeyError and TypeError."""
    return tuple(AnswerField(entry["name"], tuple(entry["shape"]), entry["datatype"]) for entry in found)


def answer_scores(found: dict[str, Any] | None) -> Scores | None:
    """Return the scores of an answer as JSON describes them. Raises KeyError, TypeError and ValueError."""
    if found is None:
        return None
    if found["method"] not in get_args(Scoring):
        raise ValueError
    return Scores(found["method"], tuple(found["shape"]))


def parameter(found: dict[str, Any]) -> Parameter:
    """Return a param as JSON describes it. Raises KeyError."""
    shape = found.get("shape")
    return Parameter(found["name"], found["type"], found["default"], None if shape is None else tuple(shape))


def joined_rows(found: Any) -> int:
    """Return how many rows may be joined. Raises ValueError for what no build states."""
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= MOST_JOINED:
        raise ValueError
    return found


def _code(found: Any) -> Code:
    if found not in ("none", "declared"):
        raise ValueError
    return "declared" if found == "declared" else "none"


def native_artifact(native: Path, bundle: Bundle) -> Path:
    """Return the native folder. Raises Refused `digest_mismatch` when its files are not those the build was given."""
    if tree_digest(native) != bundle.digest:
        raise Refused("digest_mismatch", "The model's files differ from those that were checked and approved.")
    return native


def compiled_graph(files: Files, bundle: Bundle) -> bytes | None:
    """Return the compiled model, None when there is none. Raises Refused `digest_mismatch`."""
    if bundle.onnx is None:
        return None
    content = files.read(bundle.onnx.file)
    if content is None or hashlib.sha256(content).hexdigest() != bundle.onnx.sha256:
        raise Refused("digest_mismatch", "The compiled model differs from the one that was proven.")
    return content
