"""Made-up rows for made-up signatures through every door: the right sum, or a refusal that names the row; never a 500."""

import json
import math
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from mlops_platform.bootstrap import BuiltServices

from ..predictions.small_bundles import live
from ..support.data_plane import calling, serving
from .signatures import TYPES, Signature, asked, built, signatures

pytestmark = pytest.mark.slow

KNOWN = signatures(60)
Row = dict[str, Any]
Sent = tuple[str, bytes, dict[str, str]]


@pytest.fixture
async def client(
    services: BuiltServices,
    token_for: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[httpx.AsyncClient]:
    folder = tmp_path_factory.mktemp("sums")
    revisions = tuple(live(f"m{place}", built(one, folder / f"m{place}")) for place, one in enumerate(KNOWN))

    token = token_for("ana@company.com", "data-scientist")
    async with serving(services, revisions, monkeypatch) as gateway, calling(gateway, token) as client:
        yield client


def _json(path: str, body: object) -> Sent:
    return path, json.dumps(body).encode(), {}


def _binary(name: str, signature: Signature, rows: list[Row]) -> Sent | None:
    """Return the rows as Triton's client packs them; None when an array would hold other values."""
    tensors, parts = [], []
    for column, kind in signature.columns:
        values = [row[column] for row in rows]
        if kind == "string":
            texts = [value.encode() for value in values]
            content = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
        else:
            content = np.array(values, TYPES[kind][3]).tobytes()
        tensors.append(
            {
                "name": column,
                "datatype": TYPES[kind][2],
                "shape": [len(rows)],
                "parameters": {"binary_data_size": len(content)},
            }
        )
        parts.append(content)
    head = json.dumps({"inputs": tensors}).encode()
    return f"/v2/models/{name}/infer", head + b"".join(parts), {"inference-header-content-length": str(len(head))}


def doors(name: str, signature: Signature, rows: list[Row]) -> dict[str, Sent]:
    """Return the same rows as every door takes them."""
    columns = [column for column, _ in signature.columns]
    lists = [[row[column] for column in columns] for row in rows]
    turned = columns[::-1]
    tensors = [
        {"name": column, "datatype": TYPES[kind][2], "shape": [len(rows)], "data": [row[column] for row in rows]}
        for column, kind in signature.columns
    ]
    found = {
        "objects": _json("/api/v1/predict", {"model_name": name, "input_data": rows}),
        "lists": _json(f"/v1/models/{name}:predict", {"instances": lists}),
        "frame": _json(
            f"/v1/models/{name}/invocations",
            {"dataframe_split": {"columns": turned, "data": [row[::-1] for row in lists]}},
        ),
        "tensors": _json(f"/v2/models/{name}/infer", {"inputs": tensors}),
    }
    plain = not any(isinstance(value, list | dict) for row in rows for value in row.values())
    if not plain:
        # lists within tensors have another meaning, and within a single input as well
        del found["tensors"]
        if len(columns) == 1:
            del found["lists"]
    if all(map(signature.fits, rows)) and (packed := _binary(name, signature, rows)) is not None:
        found["binary"] = packed
    return found


async def _hold(client: httpx.AsyncClient, index: int, rows: list[Row]) -> int:
    """Ask every door; return how many requests that were."""
    signature = KNOWN[index]
    right = [signature.answer(row) if signature.fits(row) else math.nan for row in rows]
    asked_for = doors(f"m{index}", signature, rows)
    for door, (path, body, headers) in asked_for.items():
        answer = await client.post(path, content=body, headers=headers)
        said = f"{door} of {signature} with {rows}: {answer.status_code} {answer.text[:300]}"
        if all(map(math.isfinite, right)):
            assert answer.status_code == 200, said
            content = answer.json()
            found = content.get("prediction", content.get("predictions")) or content["outputs"][0]["data"]
            assert found == right, said
        else:
            assert answer.status_code in {400, 422}, said
            if answer.status_code == 422 and len(rows) > 1:
                bad = [place for place, value in enumerate(right) if not math.isfinite(value)]
                named = {entry["row"] for entry in answer.json()["errors"] if "row" in entry}
                assert named, said
                assert named <= set(bad), said
    return len(asked_for)


def _examples(count: int) -> list[tuple[int, list[Row]]]:
    found: list[tuple[int, list[Row]]] = []

    @settings(max_examples=count, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(asked(KNOWN))
    def draw(one: tuple[int, list[Row]]) -> None:
        found.append(one)

    draw()
    return found


@pytest.mark.parametrize(
    "count",
    [300, pytest.param(5_000, marks=pytest.mark.whole("twenty thousand requests"))],
)
async def test_every_door_says_the_sum_or_names_the_row(client: httpx.AsyncClient, count: int) -> None:
    requests = 0
    for index, rows in _examples(count):
        requests += await _hold(client, index, rows)
    assert requests >= 4 * count
