"""From Arrow: the type that holds every value of a field."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.errors import UnknownType
from de_classes.storage.postgres.identifiers import shortened

from ._columns import Column, told_type
from ._pg_type import PgType

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["columns_of_schema", "natural_type", "plain_type"]


def columns_of_schema(subject: str, schema: pa.Schema) -> list[Column]:
    """The columns that hold a schema's values, in its order; names over 63 bytes are shortened.

    Raises:
        UnknownType: for some columns there is no such type; all are named.

    """
    found = [(field, natural_type(field)) for field in schema]
    unknown = [f"{field.name} {field.type}" for field, type_ in found if type_ is None]
    if unknown:
        raise UnknownType(
            subject,
            f"PostgreSQL has no type here for these columns: {', '.join(unknown)}",
            "Cast or drop them in a transform.",
            columns=unknown,
        )
    return [Column(shortened(field.name), type_, field.nullable) for field, type_ in found if type_]


def natural_type(field: pa.Field[Any]) -> PgType | None:
    """The type that holds every value of a field: the one it came from, or the smallest that will do; None if none."""
    plain = plain_type(field.type)
    told = told_type(field, plain)
    if told is not None:
        return told
    if pa.types.is_list(plain):
        element = _scalar(plain.value_type)
        # A list within a list is no array of PostgreSQL's (those have no NULL rows and one length), but it is JSON.
        if element is None or element.base == "jsonb":
            return PgType("jsonb") if _is_json(plain) else None
        return replace(element, array=True)
    return _scalar(plain)


_FROM_ARROW: Mapping[pa.DataType, PgType] = {
    pa.null(): PgType("text"),
    pa.bool_(): PgType("boolean"),
    pa.int8(): PgType("smallint"),
    pa.int16(): PgType("smallint"),
    pa.int32(): PgType("integer"),
    pa.int64(): PgType("bigint"),
    pa.uint8(): PgType("smallint"),
    pa.uint16(): PgType("integer"),
    pa.uint32(): PgType("bigint"),
    pa.uint64(): PgType("numeric", (20, 0)),
    pa.float16(): PgType("real"),
    pa.float32(): PgType("real"),
    pa.float64(): PgType("double precision"),
    pa.string(): PgType("text"),
    pa.binary(): PgType("bytea"),
    pa.date32(): PgType("date"),
    pa.date64(): PgType("date"),
}


def _scalar(plain: Any) -> PgType | None:  # noqa: PLR0911 -- the rest of the table
    if plain in _FROM_ARROW:
        return _FROM_ARROW[plain]
    if pa.types.is_decimal(plain):
        # A negative scale means trailing zeros before the point.
        return PgType("numeric", (plain.precision - min(plain.scale, 0), max(plain.scale, 0)))
    if pa.types.is_timestamp(plain):
        return PgType("timestamptz" if plain.tz else "timestamp")
    if pa.types.is_time(plain):
        return PgType("time")
    if pa.types.is_duration(plain) or pa.types.is_interval(plain):
        return PgType("interval")
    if isinstance(plain, pa.UuidType):
        return PgType("uuid")
    if isinstance(plain, pa.JsonType) or _is_json(plain):
        return PgType("jsonb")
    return None


def _is_json(plain: Any) -> bool:
    """Whether it is nested of what JSON holds exactly: structs and lists of truth values, numbers, text and moments."""
    if pa.types.is_struct(plain):
        # Of two fields of one name, jsonb keeps one.
        names = {field.name for field in plain}
        return plain.num_fields == len(names) and all(_is_json_value(plain_type(field.type)) for field in plain)
    return pa.types.is_list(plain) and _is_json_value(plain_type(plain.value_type))


_NOT_IN_JSON = {"bytea", "interval"}
"""What JSON has no one way to write."""


def _is_json_value(plain: Any) -> bool:
    type_ = _scalar(plain)
    return _is_json(plain) or (
        type_ is not None and type_.base not in _NOT_IN_JSON and not isinstance(plain, pa.JsonType)
    )


def plain_type(type_: Any) -> Any:  # noqa: PLR0911 -- a table of layouts
    """The type without the ways of Arrow to lay the same values out: large, view, dictionary, run-end, fixed size."""
    if pa.types.is_dictionary(type_):
        return plain_type(type_.value_type)
    if pa.types.is_run_end_encoded(type_):
        return plain_type(type_.value_type)
    if pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return pa.string()
    if pa.types.is_large_binary(type_) or pa.types.is_binary_view(type_) or pa.types.is_fixed_size_binary(type_):
        return pa.binary()
    if _is_list(type_):
        return pa.list_(plain_type(type_.value_type))
    if pa.types.is_map(type_):
        # As an object, of two equal keys one would be lost, and the order of all.
        return pa.list_(pa.struct([("key", type_.key_type), ("value", type_.item_type)]))
    if isinstance(type_, pa.BaseExtensionType) and not isinstance(type_, pa.UuidType | pa.JsonType | pa.OpaqueType):
        return pa.bool_() if isinstance(type_, pa.Bool8Type) else plain_type(type_.storage_type)
    return type_


def _is_list(type_: Any) -> bool:
    return (
        pa.types.is_list(type_)
        or pa.types.is_large_list(type_)
        or pa.types.is_fixed_size_list(type_)
        or pa.types.is_list_view(type_)
        or pa.types.is_large_list_view(type_)
    )
