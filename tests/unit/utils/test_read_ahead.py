import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.utils.read_ahead import read_ahead


@given(st.lists(st.integers(0, 50)), st.integers(1, 100))
def test_gives_every_item_in_order(items: list[int], budget: int) -> None:
    """Whatever the sizes and the budget, the consumer sees what the iterator gave, in its order."""
    with read_ahead(iter(items), lambda item: item, budget) as ahead:
        assert list(ahead) == items


def test_an_item_larger_than_the_budget_passes() -> None:
    """There is always room for one item."""
    with read_ahead(iter([1000, 1, 1000]), lambda item: item, 10) as ahead:
        assert list(ahead) == [1000, 1, 1000]


def test_reads_ahead_within_the_budget_and_no_further() -> None:
    """The reader runs ahead until the budget is used, then waits for the consumer."""
    given_out: list[int] = []
    third = threading.Event()

    def items() -> Iterator[int]:
        for number in range(10):
            given_out.append(number)
            if number == 3:
                third.set()
            yield number

    with read_ahead(items(), lambda _: 10, 30) as ahead:
        # Three wait in the queue and the fourth is at the door: nobody has asked for any yet.
        assert third.wait(10)
        assert given_out == [0, 1, 2, 3]
        assert list(ahead) == list(range(10))


def test_a_failure_comes_in_its_place() -> None:
    """What came before the failure is given; then the failure is raised to the consumer."""

    def breaks() -> Iterator[int]:
        yield 1
        yield 2
        raise ConnectionResetError

    with read_ahead(breaks(), lambda _: 1, 100) as ahead:
        assert [next(ahead), next(ahead)] == [1, 2]
        with pytest.raises(ConnectionResetError):
            next(ahead)


def test_leaving_early_closes_the_iterator_and_ends_the_thread() -> None:
    """A consumer that stops in the middle leaves no thread and no open generator behind."""
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    before = threading.active_count()
    with read_ahead(endless(), lambda _: 1, 10) as ahead:
        assert next(ahead) == 1
    assert closed.is_set()
    assert threading.active_count() == before
