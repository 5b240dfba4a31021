"""Which column of a target table takes which column that comes, and what is checked of the values on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.errors import SchemaMismatch, ValueNotHeld

from .arrow_values import pc
from .copy_text import plain
from .types import columns_of_schema, holds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .arrow_values import Array
    from .catalogue import Table
    from .copy_text import Refuse
    from .types import Column, PgType

__all__ = ["Placing", "differences", "place"]


@dataclass(frozen=True, slots=True)
class Placing:
    """The columns that come, the types that they are staged in, and those that must not be NULL."""

    subject: str
    """The target table."""
    columns: tuple[Column, ...]
    required: frozenset[str]

    def refuse(self, first_row: int, column: str) -> Refuse:
        """Make errors for a column of a batch that begins with this row."""

        def error(at: int, what: str) -> ValueNotHeld:
            return ValueNotHeld(
                self.subject,
                f"column {column!r} is given {what} in row {first_row + at}, which it cannot hold",
                "Change or leave out such values in a transform.",
                table=self.subject,
                column=column,
                row=first_row + at,
            )

        return error

    def checked(self, records: pa.RecordBatch, first_row: int) -> pa.RecordBatch:
        """Widen floats where the column is wider; refuse what COPY would cut in silence and what must not be NULL."""
        arrays = [
            self._checked(array, column, self.refuse(first_row, column.name))
            for array, column in zip(records.columns, self.columns, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, [column.name for column in self.columns])

    def _checked(self, array: Array, column: Column, refuse: Refuse) -> Array:
        if array.null_count and column.name in self.required:
            raise refuse(pc.index(array.is_null(), True).as_py(), "NULL")
        element = column.type.element if column.type.array else column.type
        if element.base in _FLOATS:
            return _widened(plain(array), _FLOATS[element.base])
        if element.base in {"varchar", "char"} and element.arguments:
            _check_length(plain(array), element, refuse)
        return array


_FLOATS: Mapping[str, pa.DataType] = {"real": pa.float32(), "double precision": pa.float64()}


def _widened(array: Array, wide: Any) -> Array:
    """Floats as wide as their column: as text, one of fewer bits would become another one."""
    listed = pa.types.is_list(array.type)
    narrow: Any = array.type.value_type if listed else array.type
    if not pa.types.is_floating(narrow) or narrow.bit_width >= wide.bit_width:
        return array
    return array.cast(pa.list_(wide) if listed else wide)


def _check_length(array: Array, type_: PgType, refuse: Refuse) -> None:
    """Refuse text that PostgreSQL would change: it cuts blanks beyond the length, and fills char(n) up with them."""
    listed = pa.types.is_list(array.type)
    texts: Any = pc.list_flatten(array) if listed else array
    if not pa.types.is_string(texts.type):
        return
    (limit,) = type_.arguments
    lengths: Any = pc.utf8_length(texts)
    exact = type_.base == "char"
    wrong = pc.index(pc.not_equal(lengths, limit) if exact else pc.greater(lengths, limit), True).as_py()
    if wrong >= 0:
        row = pc.list_parent_indices(array)[wrong].as_py() if listed else wrong
        raise refuse(row, f"not exactly {limit} characters" if exact else f"more than {limit} characters")


def place(subject: str, schema: pa.Schema, target: Table | None, primary_key: Sequence[str]) -> Placing:
    """Find the types to stage a schema's columns in: those of the target, or else those that hold their values.

    Raises:
        UnknownType: there is no such type.
        SchemaMismatch: the target's columns are others; all differences are told.

    """
    columns = columns_of_schema(subject, schema)
    wrong = differences(columns, schema, target, primary_key)
    if wrong:
        raise SchemaMismatch(
            f"table {subject}",
            f"the columns that come are not its columns: {'; '.join(wrong)}",
            "Rename, cast or drop columns in a transform, or alter the table.",
            differences=wrong,
        )
    if target is None:
        # An enum exists only once the commit has created it; until then its labels are text.
        return Placing(subject, tuple(columns), frozenset(primary_key))
    there = {column.name: column for column in target.columns}
    required = {column.name for column in target.columns if not column.nullable} | set(primary_key)
    return Placing(subject, tuple(there[column.name] for column in columns), frozenset(required))


def differences(
    columns: Sequence[Column], schema: pa.Schema, target: Table | None, primary_key: Sequence[str]
) -> list[str]:
    """Tell everything that keeps these columns, which hold the schema, from going into the target."""
    names = [column.name for column in columns]
    wrong = [f"{name} comes {names.count(name)} times" for name in dict.fromkeys(names) if names.count(name) > 1]
    wrong += [f"{name} is in the primary key and does not come" for name in primary_key if name not in names]
    if not names:
        wrong.append("no columns come")
    if target is None:
        return wrong
    there = {column.name: column for column in target.columns}
    for column, field in zip(columns, schema, strict=True):
        known = there.get(column.name)
        if known is None:
            wrong.append(f"{column.name} {column.type} is not in the table")
        elif not holds(known.type, column.type) and not pa.types.is_null(field.type):
            wrong.append(f"{column.name} {known.type} does not hold every {column.type}")
    filled = set(names) | target.with_defaults
    wrong += [
        f"{name} must not be NULL and does not come"
        for name, c in there.items()
        if not c.nullable and name not in filled
    ]
    return wrong
