"""Who writes with the ETag of what they read changes what they saw, or nothing."""

import asyncio

import httpx

from tests.support.ground import Ground

REASON = {"reason": "because"}


async def _tag(ground: Ground, path: str) -> str:
    answer = await ground.client.get(f"/api/v1{path}", headers=ground.headers)
    assert answer.status_code == 200, answer.text
    return answer.headers["etag"]


async def _post(ground: Ground, path: str, body: object, tag: str, headers: dict[str, str]) -> httpx.Response:
    return await ground.client.post(f"/api/v1{path}", json=body, headers={**headers, "If-Match": tag})


async def test_an_operation_on_an_outdated_copy_changes_nothing(ground: Ground) -> None:
    await ground.answering(1)
    (shown,) = (await ground.ask("GET", "/deployments"))["items"]
    path = f"/deployments/{shown['id']}"
    seen = await _tag(ground, path)
    assert seen == await _tag(ground, path)
    paused = await _post(ground, f"{path}/pause", REASON, seen, ground.headers)
    assert paused.status_code == 200
    assert paused.headers["etag"] == await _tag(ground, path)
    assert paused.json()["history"][0]["action"] == "deployment:operation:asked"
    late = await _post(ground, f"{path}/undeploy", REASON, seen, ground.headers)
    assert late.status_code == 412
    assert late.json()["type"] == "/problems/changed-since-read"
    assert (await ground.ask("GET", path))["paused"] is True
    weak = await _post(ground, f"{path}/resume", REASON, f"W/{paused.headers['etag']}", ground.headers)
    assert weak.status_code == 412
    listed = f'"other", {paused.headers["etag"]}'
    assert (await _post(ground, f"{path}/resume", REASON, listed, ground.headers)).status_code == 200
    assert (await _post(ground, f"{path}/undeploy", REASON, "*", ground.headers)).status_code == 200


async def test_of_two_that_write_at_once_with_one_tag_one_is_told(ground: Ground) -> None:
    await ground.answering(1)
    (shown,) = (await ground.ask("GET", "/deployments"))["items"]
    path = f"/deployments/{shown['id']}"
    seen = await _tag(ground, path)
    both = await asyncio.gather(
        _post(ground, f"{path}/pause", REASON, seen, ground.headers),
        _post(ground, f"{path}/undeploy", REASON, seen, ground.headers),
    )
    assert sorted(answer.status_code for answer in both) == [200, 412]


async def test_a_decision_on_an_outdated_request_does_not_count(ground: Ground) -> None:
    deployed = await ground.deployed(1, risk="high")
    approval = deployed[ground.names[0]]["approval_id"]
    path = f"/approvals/{approval}"
    seen = await _tag(ground, path)
    first = {"decision": "approve", "comment": ""}
    needed = (await ground.ask("GET", path))["requirements"]
    as_role = {need["role"]: ground.as_(f"{need['role']}@company.com", need["role"]) for need in needed}
    role, other = list(as_role)[:2]
    assert (await _post(ground, f"{path}/decisions", first, seen, as_role[role])).status_code == 200
    assert (await _post(ground, f"{path}/decisions", first, seen, as_role[other])).status_code == 412
    assert len((await ground.ask("GET", path))["decisions"]) == 1
    now = await _tag(ground, path)
    assert (await _post(ground, f"{path}/decisions", first, now, as_role[other])).status_code == 200
    assert (await _post(ground, f"{path}/withdraw", REASON, now, ground.headers)).status_code in {409, 412}


async def test_a_proposal_on_an_outdated_risk_record_is_refused(ground: Ground) -> None:
    await ground.deployed(1, risk="medium")
    digest = (await ground.ask("GET", f"/models/{ground.names[0]}/versions/1"))["digest"]
    path = f"/risk/records/{digest}"
    seen = await _tag(ground, path)
    higher = {"level": "high", "reason": "it decides about loans"}
    assert (await _post(ground, f"{path}/proposals", higher, seen, ground.headers)).status_code == 200
    lower = {"level": "low", "reason": "it does not"}
    assert (await _post(ground, f"{path}/proposals", lower, seen, ground.headers)).status_code == 412
    assert (await ground.ask("GET", path))["level"] == "high"
