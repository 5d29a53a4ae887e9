"""A write that met another in the database is done again before its caller hears of it; nothing else is."""

import pytest
from starlette.types import Message, Receive, Scope, Send

from mlops_platform.database.retries import RetriedWrites


class App:
    """Meets another writer in its first attempts."""

    def __init__(self, meets: int, status: int = 503) -> None:
        self.meets = meets
        self.status = status
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.bodies.append((await receive())["body"])
        scope["route"] = "the route"
        if len(self.bodies) <= self.meets:
            scope["state"]["changes_met"] = True
        status = self.status if len(self.bodies) <= self.meets else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % len(self.bodies)})


async def asked(app: App, method: str = "POST") -> tuple[int, bytes, Scope]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"{}"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": method, "path": "/x", "state": {"request_id": "r"}}
    await RetriedWrites(app, 1_000)(scope, receive, send)
    start, body = sent
    return start["status"], body["body"], scope


@pytest.mark.parametrize("meets", [0, 1, 2])
async def test_it_is_done_again_with_the_same_body_and_answered_once(meets: int) -> None:
    app = App(meets)
    status, body, scope = await asked(app)
    assert (status, body) == (200, b"%d" % (meets + 1))
    assert app.bodies == [b"{}"] * (meets + 1)
    assert scope["route"] == "the route"


async def test_one_that_always_meets_others_is_told_after_the_third_time() -> None:
    app = App(99)
    assert (await asked(app))[0] == 503
    assert len(app.bodies) == 3


async def test_reading_is_not_repeated() -> None:
    app = App(99)
    assert (await asked(app, "GET"))[0] == 503
    assert len(app.bodies) == 1
