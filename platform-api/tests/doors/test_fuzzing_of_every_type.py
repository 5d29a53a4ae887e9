"""Made-up rows for signatures of every type through every door: what the model saw comes back, or the wrong row is named."""

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.predictions import process
from model_server.contract.values import NESTED
from model_server.serve.asgi import ModelServerApp

from ..predictions.small_bundles import live
from ..support.data_plane import calling, serving
from .echoes import Echo, Misfit, served
from .every_type import asked, echoes

pytestmark = pytest.mark.slow

KNOWN = echoes(90)
Row = dict[str, Any]
Sent = tuple[str, bytes, dict[str, str]]
Clients = tuple[httpx.AsyncClient, list[httpx.AsyncClient]]
_LAYOUT = {
    "double": ("FP64", "<f8"),
    "float": ("FP32", "<f4"),
    "long": ("INT64", "<i8"),
    "integer": ("INT32", "<i4"),
    "boolean": ("BOOL", "?"),
}


@pytest.fixture
async def clients(
    services: BuiltServices,
    token_for: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Clients]:
    """A client of the API, which asks each model's process, and one of each model's own server."""
    folder = tmp_path_factory.mktemp("echoes")
    servers: dict[str, ModelServerApp] = {}
    revisions = []
    for place, echo in enumerate(KNOWN):
        bundle, app = served(echo, folder / f"m{place}", f"m{place}")
        servers[f"socket {place}"] = app
        revisions.append(live(f"m{place}", bundle, engine="process", address=f"socket {place}"))

    def of(app: ModelServerApp) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://model")

    # the sockets of processes are held by test_one_contract.py; here it is about values
    monkeypatch.setattr(process, "_client", lambda address: of(servers[address]))
    token = token_for("ana@company.com", "data-scientist")
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(serving(services, tuple(revisions), monkeypatch))
        api = await stack.enter_async_context(calling(gateway, token))
        yield api, [await stack.enter_async_context(of(app)) for app in servers.values()]


def _json(path: str, body: dict[str, Any]) -> Sent:
    return path, json.dumps(body).encode(), {}


def _tensors(echo: Echo, rows: list[Row]) -> list[dict[str, Any]] | None:
    """Return the rows as tensors in JSON; None when an odd value makes them something else."""
    found = []
    for column in echo.columns:
        values, kind = [row.get(column["name"]) for row in rows], column["type"]
        if kind == "tensor":
            array = np.array(values)
            shape, datatype = list(array.shape), _LAYOUT.get(column["tensor-spec"]["dtype"], ("FP64", ""))[0]
        else:
            shape, datatype = [len(rows)], _LAYOUT.get(kind, ("BYTES", ""))[0]
            if kind in NESTED:
                values = [None if value is None else json.dumps(value) for value in values]
            elif any(isinstance(value, list | dict) for value in values):
                return None
        found.append({"name": column["name"], "datatype": datatype, "shape": shape, "data": values})
    return found


def _binary(echo: Echo, rows: list[Row]) -> tuple[list[dict[str, Any]], bytes] | None:
    """Return the same in binary; None for what arrays do not hold: nulls, and nothing of a tensor's own type."""
    tensors, parts = [], []
    for column in echo.columns:
        values, kind = [row.get(column["name"]) for row in rows], column["type"]
        if kind == "tensor" or any(value is None for value in values):
            return None
        if kind in _LAYOUT:
            datatype, layout = _LAYOUT[kind]
            content = np.array(values, layout).tobytes()
        else:
            datatype = "BYTES"
            content = b"".join(
                len(part).to_bytes(4, "little") + part for part in (_packed(kind, one) for one in values)
            )
        parts.append(content)
        parameters = {"binary_data_size": len(content)}
        tensors.append({"name": column["name"], "datatype": datatype, "shape": [len(rows)], "parameters": parameters})
    return tensors, b"".join(parts)


def _packed(kind: str, value: Any) -> bytes:
    if kind in NESTED:
        return json.dumps(value).encode()
    return base64.b64decode(value) if kind == "binary" else str(value).encode()


