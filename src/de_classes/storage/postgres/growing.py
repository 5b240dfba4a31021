"""Columns that grow: which type holds the values of two, and the DDL that a table needs for what comes.

Types decide, never the values that happen to come, so that the DDL can be told beforehand:

=======================================  ===============================================================================
Column                                   becomes
=======================================  ===============================================================================
that is missing                          what comes; nullable, since there may be rows
smallint, integer, bigint                the wider one; numeric(p,s) with room for all its digits
numeric(p,s)                             numeric with as many digits before the point and after it as either; numeric
real                                     double precision, for that or for whole numbers beyond smallint
smallint, integer                        real or double precision, where that has all their values
bigint, for floats                       double precision, if all values lie within 2 ** 53; and the other way round
varchar(n)                               the longer one; text
timestamp(n), timestamptz(n), time(n)    the one with more digits of a second
array                                    an array of what its elements become
any without a value                      what comes: one with NULL only, or an array of nothing else; where there are
                                         rows, so does text that would take a number or a struct in its spelling
=======================================  ===============================================================================

Where a column takes all that comes, it stays: nothing becomes narrower, and jsonb takes whatever fields a struct gains.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pyarrow as pa

from de_classes.errors import SchemaMismatch

from .identifiers import quoted
from .types import Column, PgType, columns_of_schema, holds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .catalogue import Table
    from .identifiers import TableName

__all__ = [
    "Change",
    "altering",
    "changes",
    "coming_columns",
    "converted",
    "is_void",
    "stages_as_known",
    "together",
    "wider",
]

Needs: TypeAlias = Literal["", "no values", "within floats"]
"""What must be true of a column's values before it becomes another type."""

_VOID = "null"
"""The base of a type without values, which Arrow has and PostgreSQL has not."""

_JSONB = PgType("jsonb")
_DOUBLE = PgType("double precision")
_INTEGER_DIGITS = {"smallint": 5, "integer": 10, "bigint": 19}
_FLOATS = ["real", "double precision"]
_TEXTS = {"text", "varchar"}
_FRACTIONS = {"timestamp", "timestamptz", "time", "timetz"}
_MICROSECONDS = 6
_EXACT = 2**53
"""Up to here every whole number is a float. In digits, since the server's own 2^53 is a float, and compares as one."""
_MOST_DIGITS = 1000
"""The highest precision that numeric can be declared with."""


def coming_columns(subject: str, schema: pa.Schema) -> list[Column]:
    """The columns that hold a schema's values, where those that can have no value are void: `null`, lists of it."""
    columns = columns_of_schema(subject, schema)
    return [
        replace(column, type=PgType(_VOID, array=column.type.array)) if _is_void(field.type) else column
        for column, field in zip(columns, schema, strict=True)
    ]


def _is_void(kind: Any) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return pa.types.is_null(kind) or (is_list and pa.types.is_null(kind.value_type))


def is_void(type_: PgType) -> bool:
    """Whether columns of the type have no value."""
    return type_.base == _VOID


def _declared(type_: PgType) -> PgType:
    """The type that a column is given: void ones become text."""
    return replace(type_, base="text") if is_void(type_) else type_


# --- Types ------------------------------------------------------------------------------------------------------------


def wider(old: PgType, new: PgType) -> PgType | None:  # noqa: PLR0911 -- a table of pairs
    """The type that holds every value of both, the old one where it does; None if there is none.

    Whole numbers of 64 bits become `double precision` with floats, which holds those within 2 ** 53: see `Change`.
    """
    if old == new or new == PgType(_VOID):
        return old
    if old == PgType(_VOID):
        return new
    if old.domain or new.domain:
        both = wider(old.plain, new.plain)
        if both == old.plain:
            return old
        return None if old.domain else both  # a domain's constraints are not dropped in passing
    if old.array or new.array:
        return _wider_array(old, new)
    bases = {old.base, new.base}
    if bases <= _TEXTS:
        return _longer(old, new)
    if old.base == new.base and old.base in _FRACTIONS:
        return max(old, new, key=lambda type_: type_.arguments[0] if type_.arguments else _MICROSECONDS)
    if bases & set(_FLOATS):
        return _float_of(bases)
    if bases <= set(_INTEGER_DIGITS):
        return max(old, new, key=lambda type_: _INTEGER_DIGITS[type_.base])
    return _numeric_of(old, new) if bases <= {"numeric", *_INTEGER_DIGITS} else None


