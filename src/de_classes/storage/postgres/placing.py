"""Which column of a target table takes which column that comes, and what is checked of the values on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pyarrow as pa

from de_classes.errors import SchemaMismatch, ValueNotHeld

from .arrow_values import pc, relisted, row_of_value
from .copy_text import plain
from .growing import Change, coming_columns, stages_as_known
from .json_text import json_text
from .spelled_exactly import refuse_rounded_text
from .types import columns_of_schema, holds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .arrow_values import Array
    from .catalogue import Table
    from .copy_text import Refuse
    from .types import Column, PgType

__all__ = ["EVOLVE", "Placing", "TableChanges", "differences", "place"]

TableChanges: TypeAlias = Literal["freeze", "evolve", "quarantine"]
"""When columns come that a table lacks, or that it has narrower: it refuses them, or grows, or is spared the rows that
have a value there (sieving.py says which)."""

EVOLVE = 'Or let its columns grow, where no value is lost, with PostgresDestination(schema_changes="evolve").'
"""The remedy for columns that a table lacks, or has narrower."""


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
                what=what,
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
        lists = plain(array)
        if column.type.array and pa.types.is_string(lists.type):  # whole arrays as text, with their brackets
            refuse_rounded_text(lists, column.type, refuse)
            return lists
        if not column.type.array or pa.types.is_null(lists.type):
            return _exactly(lists, column.type, refuse)
        values = lists.flatten()
        exact = _exactly(plain(values), column.type.element, lambda at, what: refuse(row_of_value(lists, at), what))
        return lists if exact is values else relisted(lists, exact)


def _exactly(array: Array, type_: PgType, refuse: Refuse) -> Array:
    """The values as the column keeps them; those that it would round, cut or fill up are refused."""
    if type_.base in _FLOATS:
        return _widened(array, _FLOATS[type_.base])
    if type_.base in _TEXTS:
        return _text(array, type_, refuse)
    if type_.base == "enum":
        _refuse_other_labels(array, type_, refuse)
    if pa.types.is_string(array.type):
        refuse_rounded_text(array, type_, refuse)
    elif type_.arguments and pa.types.is_decimal(array.type):
        _refuse_rounded(array, type_, refuse)
    elif type_.arguments and pa.types.is_temporal(array.type):
        _refuse_fractions(array, type_.arguments[0], refuse)
    return array


_FLOATS: Mapping[str, pa.DataType] = {"real": pa.float32(), "double precision": pa.float64()}
_TEXTS = {"text", "varchar", "char", "bpchar", "citext"}


def _widened(array: Array, wide: Any) -> Array:
    """Floats as wide as their column: as text, one of fewer bits would become another one."""
    narrow = array.type
    return array.cast(wide) if pa.types.is_floating(narrow) and narrow.bit_width < wide.bit_width else array


def _text(array: Array, type_: PgType, refuse: Refuse) -> Array:
    """Text that fits: PostgreSQL cuts blanks beyond the length, and fills char(n) up with them."""
    if pa.types.is_decimal(array.type):
        array = _without_exponents(array)
    if not type_.arguments or type_.base not in {"varchar", "char"}:
        return array
    texts = array if pa.types.is_string(array.type) else json_text(array, refuse) if _is_nested(array) else None
    if texts is None:
        return array
    (limit,) = type_.arguments
    lengths: Any = pc.utf8_length(texts)
    exact = type_.base == "char"
    wrong = pc.index(pc.not_equal(lengths, limit) if exact else pc.greater(lengths, limit), True).as_py()
    if wrong >= 0:
        raise refuse(wrong, f"not exactly {limit} characters" if exact else f"more than {limit} characters")
    return array


def _refuse_other_labels(array: Array, type_: PgType, refuse: Refuse) -> None:
    """Refuse what is no label of an enum, which may be made only by the commit: until then its labels are text."""
    texts = array.cast(pa.string())
    known = pc.or_(pc.is_in(texts, pa.array(type_.labels, pa.string())), texts.is_null())
    wrong = pc.index(known, False).as_py()
    if wrong >= 0:
        raise refuse(wrong, f"{texts[wrong].as_py()!r}, which is no label of {type_.enum},")


def _is_nested(array: Array) -> bool:
    return pa.types.is_struct(array.type) or pa.types.is_list(array.type)


def _without_exponents(array: Array) -> Array:
    """Decimals as text, digit for digit: Arrow writes 0.0000001 as 1E-7."""
    texts = array.cast(pa.string())
    short: Any = pc.fill_null(pc.match_substring(texts, "E"), fill_value=False)
    if not pc.any(short).as_py():
        return texts
    spelled = [format(value, "f") for value in pc.filter(array, short).to_pylist()]
    return pc.replace_with_mask(texts, short, pa.array(spelled, pa.string()))


def _refuse_rounded(array: Array, type_: PgType, refuse: Refuse) -> None:
    """Refuse what a negative scale would round: numeric(2, -3) holds thousands."""
    scale = type_.arguments[1] if len(type_.arguments) > 1 else 0
    if scale < 0:
        numbers = array.to_pylist()  # one by one: columns of thousands are rare
        wrong = next((n for n, number in enumerate(numbers) if number is not None and number % 10**-scale), -1)
        if wrong >= 0:
            raise refuse(wrong, f"a number that is no multiple of {10**-scale}")


_MICROSECONDS = 6


def _refuse_fractions(array: Array, digits: int, refuse: Refuse) -> None:
    """Refuse moments with more digits after the second than the column keeps."""
    per_second = {"s": 0, "ms": 3, "us": 6, "ns": 9}.get(getattr(array.type, "unit", "s"), 0)
    if digits >= min(per_second, _MICROSECONDS):
        return
    numbers = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64()).cast(pa.int64())  # noqa: PLR2004 -- bits
    step = 10 ** (per_second - digits)
    wrong = pc.index(pc.not_equal(pc.multiply(pc.divide(numbers, step), step), numbers), True).as_py()
    if wrong >= 0:
        raise refuse(wrong, f"more than {digits} digits after the second")


def place(
    subject: str,
    schema: pa.Schema,
    target: Table | None,
    primary_key: Sequence[str],
    schema_changes: TableChanges = "freeze",
) -> Placing:
    """Find the types to stage a schema's columns in: those of the target, or else those that hold their values.

    With `schema_changes="evolve"` those are also for columns that the target lacks, or that must grow first.

    Raises:
        UnknownType: there is no such type.
        SchemaMismatch: the target's columns are others; all differences are told.

    """
    columns = columns_of_schema(subject, schema)
    evolves = schema_changes == "evolve"
    wrong = differences(columns, schema, target, primary_key, evolves=evolves)
    if wrong:
        cured = not evolves and _grows(subject, schema, target, primary_key)
        raise SchemaMismatch(
            f"table {subject}",
            f"the columns that come are not its columns: {'; '.join(wrong)}",
            f"Rename, cast or drop columns in a transform, or alter the table.{f' {EVOLVE}' if cured else ''}",
            differences=wrong,
        )
    if target is None:
        # An enum exists only once the commit has created it; until then its labels are text.
        required = {column.name for column in columns if not column.nullable} | set(primary_key)
        return Placing(subject, tuple(columns), frozenset(required))
    there = {column.name: column for column in target.columns}
    required = {column.name for column in target.columns if not column.nullable} | set(primary_key)
    placed = [
        there[own.name]
        if own.name in there and (not evolves or stages_as_known(there[own.name].type, coming.type))
        else own
        for own, coming in zip(columns, coming_columns(subject, schema), strict=True)
    ]
    return Placing(subject, tuple(placed), frozenset(required))


def _grows(subject: str, schema: pa.Schema, target: Table | None, primary_key: Sequence[str]) -> bool:
    """Whether the table could grow to take the columns; a column of text may be one that has had no value yet."""
    columns = columns_of_schema(subject, schema)
    if target is None or differences(columns, schema, target, primary_key, evolves=True):
        return False
    types = {column.name: column.type for column in target.columns}
    made = (Change.of(column.name, column.type, types.get(column.name)) for column in coming_columns(subject, schema))
    return all(change.needs != "no values" or (change.was and change.was.base == "text") for change in made)


_SYSTEM_COLUMNS = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}


def differences(
    columns: Sequence[Column],
    schema: pa.Schema,
    target: Table | None,
    primary_key: Sequence[str],
    *,
    evolves: bool = False,
) -> list[str]:
    """Tell everything that keeps these columns, which hold the schema, from going into the target, grown or not."""
    names = [column.name for column in columns]
    wrong = [f"{name} comes {names.count(name)} times" for name in dict.fromkeys(names) if names.count(name) > 1]
    wrong += [
        f"{name} is in the primary key and does not come; what comes is {', '.join(names)}"
        for name in primary_key
        if name not in names
    ]
    wrong += [f"{name} is a name that every table has for itself" for name in names if name in _SYSTEM_COLUMNS]
    if not names:
        wrong.append("no columns come")
    if target is None:
        return wrong
    wrong += [f"{name} is computed by the table, and comes" for name in names if name in target.computed]
    there = {column.name: column for column in target.columns}
    for column, field in () if evolves else zip(columns, schema, strict=True):
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
