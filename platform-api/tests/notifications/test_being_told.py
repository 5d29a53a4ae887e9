"""Being told: nothing is lost, nothing comes twice, in order, and one channel that is away stops no other."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from mlops_platform.adapters.notices.email import EmailChannel
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.cli.notifications import Kind as CliKind
from mlops_platform.database.session import Database
from mlops_platform.identity.principal import Role
from mlops_platform.notifications import delivering, spreading
from mlops_platform.notifications.jobs import JOBS
from mlops_platform.notifications.keeping import pause_of_channel, pause_of_message
from mlops_platform.notifications.notice import Kind
from mlops_platform.notifications.outbox import tell
from mlops_platform.notifications.tables import ChannelStateRow, NoticeRow
from mlops_platform.telemetry import metrics

from ..support.receivers import Mailbox, Receiver, listening, mail_server, text_of
from .telling import URL, came, hook, mail, notice, sentences, states, told, works


class Killed(Exception):
    """The worker ends here."""


# --- the outbox


async def test_what_is_rolled_back_was_never_told(database: Database, receiver: Receiver) -> None:
    async def happens() -> None:
        async with database.session() as session:
            await tell(session, notice())
            raise Killed

    with pytest.raises(Killed):
        await happens()
    await works(database, hook(receiver))
    assert receiver.got == []
    await told(database, notice(2))
    await works(database, hook(receiver))
    assert sentences(receiver) == ["sentence 2"]


async def test_once_is_once_also_for_two_at_once(database: Database) -> None:
    async def remind() -> None:
        async with database.session() as session:
            await tell(session, notice(), once="overdue:1")

    await asyncio.gather(*(remind() for _ in range(5)))
    async with database.read_session() as session:
        assert (await session.execute(select(func.count()).select_from(NoticeRow))).scalar_one() == 1


# --- who hears of what


async def test_people_hear_of_what_concerns_their_role_and_team(services: BuiltServices, mailbox: Mailbox) -> None:
    await came(services, "max@company.com", "manager")
    await came(services, "other@company.com", "manager", tenant="risk")
    await came(services, "vic@company.com", "viewer")
    await came(services, "ada@company.com", "architect", tenant="risk")
    await came(services, "eve@evil.example", "manager")
    await told(services.database, notice(roles=(Role.MANAGER, Role.ARCHITECT)))
    await works(services.database, mail(mailbox))
    assert sorted(one["X-Rcpt"] for one in mailbox.mails) == ["ada@company.com", "max@company.com"]
    text = text_of(mailbox.mails[0])
    assert f"{URL}/console/approvals/1" in text
    assert f"{URL}/console/notifications" in text


async def test_who_did_it_is_not_told_and_named_people_are(services: BuiltServices, mailbox: Mailbox) -> None:
    await came(services, "ana@company.com", "data-scientist", "manager")
    await came(services, "vic@company.com", "viewer")
    await told(services.database, notice(people=("vic@company.com",), but=("ana@company.com",)))
    await works(services.database, mail(mailbox))
    assert [one["X-Rcpt"] for one in mailbox.mails] == ["vic@company.com"]


async def test_an_address_that_nobody_verified_is_none(
    client: httpx.AsyncClient, services: BuiltServices, mailbox: Mailbox, issuer: Any
) -> None:
    for email, verified in (("a@company.com", True), ("b@company.com", False), ("c@company.com\nBcc: x@y", True)):
        said = {"sub": email.partition("@")[0], "roles": ["manager"], "email": email, "email_verified": verified}
        headers = {"Authorization": f"Bearer {issuer.sign(said, 'mlops-platform', 60)}"}
        assert (await client.get("/api/v1/me", headers=headers)).status_code == 200
    await told(services.database, notice())
    await works(services.database, mail(mailbox))
    assert [one["X-Rcpt"] for one in mailbox.mails] == ["a@company.com"]


async def test_people_say_what_they_want_to_hear(
    client: httpx.AsyncClient, services: BuiltServices, as_: Callable[..., dict[str, str]], mailbox: Mailbox
) -> None:
    who = as_("max@company.com", "manager")
    path = "/api/v1/notifications/settings"
    found = (await client.get(path, headers=who)).json()
    assert (found["address"], found["email"], set(found["kinds"].values())) == ("max@company.com", True, {True})
    changed = await client.patch(path, headers=who, json={"kinds": {"approval-requested": False}})
    assert changed.json()["kinds"]["approval-requested"] is False
    await told(services.database, notice())
    await works(services.database, mail(mailbox))
    assert mailbox.mails == []
    await client.patch(path, headers=who, json={"kinds": {"approval-requested": True}})
    assert (await client.patch(path, headers=who, json={"address": "x@evil.example"})).json()[
        "address"
    ] == "max@company.com"
    await client.patch(path, headers=who, json={"email": False})
    await told(services.database, notice(2))
    await works(services.database, mail(mailbox))
    assert mailbox.mails == []
    assert (await client.patch(path, headers=who, json={"kinds": {"wedding": True}})).status_code == 422


def test_the_command_line_knows_every_kind() -> None:
    assert {kind.value for kind in CliKind} == {kind.value for kind in Kind}


# --- order, once, isolation


async def test_notices_of_one_subject_come_in_order(database: Database, receiver: Receiver) -> None:
    wanted = [(f"s{number % 7}", number) for number in range(100)]
    await told(database, *(notice(number, subject) for subject, number in wanted))
    await works(database, hook(receiver))
    for subject in {subject for subject, _ in wanted}:
        mine = [body["data"]["sentence"] for body in receiver.bodies() if body["data"]["subject"] == subject]
        assert mine == [f"sentence {number}" for one, number in wanted if one == subject]


async def test_several_workers_send_nothing_twice(database: Database, receiver: Receiver) -> None:
    await told(database, *(notice(number, f"s{number % 20}") for number in range(200)))
    channel = hook(receiver)
    await asyncio.gather(*(spreading.spread(database, [channel], URL) for _ in range(3)))
    await asyncio.gather(*(delivering.deliver(database, [channel], URL) for _ in range(4)))
    assert len(receiver.got) == len(set(receiver.ids())) == 200
    assert await states(database) == {"sent": 200}


@pytest.mark.parametrize("answer", [500, 503, 404, 401, "redirect", "drop"])
async def test_a_channel_that_is_away_loses_nothing_and_stops_no_other(
    database: Database, receiver: Receiver, answer: object
) -> None:
    with listening() as other:
        channels = [hook(receiver, "away"), hook(other, "here")]
        receiver.answers = answer
        await told(database, *(notice(number, f"s{number % 3}") for number in range(12)))
        for _ in range(8):
            await works(database, *channels)
        assert len(other.got) == 12
        assert await states(database) == {"sent": 12, "waiting": 12}
        receiver.answers = 200
        before = len(receiver.got)
        for _ in range(3):
            await works(database, *channels)
        assert await states(database) == {"sent": 24}
        # what was taken before the line broke came again with the same id
        assert len(set(receiver.ids())) == 12
        assert len(receiver.ids()) == 12 + before
        async with database.read_session() as session:
            state = await session.get(ChannelStateRow, "away")
            assert state is not None
            assert (state.failures, state.away_since) == (0, None)


async def test_a_channel_that_is_slow_is_given_up(
    database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "SEND_SECONDS", 0.3)
    receiver.answers = "slow"
    with listening() as other:
        await told(database, notice())
        await works(database, hook(receiver, "slow"), hook(other, "here"))
        assert len(other.got) == 1
    assert await states(database) == {"sent": 1, "waiting": 1}


async def test_a_message_that_is_refused_becomes_a_dead_letter_and_its_neighbours_pass(
    database: Database,
    receiver: Receiver,
    client: httpx.AsyncClient,
    as_: Callable[..., dict[str, str]],
) -> None:
    receiver.answers = lambda body: 422 if b"sentence 1" in body else 200
    await told(database, notice(1, "s"), notice(2, "s"), notice(3, "other"))
    for _ in range(7):
        await works(database, hook(receiver))
    assert sorted(sentences(receiver)) == ["sentence 2", "sentence 3"]
    admin = as_("admin@company.com", "platform-admin")
    found = (await client.get("/api/v1/notifications/undelivered", headers=admin)).json()
    assert [(one["sentence"], one["problem"], one["attempts"]) for one in found["dead"]] == [
        ("sentence 1", "it answered 422", 5)
    ]
    assert (
        await client.get("/api/v1/notifications/undelivered", headers=as_("max@company.com", "manager"))
    ).status_code == 403
    receiver.answers = 200
    again = f"/api/v1/notifications/undelivered/{found['dead'][0]['id']}/retry"
    assert [(await client.post(again, headers=admin)).status_code for _ in range(2)] == [204, 204]
    await works(database, hook(receiver))
    assert sorted(sentences(receiver)) == ["sentence 1", "sentence 2", "sentence 3"]


async def test_prometheus_reads_what_a_channel_refused_and_for_how_long_it_is_away(
    services: BuiltServices, receiver: Receiver
) -> None:
    (measure,) = (job for job in JOBS if job.name == "notice-metrics")
    dead, away = metrics.notices_dead.labels("hook"), metrics.notice_channel_away_seconds.labels("gone")
    receiver.answers = 422
    await told(services.database, notice())
    with listening() as other:
        other.answers = 503
        for _ in range(7):
            await works(services.database, hook(receiver), hook(other, "gone"))
        await measure.run(services)
        assert dead._value.get() == 1
        assert 0 < away._value.get() < 3600
        other.answers = 200
        for _ in range(3):
            await works(services.database, hook(other, "gone"))
    await measure.run(services)
    assert away._value.get() == 0


async def test_a_worker_that_dies_after_sending_sends_again_with_the_same_id(
    database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await told(database, notice())

    async def killed(*_: object) -> None:
        raise Killed

    channel = hook(receiver)
    with monkeypatch.context() as patched:
        patched.setattr(delivering, "_sent", killed)
        with pytest.raises(Killed):
            await works(database, channel)
    await delivering.deliver(database, [channel], URL)
    assert len(receiver.got) == 1, "leased: no other worker touches it"
    await works(database, channel)
    first, second = receiver.ids()
    assert first == second


async def test_a_flood_comes_as_one_mail_in_order(services: BuiltServices, mailbox: Mailbox) -> None:
    await came(services, "max@company.com", "manager")
    await told(services.database, *(notice(number, f"s{number}") for number in range(60)))
    await works(services.database, mail(mailbox))
    assert [one["Subject"] for one in mailbox.mails] == ["50 notices: sentence 0", "10 notices: sentence 50"]
    lines = [line for one in mailbox.mails for line in text_of(one).splitlines() if line.startswith("sentence")]
    assert lines == [f"sentence {number}" for number in range(60)]
    assert len({one["Message-ID"] for one in mailbox.mails}) == 2


async def test_a_digest_that_is_sent_again_is_the_same(
    services: BuiltServices, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    await came(services, "max@company.com", "manager")
    await told(services.database, *(notice(number, f"s{number}") for number in range(5)))

    async def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(delivering, "_sent", killed)
        with pytest.raises(Killed):
            await works(services.database, mail(mailbox))
    await told(services.database, notice(9, "s9"))
    await works(services.database, mail(mailbox))
    first, again, later = mailbox.mails
    assert first["Message-ID"] == again["Message-ID"]
    assert text_of(first) == text_of(again)
    assert "sentence 9" in text_of(later)


async def test_a_refused_recipient_stops_nobody_else(services: BuiltServices, mailbox: Mailbox) -> None:
    for email in ("gone@company.com", "full@company.com", "max@company.com"):
        await came(services, email, "manager")
    mailbox.refuses = {"gone@company.com": "550 no such user", "full@company.com": "452 mailbox full"}
    await told(services.database, notice())
    for _ in range(6):
        await works(services.database, mail(mailbox))
    assert [one["X-Rcpt"] for one in mailbox.mails] == ["max@company.com"]
    assert await states(services.database) == {"sent": 1, "dead": 1, "waiting": 1}
    mailbox.refuses = {}
    await works(services.database, mail(mailbox))
    assert len(mailbox.to("full@company.com")) == 1


async def test_a_mail_server_that_is_away_loses_nothing(services: BuiltServices) -> None:
    await came(services, "max@company.com", "manager")
    with mail_server() as first:
        port = first.port
    channel = EmailChannel("127.0.0.1", port, "none", "m@company.com", None, None, frozenset({"company.com"}))
    await told(services.database, notice())
    for _ in range(8):
        await works(services.database, channel)
    assert await states(services.database) == {"waiting": 1}
    with mail_server(port) as back:
        await works(services.database, channel)
        assert len(back.mails) == 1


def test_pauses_grow_and_end() -> None:
    assert [pause_of_channel(failures, None).total_seconds() for failures in (1, 2, 5, 60)] == [1, 2, 16, 300]
    assert pause_of_channel(1, 30.0).total_seconds() == 30
    assert pause_of_channel(1, 1e9).total_seconds() == 1_800
    assert [pause_of_message(attempts).total_seconds() for attempts in (1, 2, 60)] == [5, 10, 1_800]


@contextmanager
def _by_turns(receiver: Receiver, seed: int) -> Iterator[None]:
    chance = random.Random(seed)
    receiver.answers = lambda _body: chance.choice([200] * 18 + [500, "drop"])
    yield


@pytest.mark.parametrize(
    "count",
    [
        60,
        pytest.param(
            100_000, marks=[pytest.mark.whole("a hundred thousand notices take minutes"), pytest.mark.timeout(3_600)]
        ),
    ],
)
async def test_nothing_is_lost_through_two_failing_channels(database: Database, receiver: Receiver, count: int) -> None:
    """Each notice arrives at both; what comes twice has the same id; within a subject the order is kept."""
    with listening() as other, _by_turns(receiver, 1), _by_turns(other, 2):
        channels = [hook(receiver, "one"), hook(other, "two")]
        for first in range(0, count, 1_000):
            numbers = range(first, min(first + 1_000, count))
            await told(database, *(notice(number, f"s{number % 40}") for number in numbers))
        passes = 0
        while (await states(database)).get("sent", 0) < 2 * count:
            await works(database, *channels)
            passes += 1
            assert passes < 50 + count, "no progress"
        for found in (receiver, other):
            seen: dict[str, str] = {}
            order: dict[str, list[int]] = {}
            for (headers, _), body in zip(found.got, found.bodies(), strict=True):
                sentence = body["data"]["sentence"]
                if seen.setdefault(headers["webhook-id"], sentence) != sentence:
                    raise AssertionError("one id for two notices")
                order.setdefault(body["data"]["subject"], []).append(int(sentence.split()[1]))
            assert len(seen) == count
            assert len(set(seen.values())) == count
            for numbers_of in order.values():
                assert numbers_of == sorted(numbers_of)
