"""KServe's own client asks a live platform by both of its protocols: it answers as the model does, and refuses in its words."""

import asyncio
import importlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import sklearn

from .clients import close
from .conftest import Place, Served
from .models import SAMPLES as MODELS

pytestmark = [
    pytest.mark.whole("KServe's SDK is installed into an environment of its own"),
    pytest.mark.timeout(900),
]

SAMPLES = {name: MODELS[name] for name in ("numbers", "mixed", "targets")}
ROOT = Path(__file__).parents[3]
ASK = ROOT / "benchmarks" / "peers" / "kserve_client.py"


@pytest.fixture(scope="module")
def interpreter() -> Path:
    """KServe's environment; without one the test fails."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        found = importlib.import_module("benchmarks.servers").kserve_environment(sklearn.__version__)
    assert found is not None, "the KServe SDK could not be installed"
    return Path(found)


async def _asked(interpreter: Path, place: Place, questions: list[dict[str, Any]]) -> list[Any]:
    task = json.dumps({"url": place.url, "headers": place.headers, "questions": questions})

    def ask() -> bytes:
        found = subprocess.run([interpreter, ASK], input=task.encode(), capture_output=True, timeout=120, check=False)
        assert found.returncode == 0, found.stderr.decode()[-3000:]
        return found.stdout

    # its own thread: the server under test runs in this one
    answers: list[Any] = json.loads(await asyncio.to_thread(ask))
    return answers


def _question(one: Served, rows: list[dict[str, Any]]) -> dict[str, Any]:
    sample = one.sample
    lists = [[row[name] for name in sample.datatypes] for row in rows]
    return {"model": sample.name, "datatypes": sample.datatypes, "rows": lists}


async def test_kserves_client_is_answered_by_both_protocols(
    api: Place, served: dict[str, Served], interpreter: Path
) -> None:
    asked = [(one, one.sample.rows[:count]) for one in served.values() for count in (1, 7)]
    server, *answers = await _asked(interpreter, api, [_question(one, rows) for one, rows in asked])
    assert server == {"live": True, "ready": True}
    for (one, rows), by_v1, by_v2 in zip(asked, answers[::2], answers[1::2], strict=True):
        said = one.sample.says(rows)
        for answer in (by_v1, by_v2):
            assert answer["ready"], one.sample.name
            assert close(answer["predictions"], said.predictions), (one.sample.name, answer)
            assert answer["labels"] == said.labels, (one.sample.name, answer)
        assert by_v2["id"] == "mine"


async def test_kserves_client_is_refused_with_row_and_column(
    api: Place, served: dict[str, Served], interpreter: Path
) -> None:
    refused = served["mixed"].sample.refused["an unknown city"]
    _, *answers = await _asked(interpreter, api, [_question(served["mixed"], refused.rows)])
    for answer in answers:
        assert answer["status"] == 422
        assert "row 1" in answer["sentence"]
        assert "'city'" in answer["sentence"]
