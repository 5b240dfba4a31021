"""One iterator for several consumers."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from de_classes.utils.fan_out import fan_out
from de_classes.utils.read_ahead import Stopped


def failing_after(count: int) -> Iterator[int]:
    yield from range(count)
    raise ConnectionResetError


def first(items: Iterator[int]) -> list[int]:
    return [next(items)]


def refuse(items: Iterator[int]) -> list[int]:
    next(items)
    raise ValueError("no more")


@pytest.mark.parametrize("consumers", [1, 2, 5])
def test_every_consumer_gets_everything(consumers: int) -> None:
    """Each of them gets all items in order, and what they return comes in their order."""
    takers = [lambda items, n=n: (n, list(items)) for n in range(consumers)]
    assert fan_out(iter(range(50)), takers) == [(n, list(range(50))) for n in range(consumers)]


def test_the_slowest_sets_the_pace() -> None:
    """Items are given as they are taken: nobody is more than two ahead of the slowest."""
    given: list[int] = []
    ahead: list[int] = []
    barrier = threading.Barrier(2)

    def giving() -> Iterator[int]:
        for n in range(20):
            given.append(n)
            yield n

    def slow(items: Iterator[int]) -> None:
        for n in items:
            ahead.append(len(given) - 1 - n)
            barrier.wait()

    def fast(items: Iterator[int]) -> None:
        for _ in items:
            barrier.wait()

    fan_out(giving(), [slow, fast])
    assert max(ahead) <= 2


def test_one_who_leaves_early_is_left_behind() -> None:
    """A consumer that returns before the end does not keep the others from it."""
    assert fan_out(iter(range(9)), [first, list, first]) == [[0], list(range(9)), [0]]


def test_what_the_items_raise_is_raised_to_all() -> None:
    """Every consumer learns of it, and so does the caller."""
    seen = []

    def watching(items: Iterator[int]) -> None:
        try:
            list(items)
        except ConnectionResetError:
            seen.append("told")
            raise

    with pytest.raises(ConnectionResetError):
        fan_out(failing_after(3), [watching, watching])
    assert seen == ["told", "told"]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_what_a_consumer_raises_stops_the_others(at: int) -> None:
    """The others are stopped, the error is the consumer's own, and endless items end."""

    def endless() -> Iterator[int]:
        n = 0
        while True:
            yield n
            n += 1

    consumers = [list, list, list]
    consumers[at] = refuse  # type: ignore[call-overload]  # any consumer serves
    with pytest.raises(ValueError, match="no more"):
        fan_out(endless(), consumers)


def test_stopping_passes() -> None:
    """Items that say stop do so to everybody."""

    def stopping() -> Iterator[int]:
        yield 1
        raise Stopped

    with pytest.raises(Stopped):
        fan_out(stopping(), [list, list])
