"""The doors as their callers use them: each sends rows and gives back what was answered, in one form."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import httpx
import numpy as np
from tritonclient.http import InferenceServerClient, InferInput, InferResult
from tritonclient.utils import InferenceServerException

from .models import Row, Sample

_KINDS = {"FP64": np.float64, "INT64": np.int64, "BYTES": np.object_}
_PATIENCE_SECONDS = 60


class Said(NamedTuple):
    """What a server answered: predictions and labels, or a status with its sentence and problems."""

    status: int
    predictions: Any = None
    labels: Any = None
    sentence: str = ""
    problems: list[dict[str, Any]] | None = None


Door = Callable[[str, Mapping[str, str], str, Sample, list[Row]], Said]


def _post(url: str, headers: Mapping[str, str], body: object) -> httpx.Response:
    content = json.dumps(body).encode()
    sent = {**headers, "content-type": "application/json"}
    return httpx.post(url, content=content, headers=sent, timeout=_PATIENCE_SECONDS)


def _refused(answer: httpx.Response) -> Said:
    content = answer.json()
    problems = content.get("errors") or content.get("problems")
    return Said(answer.status_code, sentence=content.get("detail") or content["error"], problems=problems)


def predict(url: str, headers: Mapping[str, str], name: str, _sample: Sample, rows: list[Row]) -> Said:
    """The platform's own door."""
    answer = _post(f"{url}/api/v1/predict", headers, {"model_name": name, "input_data": rows})
    if not answer.is_success:
        return _refused(answer)
    content = answer.json()
    return Said(200, content["prediction"], content.get("labels"))


def v1(url: str, headers: Mapping[str, str], name: str, sample: Sample, rows: list[Row]) -> Said:
    """KServe v1, as lists in the model's order."""
    instances = [[row[column] for column in sample.frame.columns] for row in rows]
    return _plain(_post(f"{url}/v1/models/{name}:predict", headers, {"instances": instances}))


def invocations(url: str, headers: Mapping[str, str], name: str, sample: Sample, rows: list[Row]) -> Said:
    """MLflow's scoring server, with the columns in another order; the model server has it at its root."""
    path = f"/v1/models/{name}/invocations" if headers else "/invocations"
    columns = list(sample.frame.columns)[::-1]
    split = {"columns": columns, "data": [[row[column] for column in columns] for row in rows]}
    return _plain(_post(f"{url}{path}", headers, {"dataframe_split": split}))


def _plain(answer: httpx.Response) -> Said:
    if not answer.is_success:
        return _refused(answer)
    content = answer.json()
    return Said(200, content["predictions"], content.get("labels"))


def oip_json(url: str, headers: Mapping[str, str], name: str, sample: Sample, rows: list[Row]) -> Said:
    """The Open Inference Protocol in JSON, a tensor per input."""
    tensors = [
        {"name": column, "datatype": datatype, "shape": [len(rows), 1], "data": [row[column] for row in rows]}
        for column, datatype in sample.datatypes.items()
    ]
    answer = _post(f"{url}/v2/models/{name}/infer", headers, {"inputs": tensors})
    if not answer.is_success:
        return _refused(answer)
    outputs = {output["name"]: output for output in answer.json()["outputs"]}
    found = {key: np.array(output["data"]).reshape(output["shape"]).tolist() for key, output in outputs.items()}
    return Said(200, found["prediction"], found.get("label"))


def oip_binary(url: str, headers: Mapping[str, str], name: str, sample: Sample, rows: list[Row]) -> Said:
    """The same with Triton's client and its defaults: values in binary, both ways."""
    inputs = []
    for column, datatype in sample.datatypes.items():
        tensor = InferInput(column, [len(rows)], datatype)
        try:
            sent = [row[column] for row in rows]
            values = np.array(sent, _KINDS[datatype])
            if datatype != "FP64" and values.tolist() != sent:
                # rounded: the client would send another value
                return Said(0)
        except (OverflowError, ValueError, TypeError):
            # no array of the model's type holds it; a caller would send what does
            return Said(0)
        tensor.set_data_from_numpy(values)
        inputs.append(tensor)
    with InferenceServerClient(url.removeprefix("http://"), network_timeout=_PATIENCE_SECONDS) as client:
        try:
            result = client.infer(name, inputs, headers=dict(headers), outputs=None)
        except InferenceServerException as error:
            return Said(int(error.status()), sentence=error.message())
    return Said(200, _values(result, "prediction"), _values(result, "label"))


def _values(result: InferResult, name: str) -> Any:
    array = result.as_numpy(name)
    if array is None:
        return None
    return [value.decode() if isinstance(value, bytes) else value for value in array.tolist()]


DOORS: dict[str, Door] = {
    "predict": predict,
    "v1": v1,
    "invocations": invocations,
    "oip json": oip_json,
    "oip binary": oip_binary,
}
