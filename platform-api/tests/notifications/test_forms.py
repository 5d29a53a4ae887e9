"""What a channel is sent: its form, its signature, and nothing smuggled into it."""

import base64
import hmac
from hashlib import sha256

from mlops_platform.adapters.notices.http import (
    PagerDutyChannel,
    SlackChannel,
    key_of,
    signature,
)
from mlops_platform.adapters.notices.rules import Rules
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.database.session import Database
from mlops_platform.identity.principal import Role
from mlops_platform.notifications.notice import Kind, Notice

from ..support.receivers import SECRET, Mailbox, Receiver
from .telling import URL, came, hook, mail, notice, sentences, told, works


def test_signatures_are_those_of_standard_webhooks() -> None:
    # the example of the specification's own libraries
    got = signature(key_of(SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')
    assert got == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_webhook_can_be_verified_and_told_apart(database: Database, receiver: Receiver) -> None:
    await told(database, notice())
    await works(database, hook(receiver))
    ((headers, body),) = receiver.got
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(hmac.new(key, signed, sha256).digest()).decode()}"
    said = receiver.bodies()[0]
    assert said["type"] == "approval-requested"
    assert said["data"]["id"] == headers["webhook-id"]
    assert said["data"]["url"] == f"{URL}/console/approvals/1"


async def test_slack_gets_blocks_in_which_nothing_is_a_mention(database: Database, receiver: Receiver) -> None:
    sly = Notice(Kind.REVIEW_DUE, "x", "default", "<!channel> & <http://evil|x>", "/console", roles=())
    await told(database, sly)
    await works(database, SlackChannel("team", receiver.url, Rules()))
    (body,) = receiver.bodies()
    assert body["blocks"][0]["text"]["text"] == f"&lt;!channel&gt; &amp; &lt;http://evil|x&gt;\n<{URL}/console|Open>"


async def test_pagerduty_hears_of_what_pages_only(database: Database, receiver: Receiver) -> None:
    channel = PagerDutyChannel("on-call", receiver.url, "key", Rules())
    await told(database, notice(1), notice(2, pages=True))
    await works(database, channel)
    (body,) = receiver.bodies()
    assert (body["event_action"], body["payload"]["summary"], body["routing_key"]) == ("trigger", "sentence 2", "key")
    assert body["dedup_key"]


async def test_a_channel_of_a_team_hears_of_that_team(database: Database, receiver: Receiver) -> None:
    other = Notice(Kind.REVIEW_DUE, "x", "risk", "theirs", "/console")
    await told(database, notice(), other)
    await works(database, hook(receiver, tenants=frozenset({"risk"})))
    assert sentences(receiver) == ["theirs"]
    await works(database, hook(receiver, "kinds", kinds=frozenset({Kind.REVIEW_DUE})))


async def test_a_header_cannot_be_smuggled_into_a_mail(services: BuiltServices, mailbox: Mailbox) -> None:
    await came(services, "max@company.com", "manager")
    sly = Notice(Kind.REVIEW_DUE, "x", "default", "a\r\nBcc: eve@evil.example\r\n\r\nb", "/c", roles=(Role.MANAGER,))
    await told(services.database, sly)
    await works(services.database, mail(mailbox))
    (one,) = mailbox.mails
    assert one["Bcc"] is None
    assert one["X-Rcpt"] == "max@company.com"
