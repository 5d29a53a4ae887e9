"""Models that answer with what they were given, one for every type of MLflow's signature, served without a build.

What a row must reach the model as is written down here apart from the code that is tested.
"""

import base64
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from model_server.build.schema import infer_inputs
from model_server.bundle import AnswerForm, Bundle
from model_server.digests import tree_digest
from model_server.engines.native import NativeModel
from model_server.engines.params import declared_params
from model_server.serve.asgi import ModelServerApp
from model_server.serve.served_model import ServedModel
from model_server.trust.files import BuiltFiles

from ..predictions.small_bundles import bundle

Row = dict[str, Any]
_LARGEST_FLOAT = float(np.finfo(np.float32).max)
_BITS = {"long": 63, "integer": 31}
TYPES = {
    "float64": "double",
    "float32": "float",
    "int64": "long",
    "int32": "integer",
    "bool": "boolean",
    "str": "string",
}


class Misfit(Exception):
    """The model of this signature does not take the value."""


class Echo(NamedTuple):
    """A signature as MLflow writes it, with params or none."""

    columns: tuple[dict[str, Any], ...]
    params: tuple[dict[str, Any], ...] = ()

    @property
    def names(self) -> list[str]:
        return [column["name"] for column in self.columns]

    def answer(self, row: Row) -> Any:
        """Return what the model must see of a row, as JSON. Raises Misfit."""
        if not row.keys() <= set(self.names):
            raise Misfit
        return {column["name"]: seen(column, row.get(column["name"])) for column in self.columns}


def seen(column: dict[str, Any], value: Any) -> Any:
    """Return what the model sees of one value of an input. Raises Misfit."""
    if value is None:
        if column.get("required", True) and column["type"] != "any":
            raise Misfit
        return None
    found = _inside(column, value)
    if column["type"] in _BITS and not column.get("required", True):
        # what may be missing is held as a decimal number
        return float(found)
    if column["type"] == "binary":
        return base64.b64decode(found).hex()
    return found


def _inside(spec: dict[str, Any], value: Any) -> Any:
    kind = spec["type"]
    if kind in _PLAIN:
        return _PLAIN[kind](value)
    if kind == "tensor":
        return _tensor(spec["tensor-spec"]["shape"][1:], TYPES[spec["tensor-spec"]["dtype"]], value)
    if kind == "array":
        return [_inside(spec["items"], part) for part in _a(list, value)]
    if kind == "map":
        return {_text(name): _inside(spec["values"], part) for name, part in _a(dict, value).items()}
    return _object(spec["properties"], _a(dict, value))


def _a(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise Misfit
    return value


def _number(kind: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Misfit
    if not abs(value) <= (_LARGEST_FLOAT if kind == "float" else float(np.finfo(np.float64).max)):
        raise Misfit
    return float(value)


def _whole(kind: str, value: Any) -> int:
    number = _number("double", value)
    most = 2 ** _BITS[kind]
    if not -most <= value < most or (isinstance(value, float) and not number.is_integer()):
        raise Misfit
    return int(value)


def _boolean(value: Any) -> bool:
    return bool(_a(bool, value))


def _text(value: Any) -> str:
    text = str(_a(str, value))
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Misfit
    return text


def _moment(value: Any) -> str:
    try:
        found = datetime.fromisoformat(_a(str, value))
    except ValueError as error:
        raise Misfit from error
    return (found.astimezone(UTC) if found.tzinfo else found).replace(tzinfo=None).isoformat()


def _bytes(value: Any) -> str:
    try:
        base64.b64decode(_a(str, value), validate=True)
    except ValueError as error:
        raise Misfit from error
    return str(value)


def _object(properties: dict[str, Any], value: Row) -> Row:
    given = {name: part for name, part in value.items() if part is not None}
    needed = {name for name, part in properties.items() if part.get("required", True)}
    if not needed <= given.keys() or not value.keys() <= properties.keys():
        raise Misfit
    return {name: _inside(properties[name], part) for name, part in given.items()}


def _any(value: Any) -> Any:
    if isinstance(value, list):
        return [_any(part) for part in value]
    if isinstance(value, dict):
        return {_text(name): _any(part) for name, part in value.items()}
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool):
        return value
    return value if isinstance(value, int) and -(2**63) <= value < 2**63 else _number("double", value)


def _tensor(shape: list[int], kind: str, value: Any) -> Any:
    if not shape:
        return _inside({"type": kind}, value)
    if len(_a(list, value)) != shape[0] and shape[0] >= 0:
        raise Misfit
    return [_tensor(shape[1:], kind, part) for part in value]


_PLAIN: dict[str, Callable[[Any], Any]] = {
    **{kind: partial(_number, kind) for kind in ("double", "float")},
    **{kind: partial(_whole, kind) for kind in _BITS},
    "boolean": _boolean,
    "string": _text,
    "datetime": _moment,
    "binary": _bytes,
    "any": _any,
}


# --- the model


class _Estimator:
    """Answers each row with what it is, as JSON text; with params, beside them."""

    def predict(self, rows: Any, params: Any = None) -> Any:
        if isinstance(rows, pd.DataFrame):
            found = [{str(name): _plain(rows[name].iloc[place]) for name in rows} for place in range(len(rows))]
        else:
            count = len(next(iter(rows.values())))
            found = [{name: values.tolist()[place] for name, values in rows.items()} for place in range(count)]
        return np.array([json.dumps({"row": row, "params": params or {}}) for row in found], dtype=object)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime().isoformat()
    value = value.item() if isinstance(value, np.generic) else value
    return None if value is pd.NaT or (isinstance(value, float) and math.isnan(value)) else value


class Echoing(ServedModel):
    """A bundle whose model is an echo."""

    def _native_model(self) -> NativeModel:
        return NativeModel(_Estimator(), "pyfunc", "raw", ())


def served(echo: Echo, folder: Path, name: str) -> tuple[Path, ModelServerApp]:
    """Write the bundle of an echo; return it with its model's process."""
    inputs, _ = infer_inputs([dict(column) for column in echo.columns], None)
    (folder / "native").mkdir(parents=True)
    (folder / "native" / "MLmodel").write_text("flavors: {}")
    (folder / "report.json").write_text('{"verdict": "built"}')
    tensors = any(column.spec and column.spec["type"] == "tensor" for column in inputs)
    content = Bundle(
        digest=tree_digest(folder / "native"),
        model_name=name,
        model_version=1,
        flavor="pyfunc",
        task="raw",
        engine="process",
        inputs=inputs,
        labels=(),
        positive_label=None,
        native_input="tensors" if tensors else "frame",
        onnx=None,
        answer=AnswerForm((), "BYTES"),
        params=declared_params([dict(entry) for entry in echo.params]),
    )
    bundle(folder, [])
    (folder / "model.onnx").unlink()
    content.write(folder / "bundle.json")
    return folder, ModelServerApp(Echoing(BuiltFiles(folder)))
