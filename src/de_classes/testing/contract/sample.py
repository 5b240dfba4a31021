"""What the contract suite writes, and how it compares: rows in their order, and values that are easily changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.utils.checksum import TableChecksum

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from de_classes.contracts import Split
    from de_classes.utils.checksum import Checksum

__all__ = ["VALUES", "Content", "content", "content_of"]

VALUES: Mapping[str, pa.Array[Any]] = {
    "integer": pa.array([0, -1, 2**63 - 1, -(2**63), 2**53 + 1, None], pa.int64()),
    "float": pa.array([0.1 + 0.2, -1.5e300, 5e-324, 2.0, 1.9999999, None], pa.float64()),
    "float_special": pa.array([float("nan"), float("inf"), -float("inf"), -0.0, 0.0, None], pa.float64()),
    "text": pa.array(
        ["", "'quotes\", \\ and ;", "two\r\nlines\tand a tab", "żółć 🎁 e\u0301", "NULL", None], pa.string()
    ),
    "text_like_null": pa.array(["\\N", " ", "None", "null", "nan", None], pa.string()),
    "boolean": pa.array([True, False, True, False, False, None], pa.bool_()),
    "instant": pa.array(
        [
            *[datetime(2026, 3, 29, 1, 30, 0, n, UTC) for n in (0, 1, 999_999)],
            datetime(1900, 1, 1, tzinfo=UTC),
            datetime(1969, 12, 31, 23, 59, 59, 500_000, UTC),
            None,
        ],
        pa.timestamp("us", "UTC"),
    ),
    "wall_clock": pa.array(
        [datetime(2026, 3, 29, 2, 30, 0, n) for n in (0, 1, 2, 3, 999_999)] + [None],  # noqa: DTZ001 -- without a zone
        pa.timestamp("us"),
    ),
    "date": pa.array(
        [date(1, 1, 1), date(1900, 2, 28), date(2024, 2, 29), date(9999, 12, 31), None, None], pa.date32()
    ),
    "decimal": pa.array(
        [Decimal(text) for text in ("0.0000", "0.1000", "-0.0001", "9999999999999999.9999", "-9999999999999999.9999")]
        + [None],
        pa.decimal128(20, 4),
    ),
    "binary": pa.array([b"", b"\x00\xff", b"\\x41", b"'\n", b"\xc3\x28", None], pa.binary()),
}
"""A column of six values for each kind, with a null each."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a split, or several, hold: equal for the same rows in the same order, however they are cut into batches."""

    ordered: Checksum

    @property
    def rows(self) -> int:
        """How many."""
        return self.ordered.rows


def content(batches: Iterable[pa.RecordBatch]) -> Content:
    """Sum up rows with their places."""
    summed, rows = TableChecksum(), 0
    for records in batches:
        places = pa.array(range(rows, rows + records.num_rows), pa.int64())
        summed.update(pa.RecordBatch.from_arrays([*records.columns, places], [*records.schema.names, "\0place"]))
        rows += records.num_rows
    return Content(summed.value)


def content_of(split: Split) -> Content:
    """Read a split, wherever this runs."""
    return content(batch.records for batch in split.read())