def _wider_array(old: PgType, new: PgType) -> PgType | None:
    if {old, new} == {PgType(_VOID, array=True), _JSONB}:
        return _JSONB
    if not (old.array and new.array):
        return None
    element = wider(old.element, new.element)
    return None if element is None else replace(element, array=True)


def _longer(old: PgType, new: PgType) -> PgType:
    unlimited = next((type_ for type_ in (old, new) if not type_.arguments), None)
    return unlimited or max(old, new, key=lambda type_: type_.arguments)


def _float_of(bases: set[str]) -> PgType | None:
    if not bases <= {*_FLOATS, *_INTEGER_DIGITS}:
        return None
    return PgType("real") if bases <= {"real", "smallint"} else _DOUBLE


def _numeric_of(old: PgType, new: PgType) -> PgType:
    if any(type_.base == "numeric" and not type_.arguments for type_ in (old, new)):
        return PgType("numeric")
    scales = [type_.arguments[1] if type_.arguments else 0 for type_ in (old, new)]
    before = [
        type_.arguments[0] - scale if type_.arguments else _INTEGER_DIGITS[type_.base]
        for type_, scale in zip((old, new), scales, strict=True)
    ]
    scale = max(scales)
    precision = max(before) + scale
    return PgType("numeric", (precision, scale)) if precision <= _MOST_DIGITS else PgType("numeric")


def _together(old: PgType, new: PgType) -> PgType | None:
    """The type that takes both: a wider one, or the old one if it refuses aloud what it does not hold."""
    return wider(old, new) or (old if holds(old, new) else None)


def _all_together(types: Sequence[PgType]) -> PgType | None:
    both: PgType | None = types[0]
    for type_ in types[1:]:
        both = both and _together(both, type_)
    return both


def stages_as_known(known: PgType, coming: PgType) -> bool:
    """Whether a column that takes what comes does so by COPY: each value exactly, or refused with its row."""
    if _together(known, coming) != known:
        return False
    return known.array == coming.array if is_void(coming) and coming.array else is_void(coming) or holds(known, coming)


def converted(name: str, written: PgType, wanted: PgType, coming: PgType, schema: str) -> str | None:
    """The SQL that gives a column of one type as another, each value exactly or refused; None where there is none.

    `coming` is what the column held when it was written: of a void one every type is made.
    """
    column = quoted(name)
    if wanted == written:
        return column
    if is_void(coming):
        return _of_nothing(column, written, wanted, schema)
    if wanted == coming and written.element == PgType("text") and _is_read_as_spelled(wanted):
        return f"{column}::{wanted.ddl(schema)}"  # it was spelled so for a column of text
    cuts = wanted.base in {"varchar", "char"} and wanted.arguments  # a cast would, in silence
    aloud = holds(wanted, written) and not (cuts and wider(wanted, written) != wanted)
    if aloud or written == wanted.staged or wider(wanted, written) == wanted:
        return f"{column}::{wanted.ddl(schema)}"
    return None


def _is_read_as_spelled(type_: PgType) -> bool:
    """Whether values that were spelled in a column of text are read as they were: nothing of them is cut or rounded."""
    thousands = type_.base == "numeric" and type_.arguments and type_.arguments[1] < 0
    return type_.base in {"numeric", "jsonb", "json", "uuid", "enum", "composite"} and not thousands


def _of_nothing(column: str, written: PgType, wanted: PgType, schema: str) -> str:
    """A column without values as another type; an empty array stays one in JSON."""
    if written.array and wanted == _JSONB:
        return f"to_jsonb({column})"
    return f"{column}::text::{wanted.ddl(schema)}"


