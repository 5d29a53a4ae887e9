"""A failed item is tried again later each time, and its neighbours at once."""

from mlops_platform.kit.backoff import Backoff


def test_each_failure_doubles_the_wait_up_to_five_minutes() -> None:
    now = [0.0]
    backoff = Backoff(lambda: now[0])
    waits = [backoff.failed("bad") for _ in range(12)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert not backoff.due("bad")
    assert backoff.due("neighbour")
    now[0] = 300
    assert backoff.due("bad")


def test_a_success_is_a_fresh_start() -> None:
    backoff = Backoff(lambda: 0.0)
    backoff.failed("item")
    backoff.succeeded("item")
    assert backoff.due("item")
    assert backoff.failed("item") == 1
