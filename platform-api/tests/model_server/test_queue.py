"""One queue before a model: who is answered together, who alone, and who not at all."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tests.support.waiting import eventually_async

from model_server.bundle import InputColumn, Parameter
from model_server.joining import queue as queues
from model_server.joining.may_join import Joining
from model_server.joining.pace import Pace
from model_server.joining.queue import Queue, TooManyWait


class Model:
    """Doubles numbers; calls wait for the gate, and refuse negative ones. `calls` has what each was asked."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.gate = asyncio.Event()

    async def ask(self, numbers: Sequence[int]) -> list[int]:
        self.calls.append(list(numbers))
        await self.gate.wait()
        if any(number < 0 for number in numbers):
            raise ValueError(min(numbers))
        return [2 * number for number in numbers]


async def until(condition: Callable[[], Any]) -> None:
    async def holds() -> bool:
        return bool(condition())

    await eventually_async(holds)


def asking(queue: "Queue[int, int]", *numbers: int, joins: bool = True) -> list["asyncio.Task[int]"]:
    return [asyncio.create_task(queue.answer(number, 1, joins=joins)) for number in numbers]


async def answers(tasks: list["asyncio.Task[int]"]) -> list[Any]:
    return list(await asyncio.gather(*tasks, return_exceptions=True))


async def test_what_comes_during_a_call_is_answered_together_and_each_hears_its_own() -> None:
    model = Model()
    queue: Queue[int, int] = Queue(model.ask, most_rows=8, at_once=1)
    tasks = asking(queue, 1, 2, 3, 4)
    await until(lambda: model.calls)
    model.gate.set()
    assert await answers(tasks) == [2, 4, 6, 8]
    # the first did not wait for company
    assert model.calls in ([[1], [2, 3, 4]], [[1, 2, 3, 4]])


@pytest.mark.parametrize("most_rows", [0, 8])
async def test_who_asks_again_in_the_moment_of_an_answer_is_answered(most_rows: int) -> None:
    model = Model()
    model.gate.set()
    queue = Queue(model.ask, most_rows=most_rows, at_once=1)

    async def in_turn() -> list[int]:
        # resumed before the call's task is known to have ended
        return [await queue.answer(number, 1) for number in range(5)]

    assert await asyncio.wait_for(in_turn(), 60) == [0, 2, 4, 6, 8]


async def test_one_that_is_refused_refuses_nobody_else() -> None:
    model = Model()
    model.gate.set()
    found = await answers(asking(Queue(model.ask, most_rows=8, at_once=1), 1, -2, 3, -4))
    assert [found[0], found[2]] == [2, 6]
    assert [str(error) for error in (found[1], found[3])] == ["-2", "-4"]


async def test_what_nobody_was_there_to_say_is_not_asked_again() -> None:
    model = Model()
    model.gate.set()
    queue: Queue[int, int] = Queue(model.ask, most_rows=8, at_once=1, repeated=lambda _: False)
    found = await answers(asking(queue, 1, -2))
    assert all(isinstance(error, ValueError) for error in found)
    assert len(model.calls) == 1


async def test_a_model_that_gives_fewer_answers_than_requests_is_asked_for_each() -> None:
    async def one(numbers: Sequence[int]) -> list[int]:
        return [2 * numbers[0]]

    assert await answers(asking(Queue(one, most_rows=8, at_once=1), 1, 2, 3)) == [2, 4, 6]


async def test_requests_that_may_not_join_have_calls_of_their_own_in_their_turn() -> None:
    model = Model()
    queue: Queue[int, int] = Queue(model.ask, most_rows=8, at_once=1)
    tasks = [*asking(queue, 1, 2), *asking(queue, 3, joins=False), *asking(queue, 4, 5)]
    model.gate.set()
    assert await answers(tasks) == [2, 4, 6, 8, 10]
    assert [3] in model.calls
    assert [number for call in model.calls for number in call] == [1, 2, 3, 4, 5]


