"""The doors as their callers use them: each sends rows and gives back what was answered, in one form."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import httpx
import numpy as np
from tritonclient.http import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from .sample import Row, Sample

_KINDS = {"FP64": np.float64, "INT64": np.int64, "BYTES": np.object_}
_PATIENCE_SECONDS = 60
_BESIDE = ("label", "score")


class Answered(NamedTuple):
    """What a server answered: predictions, labels and scores, or a status with its sentence and problems."""

    status: int
    predictions: Any = None
    labels: Any = None
    scores: Any = None
    sentence: str = ""
    problems: list[dict[str, Any]] | None = None


Door = Callable[[str, Mapping[str, str], str, Sample, list[Row]], Answered]


def _post(url: str, headers: Mapping[str, str], body: dict[str, Any], sample: Sample) -> httpx.Response:
    content = json.dumps({**body, "params": sample.params} if sample.params else body).encode()
    sent = {**headers, "content-type": "application/json"}
    return httpx.post(url, content=content, headers=sent, timeout=_PATIENCE_SECONDS)


def _refused(answer: httpx.Response) -> Answered:
    content = answer.json()
    problems = content.get("errors") or content.get("problems")
    return Answered(answer.status_code, sentence=content.get("detail") or content["error"], problems=problems)


def predict(url: str, headers: Mapping[str, str], name: str, sample: Sample, rows: list[Row]) -> Answered:
    """The platform's own door."""
    answer = _post(f"{url}/api/v1/predict", headers, {"model_name": name, "input_data": rows}, sample)
    if not answer.is_success:
        return _refused(answer)
    content = answer.json()
    return Answered(200, content["prediction"], content.get("labels"), content.get("scores"))


def v1(url: str, headers: Mapping[str, str], name: str, sample: Sample, rows: list[Row]) -> Answered:
    """KServe v1, as lists in the model's order; a single input that holds lists is an instance itself."""
    lists = [[row[column] for column in sample.datatypes] for row in rows]
    instances = [row[0] for row in lists] if sample.axes and len(sample.datatypes) == 1 else lists
    return _plain(_post(f"{url}/v1/models/{name}:predict", headers, {"instances": instances}, sample))


def invocations(url: str, headers: Mapping[str, str], name: str, sample: Sample, rows: list[Row]) -> Answered:
    """MLflow's scoring server, with the columns in another order; the model server has it at its root."""
    path = f"/v1/models/{name}/invocations" if headers else "/invocations"
    columns = list(sample.datatypes)[::-1]
    split = {"columns": columns, "data": [[row[column] for column in columns] for row in rows]}
    return _plain(_post(f"{url}{path}", headers, {"dataframe_split": split}, sample))


def _plain(answer: httpx.Response) -> Answered:
    if not answer.is_success:
        return _refused(answer)
    content = answer.json()
    return Answered(200, content["predictions"], content.get("labels"), content.get("scores"))


def oip_json(url: str, headers: Mapping[str, str], name: str, sample: Sample, rows: list[Row]) -> Answered:
    """The Open Inference Protocol in JSON, a tensor per input."""
    tensors = [
        {
            "name": column,
            "datatype": datatype,
            "shape": [len(rows), *sample.axes.get(column, (1,))],
            "data": [row[column] for row in rows],
        }
        for column, datatype in sample.datatypes.items()
    ]
    body: dict[str, Any] = {"inputs": tensors}
    if sample.params:
        body["parameters"] = {"params": sample.params}
    content = json.dumps(body).encode()
    sent = {**headers, "content-type": "application/json"}
    answer = httpx.post(f"{url}/v2/models/{name}/infer", content=content, headers=sent, timeout=_PATIENCE_SECONDS)
    if not answer.is_success:
        return _refused(answer)
    outputs = {output["name"]: output for output in answer.json()["outputs"]}
    return _named({name: np.array(output["data"]).reshape(output["shape"]) for name, output in outputs.items()})


def oip_binary(url: str, headers: Mapping[str, str], name: str, sample: Sample, rows: list[Row]) -> Answered:
    """The same with Triton's client and its defaults: values in binary, both ways."""
    inputs = []
    for column, datatype in sample.datatypes.items():
        axes = sample.axes.get(column, ())
        tensor = InferInput(column, [len(rows), *axes], datatype)
        try:
            sent = [row[column] for row in rows]
            values = np.array(sent, _KINDS[datatype])
            as_text = datatype == "BYTES" and not all(isinstance(value, str) for value in sent)
            if as_text or (datatype != "FP64" and values.tolist() != sent):
                # rounded, or written as text: the client would send another value
                return Answered(0)
        except (OverflowError, ValueError, TypeError):
            # no array of the model's type holds it; a caller would send what does
            return Answered(0)
        tensor.set_data_from_numpy(values)
        inputs.append(tensor)
    # parameters of a request are single values there
    parameters = {"params": json.dumps(sample.params)} if sample.params else None
    with InferenceServerClient(url.removeprefix("http://"), network_timeout=_PATIENCE_SECONDS) as client:
        try:
            result = client.infer(name, inputs, headers=dict(headers), outputs=None, parameters=parameters)
        except InferenceServerException as error:
            return Answered(int(error.status()), sentence=error.message())
    return _named({output["name"]: result.as_numpy(output["name"]) for output in result.get_response()["outputs"]})


def _named(outputs: dict[str, Any]) -> Answered:
    """Return tensors as the other doors have them: beside labels and scores one value a row, or several named ones."""
    found = {name: _texts(values.tolist()) for name, values in outputs.items()}
    labels, scores = (found.pop(name, None) for name in _BESIDE)
    if list(found) == ["prediction"]:
        return Answered(200, found["prediction"], labels, scores)
    rows = [dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)]
    return Answered(200, rows, labels, scores)


def _texts(values: list[Any]) -> list[Any]:
    return [value.decode() if isinstance(value, bytes) else value for value in values]


def close(found: Any, wanted: Any) -> bool:
    """Say whether two answers are alike: numbers nearly, all else exactly, and nested as deeply."""
    if isinstance(wanted, dict):
        return (
            isinstance(found, dict)
            and found.keys() == wanted.keys()
            and all(close(found[name], value) for name, value in wanted.items())
        )
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(close, found, wanted))
    if isinstance(wanted, float):
        return isinstance(found, int | float) and math.isclose(found, wanted, rel_tol=1e-5, abs_tol=1e-5)
    return bool(found == wanted) and isinstance(found, bool) == isinstance(wanted, bool)


DOORS: dict[str, Door] = {
    "predict": predict,
    "v1": v1,
    "invocations": invocations,
    "oip json": oip_json,
    "oip binary": oip_binary,
}