# --- Tables -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """A column that a table gets, or that becomes another type."""

    column: str
    becomes: PgType
    was: PgType | None = None
    """None: it is new."""
    needs: Needs = ""
    optional: bool = False
    """Whether the column takes what comes in any case: text that has had no value yet, and is to have numbers."""

    @classmethod
    def of(cls, column: str, coming: PgType, known: PgType | None) -> Change:
        """The change by which a column takes what comes."""
        both = coming if known is None else _together(known, coming)
        if known is None or both is None:
            return cls(column, _declared(coming), known, "" if known is None else "no values")
        return cls(column, both, known, "within floats" if _is_rounded(known, both) else "")

    def action(self, schema: str) -> str:
        """What stands after ALTER TABLE."""
        name, type_ = quoted(self.column), self.becomes.ddl(schema)
        if self.was is None:
            return f"ADD COLUMN {name} {type_}"
        using = f"{name}::{type_}"
        if self.needs == "no values":
            using = _of_nothing(name, self.was, self.becomes, schema)
        return f"ALTER COLUMN {name} TYPE {type_} USING {using}"

    def obstacle(self, table: TableName) -> str:
        """A query that gives a row if the table has a value that keeps the change from being made; empty: none can."""
        if self.was is None or not self.needs:
            return ""
        name = quoted(self.column)
        in_array = self.was.array and (self.becomes.array or self.becomes == _JSONB)
        value = "value" if in_array else name
        wrong = f"{value} IS NOT NULL" if self.needs == "no values" else f"NOT {value} BETWEEN -{_EXACT} AND {_EXACT}"
        if in_array:
            wrong = f"EXISTS (SELECT FROM unnest({name}) AS element (value) WHERE {wrong})"
        return f"SELECT 1 FROM {table.sql} WHERE {wrong} LIMIT 1"

    @property
    def refusal(self) -> str:
        """Why it cannot be made where there is an obstacle."""
        if self.needs == "within floats":
            return f"{self.column} {self.was} has values beyond 2^53, which {self.becomes} would round"
        return f"{self.column} {self.was} has values, and {self.becomes} comes, which holds not all of them"


def _is_rounded(was: PgType, becomes: PgType) -> bool:
    return was.element.base == "bigint" and becomes.element == _DOUBLE


def altering(table: TableName, made: Sequence[Change]) -> str:
    """The one statement that makes all changes, so that the table is written anew once at most."""
    return f"ALTER TABLE {table.sql} {', '.join(change.action(table.schema) for change in made)}"


def together(subject: str, pieces: Sequence[Sequence[Column]]) -> list[Column]:
    """The columns of a table for several pieces, in the order in which they first come.

    Raises:
        SchemaMismatch: a column comes in types that no type holds; names all such columns.

    """
    found, wrong = [], []
    for name, columns in _by_name(pieces).items():
        types = [column.type for column in columns]
        both = _all_together(types)
        if both is None:
            wrong.append(_apart(name, types))
        else:
            nullable = len(columns) < len(pieces) or any(column.nullable for column in columns)
            found.append(Column(name, _declared(both), nullable))
    _refuse(subject, wrong)
    return found


def changes(subject: str, pieces: Sequence[Sequence[Column]], table: Table) -> list[Change]:
    """What makes a table take the columns of all pieces; empty where it does.

    Raises:
        SchemaMismatch: a column comes in types that no type holds, nor the table's own; names all such columns.

    """
    there = {column.name: column.type for column in table.columns}
    found, wrong = [], []
    for name, columns in _by_name(pieces).items():
        known, types = there.get(name), [column.type for column in columns]
        both = _all_together(types)
        if known is not None and all(_together(known, type_) == known for type_ in types):
            if both is not None and _is_as_text(known, both):
                found.append(Change(name, both, known, "no values", optional=True))
        elif both is None:
            wrong.append(_apart(name, types))
        else:
            found.append(Change.of(name, both, known))
    _refuse(subject, wrong)
    return found


def _is_as_text(known: PgType, coming: PgType) -> bool:
    """Whether a column of text takes something else in its spelling; columns of nothing but null are made as text."""
    return known.element == PgType("text") and known.array == coming.array and _is_read_as_spelled(coming)


def _by_name(pieces: Sequence[Sequence[Column]]) -> Mapping[str, list[Column]]:
    found: dict[str, list[Column]] = {}
    for columns in pieces:
        for column in columns:
            found.setdefault(column.name, []).append(column)
    return found


def _apart(name: str, types: Sequence[PgType]) -> str:
    return f"{name} comes as {' and as '.join(dict.fromkeys(str(_declared(type_)) for type_ in types))}"


def _refuse(subject: str, wrong: Sequence[str]) -> None:
    if wrong:
        raise SchemaMismatch(
            f"table {subject}",
            f"no type holds what its pieces bring: {'; '.join(wrong)}",
            "Cast the columns to one type in a transform.",
            differences=wrong,
        )
