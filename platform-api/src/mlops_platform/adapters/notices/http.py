"""Channels that take messages over HTTP: Slack's incoming webhooks, webhooks signed as Standard Webhooks, PagerDuty's Events v2."""

import base64
import binascii
import hmac
import time
from hashlib import sha256
from typing import Any

import httpx
import orjson

from mlops_platform.adapters.notices.rules import Rules
from mlops_platform.notifications.interfaces import Channel, ChannelAway, Item, Message, MessageRefused

_SECONDS = 10.0
_LONGEST_BLOCK = 2_900
_MOST_BLOCKS = 48
# this message is not what the other side can read; anything else that is no success is about the channel
_ABOUT_THE_MESSAGE = frozenset({400, 413, 415, 422})


class _HttpChannel(Channel):
    """Posts JSON to the operator's address, and to no other: redirects are not followed, proxies of the environment not used."""

    def __init__(self, name: str, url: str, rules: Rules) -> None:
        self.name, self._url, self._rules = name, url, rules
        self._client: httpx.AsyncClient | None = None

    def takes(self, item: Item) -> bool:
        return self._rules.allow(item)

    async def _post(self, body: bytes, headers: dict[str, str]) -> None:
        sent = {"Content-Type": "application/json", "User-Agent": "mlops-platform", **headers}
        if self._client is None:
            # kept: to read the certificates of authorities again costs more than a message
            self._client = httpx.AsyncClient(timeout=_SECONDS, follow_redirects=False, trust_env=False)
        try:
            async with self._client.stream("POST", self._url, content=body, headers=sent) as answer:
                # what it says is not read: only whether it took the message
                status, wait = answer.status_code, answer.headers.get("retry-after", "")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # the address may be a secret, and the library's words hold it
            raise ChannelAway(f"it does not answer ({type(error).__name__})") from None
        if 200 <= status < 300:  # noqa: PLR2004 - success
            return
        if status in _ABOUT_THE_MESSAGE:
            raise MessageRefused(f"it answered {status}")
        raise ChannelAway(f"it answered {status}", float(wait) if wait.isdigit() else None)


class SlackChannel(_HttpChannel):
    """A channel of Slack, by its incoming webhook. Nothing can be decided there: the link leads to the page."""

    async def send(self, message: Message) -> None:
        text = message.items[0].sentence
        if len(message.items) > 1:
            text = f"{len(message.items)} notices: {text}"
        shown = message.items[:_MOST_BLOCKS]
        blocks = [_section(f"{_plain(item.sentence)}\n<{item.url}|Open>") for item in shown]
        if len(shown) < len(message.items):
            blocks.append(_section(f"and {len(message.items) - len(shown)} more"))
        body = {"text": _plain(text), "blocks": blocks, "unfurl_links": False}
        await self._post(orjson.dumps(body), {})


class WebhookChannel(_HttpChannel):
    """A program, which checks the signature and the time, and knows a repeated message by its id."""

    digests = False

    def __init__(self, name: str, url: str, secret: str, rules: Rules) -> None:
        super().__init__(name, url, rules)
        self._key = key_of(secret)

    async def send(self, message: Message) -> None:
        (item,) = message.items
        body = orjson.dumps(
            {
                "type": item.kind.value,
                "timestamp": item.at.isoformat(),
                "data": {
                    "id": message.id,
                    "subject": item.subject,
                    "tenant": item.tenant,
                    "sentence": item.sentence,
                    "url": item.url,
                },
            }
        )
        at = int(time.time())
        headers = {
            "webhook-id": message.id,
            "webhook-timestamp": str(at),
            "webhook-signature": signature(self._key, message.id, at, body),
        }
        await self._post(body, headers)


class PagerDutyChannel(_HttpChannel):
    """Somebody on call: for what pages, and nothing else."""

    digests = False

    def __init__(self, name: str, url: str, routing_key: str, rules: Rules) -> None:
        super().__init__(name, url, rules)
        self._routing_key = routing_key

    def takes(self, item: Item) -> bool:
        return item.pages and self._rules.allow(item)

    async def send(self, message: Message) -> None:
        (item,) = message.items
        body = {
            "routing_key": self._routing_key,
            "event_action": "trigger",
            # the same message again is the same incident
            "dedup_key": message.id,
            "payload": {
                "summary": item.sentence[:1_024],
                "source": item.subject,
                "severity": "critical",
                "timestamp": item.at.isoformat(),
                "class": item.kind.value,
                "group": item.tenant,
            },
            "links": [{"href": item.url, "text": "The platform's page"}],
        }
        await self._post(orjson.dumps(body), {})


def key_of(secret: str) -> bytes:
    """Return the key of a Standard Webhooks secret ("whsec_" and base64). Raises ValueError."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError("a webhook's secret is whsec_ and base64") from error
    if len(key) < 24:  # noqa: PLR2004 - what the standard asks for at least
        raise ValueError("a webhook's secret has 24 bytes at least")
    return key


def signature(key: bytes, message_id: str, at: int, body: bytes) -> str:
    """Return the signature of a message (Standard Webhooks, symmetric)."""
    signed = f"{message_id}.{at}.".encode() + body
    return f"v1,{base64.b64encode(hmac.new(key, signed, sha256).digest()).decode()}"


def _section(text: str) -> dict[str, Any]:
    short = text if len(text) <= _LONGEST_BLOCK else f"{text[: _LONGEST_BLOCK - 1]}…"
    return {"type": "section", "text": {"type": "mrkdwn", "text": short}}


def _plain(text: str) -> str:
    # Slack's own rule: then nothing in it is a mention or a link
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
