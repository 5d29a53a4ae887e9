"""Mail to people, by the company's mail server."""

from email.message import EmailMessage
from email.utils import format_datetime
from typing import Literal

import aiosmtplib

from mlops_platform.adapters.notices.rules import Rules
from mlops_platform.notifications.interfaces import Channel, ChannelAway, Item, Message, MessageRefused

_SECONDS = 12.0
_LONGEST_SUBJECT = 150
# 4xx of SMTP: try again; 5xx: do not
_PERMANENT = 500


class EmailChannel(Channel):
    """One mail for each message, to one person."""

    personal = True

    def __init__(
        self,
        host: str,
        port: int,
        security: Literal["starttls", "tls", "none"],
        sender: str,
        username: str | None,
        password: str | None,
        domains: frozenset[str],
    ) -> None:
        self.name = "email"
        self._server = {
            "hostname": host,
            "port": port,
            "username": username,
            "password": password,
            "use_tls": security == "tls",
            "start_tls": security == "starttls",
        }
        self._sender, self._domains = sender, domains

    def takes(self, item: Item) -> bool:
        return Rules().allow(item)

    def may_tell(self, address: str) -> bool:
        return address.rpartition("@")[2].lower() in self._domains

    async def send(self, message: Message) -> None:
        try:
            await aiosmtplib.send(self._mail(message), timeout=_SECONDS, **self._server)  # type: ignore[arg-type]
        except aiosmtplib.SMTPRecipientsRefused as error:
            refused = [each.code for each in error.recipients]
            later = all(code < _PERMANENT for code in refused)
            raise MessageRefused(f"the mail server refuses the recipient ({refused[0]})", later=later) from error
        except aiosmtplib.SMTPAuthenticationError as error:
            raise ChannelAway("the mail server refuses the user name or the password") from error
        except aiosmtplib.SMTPSenderRefused as error:
            raise ChannelAway(f"the mail server refuses the sender ({error.code})") from error
        except aiosmtplib.SMTPDataError as error:
            later = error.code < _PERMANENT
            raise MessageRefused(f"the mail server refuses the message ({error.code})", later=later) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise ChannelAway(f"the mail server does not answer as one ({type(error).__name__})") from error

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["From"] = self._sender
        mail["To"] = message.recipient
        mail["Subject"] = _subject(message)
        mail["Date"] = format_datetime(message.items[-1].at)
        mail["Message-ID"] = f"<{message.id}@{self._sender.rpartition('@')[2]}>"
        # machines do not answer machines
        mail["Auto-Submitted"] = "auto-generated"
        lines = [f"{item.sentence}\n{item.url}\n" for item in message.items]
        settings = message.items[0].url.partition("/console/")[0]
        lines.append(f"--\nWhat you hear of: {settings}/console/notifications")
        mail.set_content("\n".join(lines))
        return mail


def _subject(message: Message) -> str:
    first = " ".join(message.items[0].sentence.split())
    text = first if len(message.items) == 1 else f"{len(message.items)} notices: {first}"
    return text if len(text) <= _LONGEST_SUBJECT else f"{text[: _LONGEST_SUBJECT - 1]}…"
