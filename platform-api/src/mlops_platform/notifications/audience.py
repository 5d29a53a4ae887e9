"""Who hears of a notice, by which channel. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from mlops_platform.identity.people import Person
from mlops_platform.notifications.interfaces import Channel, Item
from mlops_platform.notifications.notice import Kind


@dataclass(frozen=True)
class Wishes:
    """What a person wants to hear of; by default everything that concerns them, by e-mail."""

    email: bool = True
    muted: frozenset[Kind] = field(default_factory=frozenset)

    def wants(self, kind: Kind) -> bool:
        """Return whether the person wants to be told of this by a personal channel."""
        return self.email and kind not in self.muted


@dataclass(frozen=True)
class Address:
    """Where one copy of a notice goes."""

    channel: str
    recipient: str
    lane: str
    """What is in one lane arrives in order: a person's messages, or a subject's at a program."""


def concerned(known: Iterable[Person], roles: Collection[str], people: Collection[str], tenant: str) -> list[Person]:
    """Return the people whom a notice concerns: those named, and those who have one of the roles for that tenant."""
    return [
        person for person in known if person.subject in people or any(person.acts_as(role, tenant) for role in roles)
    ]


def addresses(
    channels: Sequence[Channel], item: Item, people: Iterable[Person], wishes: dict[str, Wishes], but: Collection[str]
) -> list[Address]:
    """Return where a notice goes. Nobody is told twice by one channel, whoever shares an address."""
    found: dict[tuple[str, str], Address] = {}
    told = list(people)
    for channel in channels:
        if not channel.takes(item):
            continue
        if not channel.personal:
            lane = channel.name if channel.digests else item.subject
            found[channel.name, ""] = Address(channel.name, "", lane)
            continue
        for person in told:
            address = person.address
            wanted = wishes.get(person.subject, Wishes()).wants(item.kind)
            if address is None or person.subject in but or not wanted or not channel.may_tell(address):
                continue
            found[channel.name, address] = Address(channel.name, address, address)
    return list(found.values())
