"""The same rows get the same answer, or the same refusal, from every engine through every door."""

import asyncio
from typing import Any

import pytest

from .clients import DOORS, Said
from .conftest import NATIVE, Place, Served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ENGINES = ("graph in the API", "process behind the API", "model server of a cluster")


class TestOneContract:
    """What `docs/guides/prediction-contract.md` says, held for each engine and door."""

    @pytest.fixture(params=ENGINES)
    def engine(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture(params=DOORS)
    def door(self, request: pytest.FixtureRequest, engine: str) -> str:
        if request.param == "predict" and engine == ENGINES[2]:
            pytest.skip("not run: a model server has no /api/v1/predict, the API is in front of it")
        return str(request.param)

    async def test_rows_are_answered_as_by_the_model_itself(
        self, api: Place, served: dict[str, Served], engine: str, door: str
    ) -> None:
        for one in served.values():
            for count in (1, 25):
                rows = one.sample.rows(count)
                said = await _ask(api, one, engine, door, rows)
                predictions, labels = one.sample.expected(rows)
                assert said.status == 200, f"{one.sample.name}: {said.sentence}"
                for answer, wanted in zip(said.predictions, predictions, strict=True):
                    assert answer == pytest.approx(wanted, abs=1e-5), one.sample.name
                assert said.labels == labels

    async def test_what_does_not_fit_is_refused_with_its_row_and_column(
        self, api: Place, served: dict[str, Served], engine: str, door: str
    ) -> None:
        compared = 0
        for one in served.values():
            for why, refused in one.sample.refused.items():
                said = await _ask(api, one, engine, door, refused.rows)
                if said.status == 0:
                    continue
                compared += 1
                assert said.status == 422, f"{one.sample.name}, {why}: {said}"
                assert f"row {refused.row}" in said.sentence, f"{one.sample.name}, {why}: {said.sentence}"
                assert f"'{refused.column}'" in said.sentence, f"{one.sample.name}, {why}: {said.sentence}"
                for problem in said.problems or ():
                    assert (problem["row"], problem["column"]) == (refused.row, refused.column)
        assert compared >= 2


async def _ask(api: Place, one: Served, engine: str, door: str, rows: list[dict[str, Any]]) -> Said:
    name = one.sample.name
    place, model = {
        ENGINES[0]: (api, name),
        ENGINES[1]: (api, f"{name}{NATIVE}"),
        ENGINES[2]: (Place(one.server, {}), name),
    }[engine]
    # its own thread: the server under test runs in this one
    return await asyncio.to_thread(DOORS[door], place.url, place.headers, model, one.sample, rows)
