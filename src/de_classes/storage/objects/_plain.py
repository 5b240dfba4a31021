"""Values as text formats have them, and back: what has no form of its own there becomes text that gives it back.

Decimals are text with all their digits; dates, times and timestamps are as ISO 8601 writes them, those with a zone in
UTC; bytes are base64; durations are whole numbers of their unit; maps are lists of keys and values.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.compute

from de_classes.errors import UnknownType, ValueNotHeld
from de_classes.utils.decimals import decimals_of_texts

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["check_plain", "from_plain", "is_nested", "of_text", "plain_type", "refuse_types", "to_plain"]

Array: TypeAlias = Any
Kind: TypeAlias = Any

_is = pa.types
pc: Any = pyarrow.compute
_DAY = 86_400
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
"""Of the years 1 to 9999, which are those that ISO 8601 has four digits for, counted from 1970."""
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_KEY_VALUE = ("key", "value")


def refuse_types(schema: pa.Schema, format_name: str, holds: Callable[[Kind], bool]) -> None:
    """Raise UnknownType for columns of types that the format has no exact form of."""
    wrong = [f"{field.name} ({field.type})" for field in schema if not (is_plain(field.type) and holds(field.type))]
    if wrong:
        raise UnknownType(
            f"{format_name} files",
            f"they cannot hold {', '.join(wrong)}",
            "Write Parquet, or cast to another type, or leave such columns out.",
            column=", ".join(wrong),
        )


def is_nested(kind: Kind) -> bool:
    """Whether values consist of others."""
    return bool(_is.is_nested(kind))


def is_plain(kind: Kind) -> bool:
    """Whether the type has a plain form."""
    if _is.is_dictionary(kind):
        return not _is.is_nested(kind.value_type) and is_plain(kind.value_type)
    if _is.is_struct(kind):
        names = [field.name for field in kind]
        return len(set(names)) == len(names) and all(is_plain(field.type) for field in kind)
    if _is.is_map(kind):
        return is_plain(kind.key_type) and is_plain(kind.item_type)
    if _is_list(kind):
        return is_plain(kind.value_type)
    return _is_leaf(kind)


def plain_type(kind: Kind) -> Kind:
    """The type of the plain form."""
    if _is.is_dictionary(kind):
        return plain_type(kind.value_type)
    if _is.is_struct(kind):
        return pa.struct([field.with_type(plain_type(field.type)) for field in kind])
    if _is.is_map(kind):
        return pa.list_(pa.struct(list(zip(_KEY_VALUE, map(plain_type, (kind.key_type, kind.item_type)), strict=True))))
    if _is_list(kind):
        return pa.list_(plain_type(kind.value_type))
    return _plain_leaf(kind)


def _plain_leaf(kind: Kind) -> Kind:
    if _is.is_float16(kind):
        return pa.float32()
    if _is.is_duration(kind):
        return pa.int64()
    as_it_is = _is.is_null(kind) or _is.is_boolean(kind) or _is.is_integer(kind) or _is.is_floating(kind)
    return kind if as_it_is else pa.string()


def to_plain(values: Array) -> Array:
    """The values in the plain form of their type."""
    kind = values.type
    if _is.is_dictionary(kind):
        return to_plain(values.cast(kind.value_type))
    if is_nested(kind):
        return _nested(values, plain_type(kind), to_plain)
    if _is.is_duration(kind):
        return values.cast(pa.int64())
    if _is.is_binary(kind) or _is.is_large_binary(kind) or _is.is_fixed_size_binary(kind):
        return pa.array(
            [None if one is None else base64.b64encode(one).decode() for one in values.to_pylist()], "string"
        )
    if _is.is_timestamp(kind) and kind.tz is not None:
        values = values.cast(pa.timestamp(kind.unit, "UTC"))
    return values.cast(plain_type(kind))


def from_plain(values: Array, kind: Kind) -> Array:
    """The values of that type, of which these are the plain form. Raises ValueError if they cannot be."""
    if _is.is_dictionary(kind):
        return from_plain(values, kind.value_type).dictionary_encode().cast(kind)
    if is_nested(kind):
        return _nested_back(values, kind)
    if _is.is_string(values.type):
        return of_text(values, kind)
    return values.cast(kind)


def of_text(texts: Array, kind: Kind) -> Array:
    """Values of that type, which is not nested, from text. Raises ValueError if they cannot be."""
    if _is.is_dictionary(kind):
        return of_text(texts, kind.value_type).dictionary_encode().cast(kind)
    if _is.is_binary(kind) or _is.is_large_binary(kind) or _is.is_fixed_size_binary(kind):
        return _bytes(texts, kind)
    if _is.is_time(kind):
        moments = pc.binary_join_element_wise(pa.scalar("1970-01-01"), texts, " ")
        return moments.cast(pa.timestamp(kind.unit)).cast(kind)
    if _is.is_decimal(kind):
        return decimals_of_texts(texts, kind)
    return pa.nulls(len(texts), kind) if _is.is_null(kind) else texts.cast(_read_as(kind)).cast(kind)


def _read_as(kind: Kind) -> Kind:
    if _is.is_duration(kind):
        return pa.int64()
    return pa.timestamp(kind.unit, "UTC") if _is.is_timestamp(kind) and kind.tz is not None else kind


def check_plain(values: Array, column: str) -> None:
    """See that text can hold moments: from the year 1 to 9999, dates of no time of day, times within a day.

    Raises:
        ValueNotHeld: one is outside.

    """
    kind = values.type
    if _is.is_dictionary(kind):
        check_plain(values.dictionary, column)
    elif _is.is_struct(kind):
        for child in values.flatten():
            check_plain(child, column)
    elif _is.is_map(kind):
        for child in (values.keys, values.items):
            check_plain(child, column)
    elif _is_list(kind):
        check_plain(values.flatten(), column)
    elif (allowed := _range_of(kind)) is not None:
        _refuse_outside(values, column, *allowed)


def _range_of(kind: Kind) -> tuple[int, int] | None:
    if _is.is_date32(kind):
        return _FIRST_DAY, _LAST_DAY
    if _is.is_time(kind):
        return 0, _DAY * _PER_SECOND[kind.unit] - 1
    if _is.is_date64(kind) or _is.is_timestamp(kind):
        unit = 1000 * _DAY if _is.is_date64(kind) else _DAY * _PER_SECOND[kind.unit]
        # Nanoseconds count fewer years than ISO 8601 does.
        return max(_FIRST_DAY * unit, -(2**63)), min((_LAST_DAY + 1) * unit - 1, 2**63 - 1)
    return None


def _refuse_outside(values: Array, column: str, first: int, last: int) -> None:
    numbers = values.view(pa.int32() if values.type.bit_width == 32 else pa.int64())  # noqa: PLR2004 -- bits
    wrong = pc.or_(pc.less(numbers, first), pc.greater(numbers, last))
    if _is.is_date64(values.type):
        wrong = pc.or_(
            wrong, pc.not_equal(numbers, values.cast(pa.date32(), safe=False).cast(pa.date64()).view("int64"))
        )
    rows = pc.indices_nonzero(wrong)
    if len(rows):
        row = rows[0].as_py()
        raise ValueNotHeld(
            f"column {column!r}",
            f"its value of {numbers[row].as_py()} as {values.type} has no form in text",
            "Write Parquet, or mend such values.",
            table=None,
            column=column,
            row=None,
        )


def _bytes(texts: Array, kind: Kind) -> Array:
    try:
        return pa.array(
            [None if one is None else base64.b64decode(one, validate=True) for one in texts.to_pylist()], kind
        )
    except binascii.Error as error:
        raise pa.ArrowInvalid(f"no base64: {error}") from error


def _nested(values: Array, plain: Kind, convert: Callable[[Array], Array]) -> Array:
    """Lists, structs and maps whose innermost values are converted, in the plain type of them."""
    kind, mask = values.type, values.is_null()
    if _is.is_struct(kind):
        if not kind.num_fields:
            return values
        children = [convert(values.field(n)) for n in range(kind.num_fields)]
        return pa.StructArray.from_arrays(children, fields=list(plain), mask=mask)
    values = _own(values.cast(pa.list_(kind.value_type)) if not _is.is_map(kind) else values)
    mask = values.is_null() if values.null_count else None
    if _is.is_map(kind):
        pair = [convert(values.keys), convert(values.items)]
        inner = pa.StructArray.from_arrays(pair, fields=list(plain.value_type))
        return pa.ListArray.from_arrays(values.offsets, inner, mask=mask)
    return pa.ListArray.from_arrays(values.offsets, convert(values.values), mask=mask)


def _nested_back(values: Array, kind: Kind) -> Array:
    if _is.is_struct(kind):
        if not kind.num_fields:
            return values
        children = [from_plain(values.field(n), field.type) for n, field in enumerate(kind)]
        return pa.StructArray.from_arrays(children, fields=list(kind), mask=values.is_null())
    values = _own(values)
    mask = values.is_null() if values.null_count else None
    if _is.is_map(kind):
        keys, items = (from_plain(values.values.field(n), one) for n, one in enumerate((kind.key_type, kind.item_type)))
        maps: Any = pa.MapArray  # the stubs know an older signature
        return maps.from_arrays(values.offsets, keys, items, type=kind, mask=mask)
    inner = from_plain(values.values, kind.value_type)
    if _is.is_fixed_size_list(kind):
        return pa.ListArray.from_arrays(values.offsets, inner, mask=mask).cast(kind)
    make: Any = pa.LargeListArray if _is.is_large_list(kind) else pa.ListArray
    offsets = values.offsets.cast(pa.int64()) if _is.is_large_list(kind) else values.offsets
    return make.from_arrays(offsets, inner, type=kind, mask=mask)


def _own(values: Array) -> Array:
    """The lists with offsets of their own, from 0, and no values under nulls."""
    return values.take(pa.array(range(len(values)), pa.int64())) if values.offset or values.null_count else values


def _is_list(kind: Kind) -> bool:
    return bool(_is.is_list(kind) or _is.is_large_list(kind) or _is.is_fixed_size_list(kind))


def _is_leaf(kind: Kind) -> bool:
    return any(
        is_one(kind)
        for is_one in (
            _is.is_null,
            _is.is_boolean,
            _is.is_integer,
            _is.is_floating,
            _is.is_decimal128,
            _is.is_decimal256,
            _is.is_string,
            _is.is_large_string,
            _is.is_binary,
            _is.is_large_binary,
            _is.is_fixed_size_binary,
            _is.is_date,
            _is.is_time,
            _is.is_timestamp,
            _is.is_duration,
        )
    )
