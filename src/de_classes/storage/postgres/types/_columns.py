"""Columns: a name, a type, and the Arrow field that says both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.errors import UnknownType

from ._pg_type import PgType
from ._table import ARROW, WHOLE

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TYPE_KEY", "Column", "arrow_type", "refuse_unknown", "told_type"]

TYPE_KEY = b"de_classes.postgres_type"
_AS_TEXT = " as text"
"""What follows the type in metadata where a native form is given up for text."""

_DECIMAL128, _DECIMAL256 = 38, 76


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table or of a query's result."""

    name: str
    type: PgType
    nullable: bool = True
    as_text: bool = False
    """Whether its values are PostgreSQL's text although Arrow has a form for most of them."""

    @property
    def field(self) -> pa.Field[Any]:
        """The Arrow field, with the type in its metadata."""
        told = f"{self.type}{_AS_TEXT * self.as_text}".encode()
        arrow = pa.string() if self.as_text else arrow_type(self.type)
        return pa.field(self.name, arrow, self.nullable, {TYPE_KEY: told})


def arrow_type(type_: PgType) -> pa.DataType:
    """The Arrow type that holds the values of a type of the table."""
    if type_.array and type_.base in WHOLE:
        return pa.string()
    if type_.array:
        return pa.list_(arrow_type(type_.element))
    if type_.base != "numeric":
        return ARROW[type_.base]
    if not type_.arguments:
        return pa.string()
    precision, scale = type_.arguments
    # numeric(2,5) holds 0.00099, numeric(2,-3) holds 99000: Arrow and Parquet want 0 <= scale <= precision.
    digits, places = max(precision, scale, precision - scale), max(scale, 0)
    if digits <= _DECIMAL128:
        return pa.decimal128(digits, places)
    return pa.decimal256(digits, places) if digits <= _DECIMAL256 else pa.string()


def told_type(field: pa.Field[Any], plain: Any) -> PgType | None:
    """The type in a field's metadata, as long as the field has the Arrow type for it; `plain` is that of its values."""
    told = (field.metadata or {}).get(TYPE_KEY, b"").decode(errors="replace")
    type_ = PgType.parse(told.removesuffix(_AS_TEXT))
    if type_ is None:
        return None
    wanted = pa.string() if told.endswith(_AS_TEXT) else arrow_type(type_)
    return type_ if wanted == plain else None


def refuse_unknown(subject: str, columns: Sequence[Column]) -> None:
    """Raise UnknownType that names all columns whose types are not in the table."""
    unknown = [f"{column.name} {column.type.base}" for column in columns if not column.type.known]
    if unknown:
        raise UnknownType(
            subject,
            f"de-classes does not read these columns' types: {', '.join(unknown)}",
            "Read it by a query that leaves them out or casts them, such as SELECT column::text.",
            columns=unknown,
        )