def doors(name: str, echo: Echo, rows: list[Row], params: dict[str, Any], *, fit: bool) -> dict[str, Sent]:
    """Return the same rows as every door takes them."""
    more = {"params": params} if params else {}
    turned = echo.names[::-1]
    split = {"columns": turned, "data": [[row.get(column) for column in turned] for row in rows]}
    found = {
        "objects": _json("/api/v1/predict", {"model_name": name, "input_data": rows, **more}),
        "records": _json(f"/v1/models/{name}/invocations", {"dataframe_records": rows, **more}),
        "frame": _json(f"/v1/models/{name}/invocations", {"dataframe_split": split, **more}),
    }
    if len(echo.names) > 1:
        lists = [[row.get(column) for column in echo.names] for row in rows]
        found["lists"] = _json(f"/v1/models/{name}:predict", {"instances": lists, **more})
    parameters = {"parameters": {"params": params}} if params else {}
    is_tensor = any(column["type"] == "tensor" for column in echo.columns)
    if (fit or not is_tensor) and (tensors := _tensors(echo, rows)) is not None:
        content = json.dumps({"inputs": tensors, **parameters}, default=lambda array: array.tolist()).encode()
        found["tensors"] = f"/v2/models/{name}/infer", content, {}
    if fit and (packed := _binary(echo, rows)) is not None:
        head = json.dumps({"inputs": packed[0], **parameters}).encode()
        length = {"inference-header-content-length": str(len(head))}
        found["binary"] = f"/v2/models/{name}/infer", head + packed[1], length
    return found


def _right(echo: Echo, rows: list[Row]) -> list[Any]:
    """Return what the model sees of each row; None for one it does not take."""
    found: list[Any] = []
    for row in rows:
        try:
            found.append(echo.answer(row))
        except Misfit:
            found.append(None)
    return found


def _together(echo: Echo, rows: list[Any]) -> bool:
    """Say whether the rows are one table: tensors of an open length have the same one in each."""
    names = [column["name"] for column in echo.columns if column["type"] == "tensor"]
    try:
        return all(np.array([row[name] for row in rows], dtype=None).ndim for name in names)
    except ValueError:
        return False


async def _hold(clients: Clients, index: int, rows: list[Row], params: dict[str, Any]) -> int:
    """Ask every door; return how many requests that were."""
    echo, (api, servers) = KNOWN[index], clients
    right = _right(echo, rows)
    fit = all(row is not None for row in right) and _together(echo, right)
    wanted = {entry["name"]: entry["default"] for entry in echo.params} | params
    sent = [(door, api, one) for door, one in doors(f"m{index}", echo, rows, params, fit=fit).items()]
    # the model server has MLflow's door at its root
    sent += [
        (f"{door} of the model server", servers[index], (path.replace(f"/v1/models/m{index}/inv", "/inv"), *more))
        for door, _, (path, *more) in sent
        if door != "objects"
    ]
    for door, client, (path, body, headers) in sent:
        answer = await client.post(path, content=body, headers=headers)
        said = f"{door} of {echo} with {rows}: {answer.status_code} {answer.text[:300]}"
        if fit:
            assert answer.status_code == 200, said
            content = answer.json()
            found = content.get("prediction", content.get("predictions")) or content["outputs"][0]["data"]
            assert [json.loads(text) for text in found] == [{"row": row, "params": wanted} for row in right], said
        else:
            assert answer.status_code in {400, 422}, said
            content = answer.json()
            named = {one["row"] for one in content.get("errors") or content.get("problems") or () if "row" in one}
            bad = {place for place, row in enumerate(right) if row is None}
            if answer.status_code == 422 and len(rows) > 1 and bad:
                assert named, said
                assert named <= bad, said
    return len(sent)


@pytest.mark.parametrize("count", [250, pytest.param(4_000, marks=pytest.mark.whole("thirty thousand requests"))])
async def test_what_the_model_saw_comes_back_or_the_row_is_named(clients: Clients, count: int) -> None:
    found: list[tuple[int, list[Row], dict[str, Any]]] = []

    @settings(max_examples=count, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(asked(KNOWN))
    def draw(one: tuple[int, list[Row], dict[str, Any]]) -> None:
        found.append(one)

    draw()
    requests = 0
    for index, rows, params in found:
        requests += await _hold(clients, index, rows, params)
    assert requests >= 7.5 * count
