"""What people do to a model is in the log with who did it: also what they read, and a configuration without its secrets."""

import json
from collections.abc import Callable
from typing import Any

from mlops_platform.builds.bundles import bundle_folder
from mlops_platform.builds.load_test import EXAMPLE
from mlops_platform.deployments.configuration import configuration_hash
from tests.support.ground import Ground

AUDITOR = ("aud@company.com", "auditor")


async def events(ground: Ground, as_: Callable[..., dict[str, str]], action: str) -> list[dict[str, Any]]:
    answer = await ground.client.get(f"/api/v1/audit/events?action={action}", headers=as_(*AUDITOR))
    return list(answer.json()["items"])


async def test_a_configuration_is_recorded_by_its_hash_and_names_and_no_value(
    ground: Ground, as_: Callable[..., dict[str, str]]
) -> None:
    await ground.registered(1)
    config = {"replicas": 2, "resources": {"cpu": "1"}, "environment_vars": {"MODEL_KEY": "hunter2hunter2"}}
    body = {"model_version": "1", "target_stage": "staging", "justification": "because", **config}
    await ground.ask("POST", "/models/deploy", {"model_name": ground.names[0], **body})
    (event,) = await events(ground, as_, "deployment:revision:requested")
    assert event["details"]["configuration"] == configuration_hash(config)
    assert event["details"]["environment_variables"] == ["MODEL_KEY"]
    assert (event["details"]["replicas"], event["details"]["resources"]) == (2, {"cpu": "1"})
    assert "hunter2" not in json.dumps(await events(ground, as_, ""))
    other = configuration_hash({**config, "environment_vars": {"MODEL_KEY": "another"}})
    assert other != event["details"]["configuration"], "a changed value is another configuration"


async def test_who_reads_example_rows_is_recorded(ground: Ground, as_: Callable[..., dict[str, str]]) -> None:
    answers = await ground.deployed(1)
    name = next(iter(answers))
    digest = (await ground.ask("GET", f"/models/{name}/versions/1"))["digest"]
    example = {"columns": ["x"], "rows": [[1.0], [2.0]], "source": "input_example"}
    (bundle_folder(ground.services.settings.bundle_dir, digest, name, 1) / EXAMPLE).write_text(json.dumps(example))
    path = f"/api/v1/models/{name}/versions/1/example"
    assert (await ground.client.get(path, headers=as_("bob@company.com", "data-scientist"))).json()["rows"]
    (event,) = await events(ground, as_, "data:inputs:read")
    assert (event["actor"], event["resource"]) == ("bob@company.com", f"model:{name}:1")
    assert event["details"] == {"what": "input example", "digest": digest, "rows": 2}
    assert (
        await ground.client.get(path, headers=as_("x@company.com", "data-scientist", tenant="other"))
    ).status_code == 404
    assert len(await events(ground, as_, "data:inputs:read")) == 1, "nobody read anything"
