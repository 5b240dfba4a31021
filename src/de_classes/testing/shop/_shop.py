"""The sample shop: as many customers and orders as wanted, computed when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from de_classes.errors import ConfigurationError

from ._history import History
from ._tables import Customers, Orders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["Shop"]

_BATCH = 16_384


class Shop:
    """A small shop whose every customer and order follows from `seed`; nothing is kept, however many there are.

    On day 0 there are `orders` orders and a tenth as many customers. Each later day brings about 2 % new ones of both,
    and about 1 % of the old ones change: orders get another status, customers other points. All changes of a table
    have different moments, later ones on later days.

    `orders_feed` and `customers_feed` are what the API answers from; `orders` and `customers` are the truth, computed
    from the rows' numbers and not by way of the feed.
    """

    def __init__(self, orders: int = 100_000, *, seed: int = 1, day: int = 0) -> None:
        problems = []
        if orders < 1:
            problems.append(f"orders={orders}: a shop has at least one")
        if day < 0:
            problems.append(f"day={day}: there is none before day 0")
        if problems:
            raise ConfigurationError("Shop", "; ".join(problems), "Give other numbers.")
        self.seed = seed
        self.day = day
        self._orders = _history(seed * 2, orders)
        self._customers = _history(seed * 2 + 1, max(1, orders // 10))

    def advance(self, days: int = 1) -> None:
        """Let days go by."""
        if days < 0:
            raise ConfigurationError("Shop", f"advance({days})", "The shop's time only goes forward.")
        self.day += days

    def count_orders(self, day: int | None = None) -> int:
        """How many orders there are at the end of a day."""
        return self._orders.rows(self.day if day is None else day)

    def count_customers(self, day: int | None = None) -> int:
        """How many customers there are at the end of a day."""
        return self._customers.rows(self.day if day is None else day)

    def orders(self, day: int | None = None) -> Iterator[pa.RecordBatch]:
        """Every order as it is at the end of a day, in batches, by id."""
        return self._truth(self._orders, self._order_rows, self.day if day is None else day)

    def customers(self, day: int | None = None) -> Iterator[pa.RecordBatch]:
        """Every customer as they are at the end of a day, in batches, by id."""
        return self._truth(self._customers, self._customer_rows, self.day if day is None else day)

    def orders_feed(self, day: int, after: int, count: int) -> tuple[list[dict[str, Any]], int | None]:
        """The first `count` orders changed after a moment (microseconds), by change, and the last one's moment.

        Each is at its last change up to the day. The moment is None when no more follow.
        """
        start = self._start(self._orders, day, after)
        changes = self._orders.nth_in_feed(day, start, count)
        more = start + len(changes) < self._orders.rows(day)
        last = int(self._orders.moment(changes[-1:])[0]) if more and len(changes) else None
        return self._order_rows(self._orders.row_of(changes), changes).json(), last

    def customers_feed(self, day: int, after: int, page: int, per_page: int) -> tuple[list[dict[str, Any]], int]:
        """The same for customers, by the number of the page from 1; and the number of pages."""
        start = self._start(self._customers, day, after)
        pages = -(-(self._customers.rows(day) - start) // per_page)
        changes = self._customers.nth_in_feed(day, start + (page - 1) * per_page, per_page)
        return self._customer_rows(self._customers.row_of(changes), changes).json(), pages

    def _start(self, history: History, day: int, after: int) -> int:
        return history.feed_length(day, history.changes_until(after, day))

    def _order_rows(self, row: NDArray[np.int64], change: NDArray[np.int64]) -> Orders:
        return Orders(self.seed, self._orders, self._customers, row, change)

    def _customer_rows(self, row: NDArray[np.int64], change: NDArray[np.int64]) -> Customers:
        return Customers(self.seed, self._customers, row, change)

    def _truth(
        self,
        history: History,
        rows: Callable[[NDArray[np.int64], NDArray[np.int64]], Orders | Customers],
        day: int,
    ) -> Iterator[pa.RecordBatch]:
        total = history.rows(day)
        for first in range(0, total, _BATCH):
            row = np.arange(first, min(first + _BATCH, total), dtype=np.int64)
            yield rows(row, history.last_change(row, day)).batch()

    def __repr__(self) -> str:
        return f"Shop({self._orders.first}, seed={self.seed}, day={self.day})"


def _history(seed: int, rows: int) -> History:
    return History(seed, rows, max(1, rows // 50), max(1, rows // 100))
