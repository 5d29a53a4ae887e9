"""Answers leave after their records, in order, and one write to the log is enough for all of a turn."""

import asyncio
import os
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import uvicorn

from mlops_platform.adapters.delta.prediction_log import DeltaPredictionLog
from mlops_platform.predictions.outbox import Outbox
from mlops_platform.predictions.protocol import PredictionProtocol
from tests.contracts.test_prediction_log import record
from tests.predictions.test_protocol import Watched, exchange, gateway, request, short, token  # noqa: F401 - fixtures


async def test_records_are_committed_once_before_all_answers_of_a_turn() -> None:
    said: list[Any] = []
    outbox = Outbox(Mock(commit=lambda: said.append("committed")))
    loop = asyncio.get_running_loop()
    for name in "abc":
        transport = Mock(is_closing=lambda name=name: name == "b", write=said.append)
        outbox.hold(loop, transport, name.encode())
    assert said == []
    await asyncio.sleep(0)
    assert said == ["committed", b"a", b"c"], "who went away gets no answer, and keeps nobody from theirs"
    outbox.deliver()
    assert len(said) == 3, "what was sent is not sent again"


async def test_an_answer_that_cannot_be_sent_keeps_nobody_from_theirs() -> None:
    said: list[Any] = []

    def broken(_answer: bytes) -> None:
        raise RuntimeError("the handler is closed")

    outbox, loop = Outbox(Mock()), asyncio.get_running_loop()
    for write in (said.append, broken, said.append):
        outbox.hold(loop, Mock(is_closing=lambda: False, write=write), b"answer")
    outbox.deliver()
    assert said == [b"answer", b"answer"]


async def test_answers_that_are_owed_come_before_a_refusal_of_what_follows(short: int, token: str) -> None:  # noqa: F811
    await exchange(short, request(token))
    reader, writer = await asyncio.open_connection("127.0.0.1", short)
    writer.write(request(token) + b"this is no HTTP\r\n\r\n")
    async with asyncio.timeout(10):
        said = await reader.read()
    writer.close()
    assert said.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 400" in said


async def test_a_connection_that_stays_idle_is_ended_and_a_busy_one_is_not(gateway: Watched, token: str) -> None:  # noqa: F811
    config = uvicorn.Config(gateway, port=0, http=PredictionProtocol, log_level="error", timeout_keep_alive=2)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    # the first takes uvicorn's way, whose timer would hide what is looked at
    await exchange(port, request(token))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(30):
        for _ in range(4):
            writer.write(request(token))
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(1)
        writer.write(request(token))
        assert (await reader.read()).endswith(b"}"), "the last answer, and then the end"
    writer.close()
    server.should_exit = True
    await task


def test_of_a_batch_that_a_full_disk_cuts_off_the_whole_records_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = DeltaPredictionLog(tmp_path / "predictions")
    whole, room = os.write, len(record(1)) + len(record(2, rows=3)) + 10

    def full(descriptor: int, content: bytes) -> int:
        return whole(descriptor, content[:room])

    for number, rows in ((1, 1), (2, 3), (3, 5)):
        log.hold(record(number, rows), rows)
    monkeypatch.setattr(os, "write", full)
    log.commit()
    monkeypatch.undo()
    log.append(record(4), 1)
    log.close()
    found = log.account()
    assert (found.pending, found.dropped) == (1 + 3 + 1, 5)
    assert log.move() == 5
