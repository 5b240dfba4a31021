"""What stands in the rows: every value is a function of the seed, the row and how often the row was updated.

Values are made as numpy columns, and rendered twice: as the JSON that the API answers, and as Arrow for the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa

from ._random import below

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ._history import History

T = TypeVar("T")

__all__ = ["CUSTOMERS", "ORDERS", "Customers", "Orders"]

_MOMENT = pa.timestamp("us", "UTC")
_MONEY = pa.decimal128(12, 2)


def _schema(fields: list[Any]) -> pa.Schema:
    return pa.schema(fields)


LINE = pa.struct(
    [
        pa.field("sku", pa.string(), nullable=False),
        pa.field("quantity", pa.int32(), nullable=False),
        pa.field("unit_price", _MONEY, nullable=False),
    ]
)
ORDERS = _schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("number", pa.string(), nullable=False),
        pa.field("customer_id", pa.int64(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("currency", pa.string(), nullable=False),
        pa.field("gift", pa.bool_(), nullable=False),
        pa.field("discount", _MONEY),
        pa.field("weight_kg", pa.float64()),
        pa.field("note", pa.string()),
        pa.field("lines", pa.list_(pa.field("item", LINE, nullable=False)), nullable=False),
        pa.field("total", _MONEY, nullable=False),
        pa.field("paid_at", _MOMENT),
        pa.field("created_at", _MOMENT, nullable=False),
        pa.field("updated_at", _MOMENT, nullable=False),
    ]
)
"""The columns of an order. `total` is the sum of the lines; `discount` is not taken off."""

ADDRESS = pa.struct(
    [
        pa.field("street", pa.string(), nullable=False),
        pa.field("city", pa.string(), nullable=False),
        pa.field("postal_code", pa.string()),
        pa.field("country", pa.string(), nullable=False),
    ]
)
CUSTOMERS = _schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("email", pa.string()),
        pa.field("birthday", pa.date32()),
        pa.field("newsletter", pa.bool_(), nullable=False),
        pa.field("points", pa.int64(), nullable=False),
        pa.field("address", ADDRESS),
        pa.field("created_at", _MOMENT, nullable=False),
        pa.field("updated_at", _MOMENT, nullable=False),
    ]
)
"""The columns of a customer."""

_STATUSES = ("new", "paid", "packed", "shipped", "delivered", "returned", "cancelled")
_CURRENCIES = ("EUR", "EUR", "EUR", "USD", "GBP")
_NOTES = (
    "Please ring twice.",
    'She said "leave it at the door", so do.',
    "It's a gift; don't send the bill.",
    "Line one\nLine two\r\n\tindented",
    "🎁 für Zoë — с днём рождения! 生日快乐",  # noqa: RUF001 -- Cyrillic is meant
    "C:\\temp\\new, 100% \\N",
    "",
    " ",
    "null",
)
_FIRST_NAMES = (
    "Ada",
    "Zoë",
    "José",
    "Søren",
    "Łukasz",
    "Ольга",
    "李",
    "さくら",
    "محمد",
    "Noor",
    "Siân",
    "Jean-Luc",
    'Anna "Ann"',
    "D'Arcy",
    "Grace 🚀",
    "e\u0301lodie",
)
_LAST_NAMES = (
    "Lovelace",
    "O'Brien",
    "García Márquez",
    "Müller-Lüdenscheidt",
    "Nguyễn",
    "Иванова",
    "小雷",
    "Smith, Jr.",
    "van der Berg",
    "Null",
    "Ångström",
    "de\nLine",
)
_STREETS = ("High Street", "Hauptstraße", "Rue de l'Église", "Calle Mayor", "Невский проспект", "1st\tAvenue")
_CITIES = (("London", "GB"), ("Köln", "DE"), ("Paris", "FR"), ("A Coruña", "ES"), ("Kraków", "PL"), ("東京", "JP"))
_PRODUCTS = 500
_MAX_LINES = 5
_WHICH, _STATUS, _CURRENCY, _GIFT, _DISCOUNT, _WEIGHT, _NOTE, _LINES, _SKU, _QUANTITY, _PRICE, _PAID = range(10, 22)
_FIRST, _LAST, _EMAIL, _BIRTHDAY, _NEWSLETTER, _POINTS, _STREET, _CITY, _POSTCODE, _NO_ADDRESS = range(30, 40)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Some rows of a table, each at one of its changes."""

    seed: int
    row: NDArray[np.int64]
    version: NDArray[np.int64]
    created: NDArray[np.int64]
    updated: NDArray[np.int64]

    def below(self, limit: Any, topic: int) -> NDArray[np.int64]:
        """A random number per row that an update does not change."""
        return below(limit, self.seed, topic, self.row)

    def chance(self, percent: int, topic: int) -> NDArray[np.bool_]:
        """True for so many percent of the rows; independent of what else the topic decides."""
        hit: NDArray[np.bool_] = below(100, self.seed ^ 0x5EED, topic, self.row) < percent
        return hit


