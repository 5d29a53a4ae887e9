"""One queue before a model: so many calls at once, requests that may be answered by one call together, and an end.

A request never waits for others to come. It waits for the calls before it, and what came meanwhile goes on together.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from model_server.joining.pace import Pace

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

MOST_WAITING = 256
MOST_ROWS_WAITING = 50_000
# who waits longer has mostly gone, and would be answered all the same
LONGEST_WAIT_SECONDS = 10.0
_NEWEST = 0.2


class TooManyWait(Exception):
    """As many requests wait as may; the message is for callers."""

    def __init__(self) -> None:
        super().__init__("more requests wait for this model than it can answer soon; try again in a second")


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Asked, Answer]):
    asked: Asked
    rows: int
    joins: bool
    answer: "asyncio.Future[Answer]"


class Queue(Generic[Asked, Answer]):
    """Requests in the order they came.

    `ask` is given one request or several, and returns an answer for each. What it raises for one is raised to who sent
    it. A call of several that raises is repeated for each of them alone, so that nobody hears of what another one sent.
    """

    def __init__(
        self,
        ask: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer]]],
        *,
        most_rows: int,
        at_once: int,
        repeated: Callable[[Exception], bool] = lambda _: True,
    ) -> None:
        """`most_rows` stand in one call of several requests, 0 joins none; `at_once` calls run beside each other.

        `repeated` says of what a call of several raised whether asking each alone can help.
        """
        self._ask = ask
        self._pace = Pace(most_rows)
        self._joins = most_rows > 1
        self._at_once = at_once
        self._repeated = repeated
        self._waiting: deque[_Waiting[Asked, Answer]] = deque()
        self._rows = 0
        self._seconds = 0.0
        self._at_work = 0
        # kept, for the loop itself does not keep its tasks
        self._calling: set[asyncio.Task[None]] = set()

    async def answer(self, asked: Asked, rows: int, *, joins: bool = True) -> Answer:
        """Return the answer to a request of so many rows; `joins` False: by a call of its own. Raises TooManyWait, and what `ask` raises."""
        if self._waiting and self._is_full():
            raise TooManyWait
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(asked, rows, joins and self._joins, answer)
        self._waiting.append(waiting)
        self._rows += rows
        if self._at_work < self._at_once:
            self._at_work += 1
            task = asyncio.create_task(self._work())
            self._calling.add(task)
            task.add_done_callback(self._calling.discard)
        return await answer

    def _is_full(self) -> bool:
        count = len(self._waiting)
        wait = count * self._seconds / self._at_once
        return count >= MOST_WAITING or self._rows >= MOST_ROWS_WAITING or wait > LONGEST_WAIT_SECONDS

    async def _work(self) -> None:
        try:
            while self._waiting:
                if together := self._taken():
                    await self._call(together)
        finally:
            # in the same step in which nobody was found to wait: whoever comes next finds a place to begin
            self._at_work -= 1

    def _taken(self) -> "list[_Waiting[Asked, Answer]]":
        """Take who is answered next: the first, and those after it that may be answered with it."""
        found: list[_Waiting[Asked, Answer]] = []
        rows = 0
        while self._waiting:
            first = self._waiting[0]
            gone = first.answer.done()
            fits = not found or (first.joins and found[0].joins and rows + first.rows <= self._pace.rows)
            if not gone and not fits:
                break
            self._waiting.popleft()
            self._rows -= first.rows
            if not gone:
                found.append(first)
                rows += first.rows
        return found

    async def _call(self, together: "list[_Waiting[Asked, Answer]]") -> None:
        began = time.perf_counter()
        try:
            answers = await self._ask([each.asked for each in together])
            for each, answer in zip(together, answers, strict=True):
                if not each.answer.done():
                    each.answer.set_result(answer)
        except Exception as error:  # noqa: BLE001 - it is told to who sent the rows, whatever it is
            again = len(together) > 1 and self._repeated(error)
            for each in together:
                if each.answer.done():
                    continue
                if again:
                    await self._call([each])
                else:
                    each.answer.set_exception(error)
        except BaseException:
            # this process ends
            for each in together:
                each.answer.cancel()
            raise
        seconds = time.perf_counter() - began
        self._pace.took(sum(each.rows for each in together), seconds)
        self._seconds += _NEWEST * (seconds / len(together) - self._seconds)
