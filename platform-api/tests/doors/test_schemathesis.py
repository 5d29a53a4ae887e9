"""Made-up requests of the OpenAPI document at live doors, of models that are there: no 5xx, and no answer it does not describe."""

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.errors import PROBLEM_JSON
from mlops_platform.models.interfaces import NotInRegistry
from mlops_platform.predictions.description import components, paths

from .conftest import Place, Served
from .models import SAMPLES as MODELS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SAMPLES = {name: MODELS[name] for name in ("mixed", "outliers")}


class NoAliases:
    """A registry without aliases."""

    async def version_of_alias(self, name: str, alias: str) -> int:
        raise NotInRegistry(f"MLflow has no alias '{alias}' of a model named '{name}'.")


@pytest.fixture
def services(services: BuiltServices) -> BuiltServices:
    registry: Any = NoAliases()
    return replace(services, registry=registry)


async def control_plane(scope: Scope, _receive: Receive, send: Send) -> None:
    """What the data plane passes on: methods it does not have."""
    assert scope["method"] != "POST", scope["path"]
    headers = [(b"content-type", PROBLEM_JSON.encode())]
    await send({"type": "http.response.start", "status": 405, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


def _document(names: list[str]) -> dict[str, Any]:
    """The data plane's own document, with the names and versions that something answers to."""
    known = {"model_name": names, "model_version": ["1", "latest"]}
    found = json.loads(json.dumps(paths()))
    for operation in (operation for methods in found.values() for operation in methods.values()):
        for parameter in operation.get("parameters", ()):
            parameter["schema"]["enum"] = known[parameter["name"]]
    schemas = json.loads(json.dumps(components()))
    schemas["PredictRequest"]["properties"]["model_name"]["enum"] = names
    info = {"title": "doors", "version": "1"}
    return {"openapi": "3.1.0", "info": info, "paths": found, "components": {"schemas": schemas}}


@pytest.mark.whole("hundreds of made-up requests of each operation; tests/running makes a few up for all of them")
@pytest.mark.parametrize("examples", [400])
async def test_no_request_of_the_document_makes_a_door_fail(
    api: Place, served: dict[str, Served], examples: int, tmp_path: Path
) -> None:
    names = ["mixed", *(f"{one.sample.name}-native" for one in served.values())]
    (tmp_path / "document.json").write_text(json.dumps(_document(names)))
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", "document.json", "--url", api.url]
    command += [part for name, value in api.headers.items() for part in ("--header", f"{name}: {value}")]
    command += [
        "--max-examples",
        str(examples),
        "--seed",
        "1",
        "--continue-on-failure",
        "--exclude-path-regex",
        "features",
    ]
    command += ["--checks", "not_a_server_error,content_type_conformance,response_schema_conformance"]
    command += ["--phases", "examples,coverage,fuzzing", "--request-timeout", "30"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()[-6000:]
