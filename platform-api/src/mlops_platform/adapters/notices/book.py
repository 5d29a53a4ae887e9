"""The operator's file of channels: read again when it has changed, secrets from files beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlops_platform.adapters.notices.email import EmailChannel
from mlops_platform.adapters.notices.http import PagerDutyChannel, SlackChannel, WebhookChannel
from mlops_platform.adapters.notices.rules import Rules
from mlops_platform.notifications.interfaces import Channel, ChannelBook, ChannelsNotReadable
from mlops_platform.notifications.notice import Kind

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,58}$")]
_PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EmailSettings(_Strict):
    """The mail server that takes the platform's mail."""

    host: str = Field(min_length=1)
    port: int = Field(587, ge=1, le=65_535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: str = Field(pattern=r"^[^\s@<>]+@[^\s@<>]+$")
    username: str | None = None
    password_file: Path | None = None
    domains: list[str] = Field(min_length=1)


class ChannelSettings(_Strict):
    """One channel of a team or of the company."""

    name: Name
    kind: Literal["slack", "webhook", "pagerduty"]
    url: str | None = None
    url_file: Path | None = None
    secret_file: Path | None = None
    tenants: list[str] = Field(default_factory=list)
    kinds: list[Kind] = Field(default_factory=list)


class File(_Strict):
    """The whole file."""

    email: EmailSettings | None = None
    channels: list[ChannelSettings] = Field(default_factory=list)


class FileOfChannels(ChannelBook):
    """The channels in a YAML file."""

    def __init__(self, path: Path | None, *, production: bool) -> None:
        self._path, self._production = path, production
        self._read: tuple[tuple[int, ...], Sequence[Channel]] | None = None

    def channels(self) -> Sequence[Channel]:
        if self._path is None:
            return ()
        try:
            # of a mounted secret the link changes, and with it what lies behind
            stat = self._path.stat()
            mark = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
            if self._read is None or self._read[0] != mark:
                content = File.model_validate(yaml.safe_load(self._path.read_text()) or {})
                self._read = (mark, self._built(content))
        except (OSError, yaml.YAMLError, ValidationError, ValueError) as error:
            raise ChannelsNotReadable(f"MLOPS_CHANNELS_FILE cannot be used: {_words(error)}") from error
        return self._read[1]

    def _built(self, file: File) -> Sequence[Channel]:
        names = ["email", *(one.name for one in file.channels)]
        if len(set(names)) != len(names):
            raise ValueError("every channel needs a name of its own, and 'email' is taken")
        made: list[Channel] = [self._channel(one) for one in file.channels]
        return [self._email(file.email), *made] if file.email is not None else made

    def _email(self, one: EmailSettings) -> Channel:
        if one.security == "none" and self._production and not _inside(one.host):
            raise ValueError("in production mail leaves encrypted: security is starttls or tls")
        return EmailChannel(
            one.host,
            one.port,
            one.security,
            one.sender,
            one.username,
            _secret(one.password_file),
            frozenset(domain.lower() for domain in one.domains),
        )

    def _channel(self, one: ChannelSettings) -> Channel:
        rules = Rules(frozenset(one.tenants), frozenset(one.kinds))
        if one.kind == "pagerduty":
            return PagerDutyChannel(one.name, self._url(one, _PAGERDUTY), _needed(one, _secret(one.secret_file)), rules)
        url = self._url(one, None)
        if one.kind == "slack":
            return SlackChannel(one.name, url, rules)
        return WebhookChannel(one.name, url, _needed(one, _secret(one.secret_file)), rules)

    def _url(self, one: ChannelSettings, by_default: str | None) -> str:
        url = _secret(one.url_file) or one.url or by_default
        split = urlsplit(url or "")
        if url is None or not split.hostname or split.username:
            raise ValueError(f"channel {one.name}: url or url_file must hold an address")
        if split.scheme != "https" and not (split.scheme == "http" and not self._production):
            raise ValueError(f"channel {one.name}: the address must begin with https://")
        return url


def _secret(path: Path | None) -> str | None:
    return path.read_text().strip() if path is not None else None


def _needed(one: ChannelSettings, secret: str | None) -> str:
    if not secret:
        raise ValueError(f"channel {one.name}: secret_file must name the file with its key")
    return secret


def _inside(host: str) -> bool:
    return host in {"localhost", "127.0.0.1", "::1"} or host.endswith((".svc", ".svc.cluster.local"))


def _words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        # the values may be secrets: only their places are named
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
    if isinstance(error, yaml.YAMLError):
        return "it is not YAML"
    return str(error)
