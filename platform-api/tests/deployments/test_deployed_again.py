"""What is live under no approval that holds can be asked for again; anything else is deployed once."""

import pytest
from sqlalchemy import delete, update

from mlops_platform.deployments.tables import RevisionRow
from mlops_platform.kit.clock import now
from mlops_platform.statements.tables import StatementRow
from tests.support.ground import Ground


async def _again(ground: Ground) -> int:
    body = {"model_name": ground.names[0], "model_version": "1", "target_stage": "staging", "justification": "again"}
    return (await ground.client.post("/api/v1/models/deploy", json=body, headers=ground.headers)).status_code


async def test_what_is_live_is_not_deployed_twice(ground: Ground) -> None:
    await ground.answering(1)
    assert await _again(ground) == 409


@pytest.mark.parametrize("why", ["no statement, as from before there were any", "due for review"])
async def test_what_needs_another_approval_is_deployed_again_once(ground: Ground, why: str) -> None:
    await ground.answering(1)
    async with ground.services.database.session() as session:
        if why == "due for review":
            await session.execute(update(RevisionRow).values(review_since=now(), review_reason="the risk rose"))
        else:
            await session.execute(delete(StatementRow))
    assert await _again(ground) == 200
    assert await _again(ground) == 409, "it is on its way"
    await ground.run("deployment-builds")
    await ground.reconciled({ground.names[0]: "live"})
    assert await _again(ground) == 409
