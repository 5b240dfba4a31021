"""The wire form of a column: what is selected, as what it arrives, and what is made of that.

Both readers ask here, so a faster way over the wire is one more branch of `wire`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from de_classes.storage.postgres.numerics import MOST_DIGITS

from ._columns import arrow_type
from ._pg_type import PgType
from ._table import ELEMENTWISE, TABLE, WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._columns import Column
    from ._unheld import Unheld

__all__ = ["NO_LIST", "Wire", "as_read", "may_be_unheld", "no_list", "told_of", "unheld_condition", "wire"]

Array: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Wire:
    """How a column crosses the wire."""

    sql: str
    """The expression that is selected; `{}` stands for the column."""
    sent: PgType
    """What its bytes are, for the readers to decode: a type with a binary form, or an array of one."""

    def arrived(self, array: Array, wanted: pa.DataType) -> Array:
        """Make the column's values of the decoded ones: exact, or the cast raises."""
        return array if array.type == wanted else array.cast(wanted)


def wire(column: Column) -> Wire:
    """The wire form of a column."""
    type_ = column.type
    if column.as_text or (type_.array and type_.base in WHOLE):
        return Wire("{}::text", PgType("text"))
    form = TABLE.get(type_.base)
    if form is None or not form.spelled:
        return _native(type_)
    if not type_.array:
        return Wire(form.spelled, PgType("text"))
    sql = _each(form.spelled) if type_.base in ELEMENTWISE else "{}::text[]"
    return Wire(sql, PgType("text", array=True))


def _native(type_: PgType) -> Wire:
    plain = type_.plain
    if plain.base == "numeric" and pa.types.is_string(arrow_type(plain.element)):
        # The server spells numbers faster than the driver does.
        text = PgType("text", array=plain.array)
        return Wire(f"{{}}::{text.ddl('')}", text)
    if _is_short(plain):
        return Wire("numeric_send({})", plain)
    if not (type_.domain and type_.array and not type_.domain_of_array):
        return Wire("{}", plain)
    # An array of a domain has a type of its own, which is no array of the base type to those who decode.
    if plain.base == "enum":
        return Wire("{}::text[]", PgType("text", array=True))
    return Wire(f"{{}}::{plain.ddl('')}", plain)


def _is_short(plain: PgType) -> bool:
    """Whether it is a decimal that the readers make of its bytes."""
    arrow: Any = arrow_type(plain)
    return pa.types.is_decimal(arrow) and bool(arrow.precision <= MOST_DIGITS)


def _each(spelled: str) -> str:
    """Spell each element of an array."""
    each = spelled.replace("{}", "e.v")
    return (
        "CASE WHEN {} IS NOT NULL THEN"
        f" ARRAY(SELECT {each} FROM unnest({{}}) WITH ORDINALITY AS e (v, n) ORDER BY e.n) END"
    )


# --- Values without a place -------------------------------------------------------------------------------------------

NO_LIST = "an array with several dimensions, or not counted from 1,"
_NUMBERS = "{} IN ('NaN', 'Infinity', '-Infinity')"


def unheld_condition(type_: PgType) -> str:
    """SQL, never NULL, for whether a value has no place in the Arrow type; empty where each has one."""
    scalar, _ = _scalar(type_.element)
    if not type_.array:
        return f"coalesce({scalar}, false)" if scalar else ""
    if type_.base in WHOLE:
        return ""
    inner = scalar.replace("{}", "e.v")
    among = f" OR EXISTS (SELECT FROM unnest({{}}) AS e (v) WHERE {inner})" if inner else ""
    return f"({no_list()}{among})"


def no_list() -> str:
    """SQL, never NULL, for whether an array has more dimensions than one, or is not counted from 1."""
    return "coalesce(array_ndims({}) > 1 OR array_lower({}, 1) <> 1, false)"


def told_of(type_: PgType) -> str:
    """What the values without a place are called."""
    _, told = _scalar(type_.element)
    return " or ".join(filter(None, [NO_LIST if type_.array else "", told]))


def _scalar(type_: PgType) -> tuple[str, str]:
    if type_.base == "numeric":
        return (_NUMBERS, "NaN") if pa.types.is_decimal(arrow_type(type_)) else ("", "")
    form = TABLE.get(type_.base)
    return (form.unheld, form.told) if form else ("", "")


def may_be_unheld(column: Column) -> bool:
    """Whether a reader may meet a value of the column that has no place."""
    return not column.as_text and bool(unheld_condition(column.type))


def as_read(columns: Iterable[Column], unheld: Unheld) -> tuple[Column, ...]:
    """The columns as a reader gives them under a policy: types decide, never the values that happen to be there."""
    if unheld == "text":
        return tuple(replace(column, as_text=bool(unheld_condition(column.type))) for column in columns)
    if unheld == "null":
        return tuple(replace(column, nullable=column.nullable or may_be_unheld(column)) for column in columns)
    return tuple(columns)
