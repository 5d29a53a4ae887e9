"""What is known of a cluster never goes back in time, whatever order lists, events and the platform's own orders come in."""

import copy
import random

import pytest

from mlops_platform.adapters.kserve.cache import Cache, Item

NAMES = ("a", "b", "c")


def an_item(name: str, version: int, uid: str = "") -> Item:
    return {"metadata": {"namespace": "n", "name": name, "uid": uid or name, "resourceVersion": str(version)}}


def versions(cache: Cache) -> dict[str, int]:
    return {name: int(item["metadata"]["resourceVersion"]) for (_, name), item in cache.items.items()}


def test_an_older_event_does_not_undo_an_order() -> None:
    cache = Cache()
    cache.replace([an_item("a", 5)], 5)
    cache.keep(an_item("a", 9))
    cache.tell("MODIFIED", an_item("a", 7))
    assert versions(cache) == {"a": 9}
    cache.tell("DELETED", an_item("a", 8))
    assert versions(cache) == {"a": 9}
    cache.tell("DELETED", an_item("a", 10))
    assert versions(cache) == {}


def test_an_answer_that_comes_after_the_watch_told_of_the_deletion_brings_nothing_back() -> None:
    cache = Cache()
    cache.replace([], 5)
    cache.tell("ADDED", an_item("a", 6))
    cache.tell("DELETED", an_item("a", 7))
    cache.keep(an_item("a", 6))
    assert versions(cache) == {}


def test_a_list_that_began_before_an_order_does_not_undo_it() -> None:
    cache = Cache()
    cache.replace([an_item("a", 1), an_item("b", 2)], 5)
    cache.begin()
    cache.keep(an_item("c", 8))
    cache.drop(an_item("a", 1))
    cache.replace([an_item("a", 1), an_item("b", 2)], 6)
    assert versions(cache) == {"b": 2, "c": 8}


def test_a_list_that_began_after_an_order_is_believed() -> None:
    cache = Cache()
    cache.replace([], 5)
    cache.keep(an_item("a", 8))
    cache.begin()
    cache.replace([], 3)
    assert versions(cache) == {}, "even that of a cluster that was restored from a backup"
    cache.tell("ADDED", an_item("a", 4))
    assert versions(cache) == {"a": 4}


def test_what_was_deleted_stays_away_while_its_finalizers_run_and_its_successor_does_not() -> None:
    cache = Cache()
    cache.replace([an_item("a", 1)], 5)
    cache.drop(an_item("a", 1))
    cache.tell("MODIFIED", an_item("a", 6))
    cache.begin()
    cache.replace([an_item("a", 6)], 7)
    assert versions(cache) == {}
    cache.tell("ADDED", an_item("a", 8, uid="2"))
    assert versions(cache) == {"a": 8}


def test_who_set_which_field_is_not_remembered() -> None:
    cache = Cache()
    item = an_item("a", 1)
    item["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    cache.replace([item], 1)
    assert "managedFields" not in cache.items["n", "a"]["metadata"]


class Server:
    """What it has, and how it came to that: the event of version N is the Nth."""

    def __init__(self) -> None:
        self.has: dict[str, Item] = {}
        self.history = [("BOOKMARK", an_item("-", 0))]

    @property
    def version(self) -> int:
        return len(self.history) - 1

    def change(self, name: str, *, delete: bool = False) -> Item:
        old = self.has.pop(name, None)
        item = an_item(name, self.version + 1, old["metadata"]["uid"] if old else f"{name}-{self.version}")
        if not delete:
            self.has[name] = item
        self.history.append(("DELETED" if delete else "MODIFIED" if old else "ADDED", item))
        return copy.deepcopy(item)

    def tell(self, cache: Cache) -> None:
        """Tell one more event, as a watch does that lags behind."""
        assert cache.version is not None
        if cache.version < self.version:
            kind, item = self.history[cache.version + 1]
            cache.tell(kind, copy.deepcopy(item))


def order(server: Server, cache: Cache, name: str, *, delete: bool) -> None:
    if delete and ("n", name) in cache.items and name in server.has:
        known = cache.items["n", name]
        server.change(name, delete=True)
        cache.drop(known)
        assert name not in versions(cache)
    elif not delete:
        item = server.change(name)
        cache.keep(item)
        assert versions(cache)[name] == int(item["metadata"]["resourceVersion"])


@pytest.mark.parametrize("seed", range(200))
def test_in_any_order_ones_own_orders_are_seen_at_once_and_everything_in_the_end(seed: int) -> None:
    """A watch that lags behind, lists that take time, orders and other people in between."""
    dice = random.Random(seed)
    server, cache = Server(), Cache()
    cache.replace([], 0)
    listing: tuple[list[Item], int] | None = None
    for _ in range(80):
        name = dice.choice(NAMES)
        match dice.choice(["order", "other", "other", "tell", "tell", "tell", "list"]):
            case "order":
                order(server, cache, name, delete=dice.random() < 0.4)
            case "other":
                server.change(name, delete=name in server.has and dice.random() < 0.5)
            case "tell":
                server.tell(cache)
            case "list" if listing is None:
                cache.begin()
                listing = copy.deepcopy(list(server.has.values())), server.version
            case "list":
                assert listing is not None
                if cache.version is not None and listing[1] >= cache.version:
                    cache.replace(*listing)
                listing = None
    for _ in range(80):
        server.tell(cache)
    assert versions(cache) == {name: int(item["metadata"]["resourceVersion"]) for name, item in server.has.items()}
