"""Which notices the operator gives a channel. Pure."""

from dataclasses import dataclass

from mlops_platform.notifications.interfaces import Item
from mlops_platform.notifications.notice import Kind


@dataclass(frozen=True)
class Rules:
    """Teams and kinds; an empty set means all."""

    tenants: frozenset[str] = frozenset()
    kinds: frozenset[Kind] = frozenset()

    def allow(self, item: Item) -> bool:
        """Return whether a notice is for this channel."""
        return (not self.tenants or item.tenant in self.tenants) and (not self.kinds or item.kind in self.kinds)
