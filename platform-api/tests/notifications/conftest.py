"""Servers that receive: a webhook, a mailbox."""

from collections.abc import Iterator

import pytest

from ..support.receivers import Mailbox, Receiver, listening, mail_server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening() as found:
        yield found


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as found:
        yield found