class Orders:
    """Orders at some of their changes."""

    def __init__(
        self, seed: int, history: History, customers: History, row: NDArray[np.int64], change: NDArray[np.int64]
    ) -> None:
        created = history.created_by(row)
        self._rows = rows = _rows(seed, history, row, change)
        self.customer = rows.below(customers.rows(0) + history.day_of(created) * customers.created, _WHICH) + 1
        self.status = (rows.below(len(_STATUSES), _STATUS) + rows.version) % len(_STATUSES)
        self.currency = rows.below(len(_CURRENCIES), _CURRENCY)
        self.gift = rows.chance(12, _GIFT)
        self.discount = np.where(rows.chance(30, _DISCOUNT), rows.below(5_000, _DISCOUNT), -1)
        self.weight = np.where(rows.chance(90, _WEIGHT), rows.below(40_000, _WEIGHT), -1)
        self.note = np.where(rows.chance(25, _NOTE), rows.below(len(_NOTES), _NOTE), -1)
        self.paid = np.where(
            np.isin(self.status, (1, 2, 3, 4, 5)), rows.created + 1 + rows.below(3_600_000_000, _PAID), -1
        )
        counts = rows.below(_MAX_LINES, _LINES) + 1
        self.starts = np.concatenate(([0], np.cumsum(counts)))
        # A place of its own for every line that an order can have.
        line = np.repeat(row * _MAX_LINES, counts) + np.arange(self.starts[-1]) - np.repeat(self.starts[:-1], counts)
        self.sku = below(_PRODUCTS, seed, _SKU, line)
        self.quantity = below(9, seed, _QUANTITY, line) + 1
        self.price = below(50_000, seed, _PRICE, line) + 1
        self.total = np.add.reduceat(self.quantity * self.price, self.starts[:-1]) if len(row) else self.price

    def json(self) -> list[dict[str, Any]]:
        """As the API shows them."""
        skus = _skus()
        lines = [
            {"sku": skus[sku], "quantity": quantity, "unit_price": price}
            for sku, quantity, price in zip(
                self.sku.tolist(), self.quantity.tolist(), (self.price / 100).tolist(), strict=True
            )
        ]
        starts, rows = self.starts.tolist(), self._rows
        return _records(
            ORDERS,
            (rows.row + 1).tolist(),
            self._numbers(),
            self.customer.tolist(),
            [_STATUSES[status] for status in self.status.tolist()],
            [_CURRENCIES[currency] for currency in self.currency.tolist()],
            self.gift.tolist(),
            _some((self.discount / 100).tolist(), self.discount >= 0),
            _some((self.weight / 1000).tolist(), self.weight >= 0),
            [None if note < 0 else _NOTES[note] for note in self.note.tolist()],
            [lines[start:end] for start, end in pairwise(starts)],
            (self.total / 100).tolist(),
            _some(_texts(np.maximum(self.paid, 0)), self.paid >= 0),
            _texts(rows.created),
            _texts(rows.updated),
        )

    def batch(self) -> pa.RecordBatch:
        """As the truth has them."""
        rows = self._rows
        lines = pa.StructArray.from_arrays(
            [_picked(_skus(), self.sku), pa.array(self.quantity.astype(np.int32)), _money(self.price)],
            fields=list(LINE),
        )
        columns: list[Any] = [
            pa.array(rows.row + 1),
            pa.array(self._numbers(), pa.string()),
            pa.array(self.customer),
            _picked(_STATUSES, self.status),
            _picked(_CURRENCIES, self.currency),
            pa.array(self.gift),
            _money(self.discount),
            pa.array(self.weight / 1000, mask=self.weight < 0),
            _picked(_NOTES, self.note),
            _lists(self.starts, lines),
            _money(self.total),
            _moments(self.paid),
            _moments(rows.created),
            _moments(rows.updated),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=ORDERS)

    def _numbers(self) -> list[str]:
        return [f"SO-{row + 1:08d}" for row in self._rows.row.tolist()]