async def test_nothing_is_joined_in_a_queue_that_joins_nothing_and_calls_run_beside_each_other() -> None:
    model = Model()
    queue: Queue[int, int] = Queue(model.ask, most_rows=0, at_once=3)
    tasks = asking(queue, 1, 2, 3, 4)
    await until(lambda: len(model.calls) == 3)
    model.gate.set()
    assert await answers(tasks) == [2, 4, 6, 8]
    assert model.calls == [[1], [2], [3], [4]]


async def test_a_full_queue_refuses_and_takes_again_when_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "MOST_WAITING", 2)
    model = Model()
    queue: Queue[int, int] = Queue(model.ask, most_rows=0, at_once=1)
    tasks = asking(queue, 1)
    await until(lambda: model.calls)
    tasks += asking(queue, 2, 3)
    with pytest.raises(TooManyWait, match="try again"):
        await asyncio.gather(queue.answer(4, 1))
    model.gate.set()
    assert await answers(tasks) == [2, 4, 6]
    assert await queue.answer(7, 1) == 14


async def test_who_would_wait_too_long_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model()
    queue: Queue[int, int] = Queue(model.ask, most_rows=0, at_once=1)
    monkeypatch.setattr(queue, "_seconds", 60.0)
    tasks = asking(queue, 1)
    await until(lambda: model.calls)
    tasks += asking(queue, 2)
    with pytest.raises(TooManyWait):
        await asyncio.gather(queue.answer(3, 1))
    model.gate.set()
    assert await answers(tasks) == [2, 4]


async def test_who_leaves_is_not_asked_for_and_disturbs_nobody() -> None:
    model = Model()
    queue: Queue[int, int] = Queue(model.ask, most_rows=8, at_once=1)
    tasks = asking(queue, 1, 2, 3)
    await until(lambda: model.calls)
    more = asking(queue, 4, 5)
    await until(lambda: len(queue._waiting) == 2)
    more[0].cancel()
    tasks[1].cancel()
    model.gate.set()
    found = await answers([tasks[0], tasks[2], more[1]])
    assert found == [2, 6, 10]
    assert not any(4 in call for call in model.calls)


def test_calls_grow_inside_the_budget_and_shrink_outside() -> None:
    pace = Pace(64, budget=0.05)
    pace.took(8, 0.01)
    pace.took(16, 0.02)
    assert pace.rows == 32
    pace.took(32, 0.2)
    assert pace.rows == 16
    pace.took(2, 0.01)
    assert pace.rows == 16
    for _ in range(4):
        pace.took(pace.rows, 0.2)
    assert pace.rows == 1


def test_a_model_that_is_slow_for_one_row_may_still_be_asked_for_several() -> None:
    pace = Pace(64, budget=0.05)
    pace.took(1, 0.3)
    pace.took(8, 0.4)
    assert pace.rows == 16
    pace.took(16, 0.7)
    assert pace.rows == 8
    pace.took(5_000, 30.0)
    assert pace.rows == 8


def test_params_and_values_that_are_no_category_stay_alone() -> None:
    inputs = [InputColumn("x", "double"), InputColumn("kind", "string", required=False, categories=("a", "b"))]
    joining = Joining(64, inputs, [Parameter("depth", "long", 3)])
    assert joining.may([(1.0, "a"), (2.0, None)], {"depth": 3})
    assert joining.may([(1.0, "a")], None)
    assert not joining.may([(1.0, "a")], {"depth": 4})
    assert not joining.may([(1.0, "a"), (1.0, "c")], None)
    assert not joining.may([(1.0, "a")] * 65, None)
    assert not Joining(0, inputs, ()).may([(1.0, "a")], None)
    tensor = InputColumn("t", "tensor", spec={"type": "tensor", "dtype": "float64", "shape": [-1]})
    assert not Joining(64, [tensor], ()).may([([1.0],)], None)
