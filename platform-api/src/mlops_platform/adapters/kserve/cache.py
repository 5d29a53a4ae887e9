"""The cluster's objects of one kind, as a list, the events after it and the platform's own orders say they are. Pure."""

from collections.abc import Iterable
from typing import Any

Item = dict[str, Any]
Key = tuple[str, str]


def key_of(item: Item) -> Key:
    """Return namespace and name."""
    return item["metadata"]["namespace"], item["metadata"]["name"]


class Cache:
    """Objects by namespace and name. Messages may arrive out of order: an older state never replaces a newer one.

    Resource versions of one kind are compared as numbers (KEP-5504).
    """

    def __init__(self) -> None:
        self.items: dict[Key, Item] = {}
        self.version: int | None = None
        """Everything up to here has been told; None: it must be listed."""
        # uids the platform has deleted, until the cluster says so: a finalizer may keep the object for minutes
        self._deleted: set[str] = set()
        # keys and uids of the platform's own orders since the last list began
        self._since: set[Key | str] = set()

    def begin(self) -> None:
        """A list is asked for: from here on an order may be newer than its answer."""
        self._since.clear()

    def replace(self, listed: Iterable[Item], version: int) -> None:
        """Take a list's answer for everything, but for orders given since it began."""
        found = {key_of(item): _slim(item) for item in listed}
        found |= {key: item for key, item in self.items.items() if key in self._since and _version(item) > version}
        self._deleted &= {_uid(item) for item in found.values()} | self._since
        self.items = {key: item for key, item in found.items() if _uid(item) not in self._deleted}
        self.version = version

    def tell(self, kind: str, item: Item) -> None:
        """Take an event of a watch: ADDED, MODIFIED, DELETED or BOOKMARK."""
        self.version = _version(item)
        if kind == "BOOKMARK":
            return
        key, uid = key_of(item), _uid(item)
        if kind == "DELETED":
            self._deleted.discard(uid)
        mine = self.items.get(key)
        if uid in self._deleted or (mine is not None and _version(mine) > _version(item)):
            return
        if kind == "DELETED":
            self.items.pop(key, None)
        else:
            self.items[key] = _slim(item)

    def keep(self, item: Item) -> None:
        """Take the answer to an order, before the watch tells of it. What the watch has already told of is not news."""
        if _uid(item) in self._deleted or (self.version is not None and _version(item) <= self.version):
            return
        mine = self.items.get(key_of(item))
        if mine is None or _version(mine) < _version(item):
            self.items[key_of(item)] = _slim(item)
        self._since.add(key_of(item))

    def drop(self, item: Item) -> None:
        """An order deleted this object: forget it, and what is still said of it."""
        mine = self.items.get(key_of(item))
        if mine is not None and _uid(mine) == _uid(item):
            del self.items[key_of(item)]
            self._deleted.add(_uid(item))
            self._since.add(_uid(item))


def _uid(item: Item) -> str:
    return str(item["metadata"]["uid"])


def _version(item: Item) -> int:
    return int(item["metadata"]["resourceVersion"])


def _slim(item: Item) -> Item:
    # half of an object is who set which field, which nobody reads here
    item["metadata"].pop("managedFields", None)
    return item
