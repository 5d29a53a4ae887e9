"""What the notifications room needs from outside: channels that take messages."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mlops_platform.notifications.notice import Kind


class ChannelAway(Exception):
    """The channel takes nothing now; everything for it waits. `retry_after` when it said so, in seconds."""

    def __init__(self, sentence: str, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.retry_after = retry_after


class MessageRefused(Exception):
    """The channel does not take this very message; others may pass. `later` when it may take it another time."""

    def __init__(self, sentence: str, *, later: bool = False) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.later = later


class ChannelsNotReadable(Exception):
    """The operator's file of channels is missing, or does not fit; the message is a sentence."""


@dataclass(frozen=True)
class Item:
    """One notice within a message."""

    kind: Kind
    subject: str
    tenant: str
    sentence: str
    url: str
    at: datetime
    pages: bool


@dataclass(frozen=True)
class Message:
    """What one recipient gets at once: a notice, or several as a digest, in their order."""

    id: str
    """The same whenever the same message is sent again: who gets it twice can tell."""
    recipient: str
    items: Sequence[Item]


class Channel(ABC):
    """A way to tell people or programs."""

    name: str
    personal: bool = False
    """Whether it tells single people, at their addresses."""
    digests: bool = True
    """Whether several notices may come as one message."""

    @abstractmethod
    def takes(self, item: Item) -> bool:
        """Return whether this channel is for such notices; a personal one says so for all."""

    def may_tell(self, address: str) -> bool:
        """Return whether messages may go to this address: a personal channel's operator names the domains."""
        return self.personal and bool(address)

    @abstractmethod
    async def send(self, message: Message) -> None:
        """Deliver a message, within seconds. Raises ChannelAway or MessageRefused; never anything else."""


class ChannelBook(ABC):
    """The channels of this platform."""

    @abstractmethod
    def channels(self) -> Sequence[Channel]:
        """Return the channels as the operator has set them now. Raises ChannelsNotReadable."""
