"""The one contract: the same rows get the same answer, or the same refusal, from every engine through every door."""

import asyncio

import pytest

from .clients import DOORS, Answered, close
from .conftest import NATIVE, Place, Served
from .sample import Row

ENGINES = ("graph in the API", "process behind the API", "model server of a cluster")


class OneContract:
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
        for one in _of(served, engine):
            for count in (1, 25):
                rows = one.sample.rows[:count]
                answer = await _ask(api, one, engine, door, rows)
                said = one.sample.says(rows)
                assert answer.status == 200, f"{one.sample.name}: {answer.sentence}"
                for found, wanted in zip(answer[1:4], said, strict=True):
                    assert close(found, wanted), f"{one.sample.name}: {found} instead of {wanted}"

    async def test_what_does_not_fit_is_refused_with_its_row_and_column(
        self, api: Place, served: dict[str, Served], engine: str, door: str
    ) -> None:
        compared = 0
        for one in _of(served, engine):
            for why, refused in one.sample.refused.items():
                answer = await _ask(api, one, engine, door, refused.rows)
                if answer.status == 0:
                    continue
                compared += 1
                assert answer.status == 422, f"{one.sample.name}, {why}: {answer}"
                assert f"row {refused.row}" in answer.sentence, f"{one.sample.name}, {why}: {answer.sentence}"
                assert f"'{refused.column}'" in answer.sentence, f"{one.sample.name}, {why}: {answer.sentence}"
                for problem in answer.problems or ():
                    assert (problem["row"], problem["column"]) == (refused.row, refused.column)
        assert compared >= 1


def _of(served: dict[str, Served], engine: str) -> list[Served]:
    return [one for one in served.values() if one.sample.compiled or engine != ENGINES[0]]


async def _ask(api: Place, one: Served, engine: str, door: str, rows: list[Row]) -> Answered:
    name = one.sample.name
    place, model = {
        ENGINES[0]: (api, name),
        ENGINES[1]: (api, f"{name}{NATIVE}"),
        ENGINES[2]: (Place(one.server, {}), name),
    }[engine]
    # its own thread: the server under test runs in this one
    return await asyncio.to_thread(DOORS[door], place.url, place.headers, model, one.sample, rows)
