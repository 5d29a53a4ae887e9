"""Bodies are read whole or refused: over the limit, announced falsely, or cut off halfway."""

import asyncio
from collections.abc import Iterable

import pytest
from starlette.types import Message, Receive

from mlops_platform.kit.bodies import BodyIncomplete, BodyTooLarge, check_announced, read_body, replayed

GONE: Message = {"type": "http.disconnect"}


def part(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


class Server:
    """A server that says these messages, then that the caller left."""

    def __init__(self, messages: Iterable[Message]) -> None:
        self.left = list(messages)

    async def receive(self) -> Message:
        return self.left.pop(0) if self.left else GONE


def said(*messages: Message) -> Receive:
    return Server(messages).receive


@pytest.mark.parametrize(
    "messages",
    [
        (part(b"abcdef", more=False),),
        (part(b"abc"), part(b"def", more=False)),
        (part(b"abc"), part(b"def"), part(b"", more=False)),
        (part(b""), part(b""), part(b"abcdef", more=False)),
        ({"type": "http.request", "body": b"abcdef"},),
    ],
)
async def test_a_body_in_any_pieces_is_the_same_body(messages: tuple[Message, ...]) -> None:
    assert await read_body(said(*messages), 6) == b"abcdef"


async def test_no_body_is_an_empty_one() -> None:
    assert await read_body(said({"type": "http.request"}), 6) == b""


@pytest.mark.parametrize("messages", [(part(b"abcdefg", more=False),), (part(b"abcd"), part(b"efg", more=False))])
async def test_a_body_over_the_limit_is_refused_and_the_connection_ended(messages: tuple[Message, ...]) -> None:
    with pytest.raises(BodyTooLarge) as refused:
        await read_body(said(*messages), 6)
    assert refused.value.headers() == {"Connection": "close"}


async def test_a_body_without_end_is_not_read_to_its_end() -> None:
    server = Server([part(b"x" * 10) for _ in range(1_000)])
    with pytest.raises(BodyTooLarge):
        await read_body(server.receive, 25)
    assert len(server.left) == 997, "three pieces were enough to know"


@pytest.mark.parametrize("messages", [(), (part(b'{"a": 1}'),), (part(b"a"), part(b"b"))])
async def test_half_a_body_is_never_taken_for_a_whole_one(messages: tuple[Message, ...]) -> None:
    with pytest.raises(BodyIncomplete):
        await read_body(said(*messages), 100)


@pytest.mark.parametrize("announced", [b"11", b"9" * 18, b"9" * 10_000])
def test_an_announced_length_over_the_limit_is_refused_before_anything_is_read(announced: bytes) -> None:
    with pytest.raises(BodyTooLarge):
        check_announced(announced, 10)


@pytest.mark.parametrize("announced", [b"", b"0", b"10", b"-11", b"11 ", b"0x11", b"1e3"])
def test_what_announces_no_length_over_the_limit_is_left_to_be_read(announced: bytes) -> None:
    check_announced(announced, 10)


async def test_a_replayed_body_is_given_once_then_what_the_server_says() -> None:
    again = replayed(b"abc", said(GONE))
    assert await again() == part(b"abc", more=False)
    assert await again() == GONE


async def test_two_bodies_read_at_once_do_not_mix() -> None:
    async def slowly(letter: bytes) -> bytes:
        pieces = [part(letter) for _ in range(50)] + [part(b"", more=False)]

        async def receive() -> Message:
            await asyncio.sleep(0)
            return pieces.pop(0)

        return await read_body(receive, 50)

    assert await asyncio.gather(slowly(b"a"), slowly(b"b")) == [b"a" * 50, b"b" * 50]
