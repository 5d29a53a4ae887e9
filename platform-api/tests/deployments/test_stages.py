"""A version's lifecycle stage says where it is live, whoever brought it there."""

import pytest

from tests.support.ground import Ground


async def _stages(ground: Ground, name: str) -> dict[int, str]:
    versions = (await ground.ask("GET", f"/models/{name}/versions"))["versions"]
    return {int(one["version"]): one["stage"] for one in versions}


@pytest.fixture
async def rolling(ground: Ground) -> tuple[Ground, str, str]:
    """Version 1 is live; version 2 is on its way. (ground, model, deployment)"""
    await ground.answering(1)
    (name,) = ground.names
    deployment = (await ground.ask("GET", "/deployments"))["items"][0]["id"]
    await ground.ask("POST", f"/deployments/{deployment}/promote", {"reason": "first"})
    assert await _stages(ground, name) == {1: "staging"}
    await ground.another_version(name)
    body = {"model_name": name, "model_version": "2", "target_stage": "staging", "justification": "better"}
    await ground.ask("POST", "/models/deploy", body)
    await ground.run("deployment-builds")
    for _ in range(3):
        await ground.run("deployment-reconcile")
    assert await ground.states() == {name: "rolling_out"}
    return ground, name, deployment


async def test_promoting_by_hand_moves_both_versions(rolling: tuple[Ground, str, str]) -> None:
    ground, name, deployment = rolling
    await ground.ask("POST", f"/deployments/{deployment}/promote", {"reason": "good enough"})
    assert await _stages(ground, name) == {1: "validation", 2: "staging"}


async def test_rolling_back_by_hand_brings_the_stage_back(rolling: tuple[Ground, str, str]) -> None:
    ground, name, deployment = rolling
    await ground.ask("POST", f"/deployments/{deployment}/promote", {"reason": "good enough"})
    await ground.ask("POST", f"/deployments/{deployment}/rollback", {"reason": "worse"})
    assert await _stages(ground, name) == {1: "staging", 2: "validation"}


async def test_stopping_a_rollout_by_hand_leaves_the_live_version_where_it_is(rolling: tuple[Ground, str, str]) -> None:
    ground, name, deployment = rolling
    await ground.ask("POST", f"/deployments/{deployment}/rollback", {"reason": "worse"})
    assert await _stages(ground, name) == {1: "staging", 2: "validation"}


async def test_what_is_undeployed_is_in_no_environment(rolling: tuple[Ground, str, str]) -> None:
    ground, name, deployment = rolling
    await ground.ask("POST", f"/deployments/{deployment}/undeploy", {"reason": "over"})
    assert set((await _stages(ground, name)).values()) == {"validation"}
