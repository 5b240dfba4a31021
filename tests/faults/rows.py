"""What the routes carry: rows that a careless step would change, in a first state and in a later one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeAlias

import pyarrow as pa

Row: TypeAlias = tuple[Any, ...]

ROWS = 120
MORE = ROWS + ROWS // 2
"""How many there are in the later state."""

COLUMNS = ("id", "amount", "note", "ratio", "at")
DDL = "(id bigint PRIMARY KEY, amount numeric(38, 10), note text, ratio float8, at timestamptz)"
NOTE = 4
"""Characters that the note of a narrow target may have."""
Unfit: TypeAlias = Literal["", "value", "column"]
"""What a narrow target does not hold: notes that are too long, or any note; nothing."""
NARROW: Mapping[Unfit, str] = {
    "value": f"(id bigint, amount text, note varchar({NOTE}), ratio float8, at text)",
    "column": "(id bigint, amount numeric(38, 10), note date, ratio float8, at timestamptz)",
}
SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "amount": pa.decimal128(38, 10),
        "note": pa.string(),
        "ratio": pa.float64(),
        "at": pa.timestamp("us", "UTC"),
    }
)
_NOTES = (None, "", "\\N", 'a "quoted",\r\nline', "ünïcode ☃ \t", "NULL")


def rows(count: int, state: int = 1) -> list[Row]:
    """So many rows; in state 2 there are half as many more, and every third has another amount."""
    changed = [number for number in range(count) if state > 1 and number % 3 == 0]
    more = range(count, count + count // 2 if state > 1 else count)
    return sorted(
        [_row(number, 0) for number in range(count) if number not in set(changed)]
        + [_row(number, 1) for number in changed]
        + [_row(number, 0) for number in more]
    )


def added(count: int) -> list[Row]:
    """What came between the states: changed rows and new ones."""
    return sorted(set(rows(count, 2)) - set(rows(count)))


def remaining(count: int) -> list[Row]:
    """State 2 without every seventh row: these were deleted."""
    return [row for row in rows(count, 2) if row[0] % 7]


def partly_replaced(count: int) -> list[Row]:
    """State 1, where the notes of `with_some_notes` have their rows of state 2."""
    replacing = with_some_notes(count)
    gone = {row[2] for row in replacing}
    return sorted([row for row in rows(count) if row[2] not in gone] + replacing)


def with_some_notes(count: int) -> list[Row]:
    """Those rows of state 2 that have one of three notes, null among them."""
    return [row for row in rows(count, 2) if row[2] in _NOTES[:3]]


def is_fit(row: Row, unfit: Unfit) -> bool:
    """Whether a target that does not hold everything holds this row."""
    return not unfit or row[2] is None or (unfit == "value" and len(row[2]) <= NOTE)


def told(row: Row) -> Row:
    """A row as JSON tells it."""
    number, amount, note, ratio, at = row
    return number, str(amount), note, ratio, at.isoformat()


def as_csv(some: list[Row]) -> bytes:
    """Rows as a file that keeps null and an empty text apart, as PostgreSQL writes it."""
    lines = [COLUMNS, *([*row[:-1], row[-1].isoformat()] for row in some)]
    return "".join(f"{','.join(map(_quoted, line))}\n" for line in lines).encode()


def _quoted(value: object) -> str:
    return "" if value is None else '"' + str(value).replace('"', '""') + '"'


def _row(number: int, version: int) -> Row:
    return (
        number,
        Decimal(10) ** 27 + Decimal(number) / 10_000 + version,
        _NOTES[number % len(_NOTES)],
        number / 3,
        datetime(2024, 2, 29, tzinfo=UTC) + timedelta(days=number, microseconds=number),
    )