class Customers:
    """Customers at some of their changes."""

    def __init__(self, seed: int, history: History, row: NDArray[np.int64], change: NDArray[np.int64]) -> None:
        self._rows = rows = _rows(seed, history, row, change)
        self.first = rows.below(len(_FIRST_NAMES), _FIRST)
        self.last = rows.below(len(_LAST_NAMES), _LAST)
        self.email = rows.chance(85, _EMAIL)
        # 1930-01-01 to about 2007.
        self.birthday = rows.below(28_000, _BIRTHDAY) - 14_610
        self._known = rows.chance(60, _BIRTHDAY)
        self.newsletter = rows.chance(40, _NEWSLETTER)
        self.points = rows.below(10_000, _POINTS) + 137 * rows.version
        self.has_address = rows.chance(95, _NO_ADDRESS)
        self.street, self.house = rows.below(len(_STREETS), _STREET), rows.below(300, _STREET + 100) + 1
        self.city = rows.below(len(_CITIES), _CITY)
        self.postcode = np.where(rows.chance(90, _POSTCODE), rows.below(100_000, _POSTCODE), -1)

    def json(self) -> list[dict[str, Any]]:
        """As the API shows them."""
        rows = self._rows
        days = np.datetime_as_string(np.where(self._known, self.birthday, 0).astype("datetime64[D]")).tolist()
        address = [
            {"street": street, "city": _CITIES[city][0], "postal_code": postcode, "country": _CITIES[city][1]}
            for street, city, postcode in zip(self._streets(), self.city.tolist(), self._postcodes(), strict=True)
        ]
        return _records(
            CUSTOMERS,
            (rows.row + 1).tolist(),
            self._names(),
            self._emails(),
            _some(days, self._known),
            self.newsletter.tolist(),
            self.points.tolist(),
            _some(address, self.has_address),
            _texts(rows.created),
            _texts(rows.updated),
        )

    def batch(self) -> pa.RecordBatch:
        """As the truth has them."""
        rows = self._rows
        address = pa.StructArray.from_arrays(
            [
                pa.array(self._streets(), pa.string()),
                _picked([city for city, _ in _CITIES], self.city),
                pa.array(self._postcodes(), pa.string()),
                _picked([country for _, country in _CITIES], self.city),
            ],
            fields=list(ADDRESS),
            mask=pa.array(~self.has_address),
        )
        columns: list[Any] = [
            pa.array(rows.row + 1),
            pa.array(self._names(), pa.string()),
            pa.array(self._emails(), pa.string()),
            pa.array(self.birthday.astype(np.int32), pa.int32(), mask=~self._known).cast(pa.date32()),
            pa.array(self.newsletter),
            pa.array(self.points),
            address,
            _moments(rows.created),
            _moments(rows.updated),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=CUSTOMERS)

    def _names(self) -> list[str]:
        return [
            f"{_FIRST_NAMES[first]} {_LAST_NAMES[last]}"
            for first, last in zip(self.first.tolist(), self.last.tolist(), strict=True)
        ]

    def _emails(self) -> list[str | None]:
        return _some([f"customer.{row + 1}@example.com" for row in self._rows.row.tolist()], self.email)

    def _streets(self) -> list[str]:
        return [
            f"{_STREETS[street]} {house}"
            for street, house in zip(self.street.tolist(), self.house.tolist(), strict=True)
        ]

    def _postcodes(self) -> list[str | None]:
        return _some([f"{postcode:05d}" for postcode in self.postcode.tolist()], self.postcode >= 0)


def _rows(seed: int, history: History, row: NDArray[np.int64], change: NDArray[np.int64]) -> _Rows:
    created = history.moment(history.created_by(row))
    return _Rows(seed, row, history.versions(change, row), created, history.moment(change))


def _records(schema: pa.Schema, *columns: Iterable[Any]) -> list[dict[str, Any]]:
    names = schema.names
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _some(values: Iterable[T], there: NDArray[np.bool_]) -> list[T | None]:
    return [value if is_there else None for value, is_there in zip(values, there.tolist(), strict=True)]


def _skus() -> list[str]:
    return [f"SKU-{product:04d}" for product in range(_PRODUCTS)]


def _texts(moments: NDArray[np.int64]) -> list[str]:
    """Moments as `2026-01-01T00:00:00.000001Z`."""
    texts: list[str] = np.datetime_as_string(moments.astype("datetime64[us]"), timezone="UTC").tolist()
    return texts


def _moments(moments: NDArray[np.int64]) -> Any:
    return pa.array(moments, pa.int64(), mask=moments < 0).cast(_MOMENT)


def _lists(starts: NDArray[np.int64], lines: Any) -> Any:
    offsets: Any = pa.array(starts.astype(np.int32), pa.int32())
    return pa.ListArray.from_arrays(offsets, lines, type=ORDERS.field("lines").type)


def _picked(texts: Sequence[str], which: NDArray[np.int64]) -> Any:
    """The texts by their numbers; null for numbers below 0."""
    wanted: Any = pa.array(which, pa.int64(), mask=which < 0)
    return pa.array(texts, pa.string()).take(wanted)


def _money(cents: NDArray[np.int64]) -> Any:
    """Cents as decimals, null below 0: a decimal128 is a 16-byte integer, little-endian, scaled by its type."""
    wide = np.zeros((len(cents), 2), np.int64)
    wide[:, 0] = cents
    validity = pa.array(cents >= 0).buffers()[1] if (cents < 0).any() else None
    return pa.Array.from_buffers(_MONEY, len(cents), [validity, pa.py_buffer(wide.tobytes())])
