"""Schemas that grow: which columns hold the values of two schemas, and nothing of them lost.

A type grows into another only where every value of it is a value of the other:

- null into anything; a list, struct or map as its items do, and a struct takes fields more;
- a whole number into a wider one (uint64 and signed ones into decimals of 20 digits), into a decimal of as many
  digits, and into a float where all of its values are floats: up to 16 bits into 32, up to 32 bits into 64, and an
  int64 that is marked by `within_floats` into 64;
- a decimal into one of more digits before and after the point; float16 and float32 into wider floats;
- strings, binaries and lists into the variants of them that count in 64 bits.

Anything else is no growth: a date is no midnight, and the text of a number no number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pyarrow as pa

from de_classes.errors import SchemaMismatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["SchemaChanges", "fitted", "grown", "is_within_floats", "united", "within_floats", "without_rows"]

SchemaChanges: TypeAlias = Literal["freeze", "evolve"]
"""When columns come that a destination lacks, or that it has narrower: it refuses them, or lets its own grow."""

_RANGE = b"de_classes.range"
_FLOATS = b"floats"
_DIGITS = {8: 3, 16: 5, 32: 10, 64: 19}
"""Decimal digits of a signed integer by its bits; an unsigned one of 64 bits has 20."""
_FLOAT_BITS = {16: 11, 32: 24, 64: 53}
"""Bits of a whole number that a float of so many bits holds."""
_PAIRS = ((pa.string(), pa.large_string()), (pa.binary(), pa.large_binary()))
_MOST_DIGITS = 76


def within_floats(field: pa.Field[Any]) -> pa.Field[Any]:
    """The field of whole numbers, marked: each of its values lies within 2 ** 53, where floats have all of them."""
    metadata: dict[bytes | str, bytes | str] = dict((field.metadata or {}).items())
    return field.with_metadata({**metadata, _RANGE: _FLOATS})


def is_within_floats(field: pa.Field[Any]) -> bool:
    """Whether the field is marked so."""
    return (field.metadata or {}).get(_RANGE) == _FLOATS


def united(schemas: Iterable[pa.Schema], subject: str) -> pa.Schema:
    """The schema that holds the values of all: columns in the order in which they first come.

    A column that one of them lacks becomes nullable. What only one says in its metadata holds no more, unless
    the other has only nulls.

    Raises:
        SchemaMismatch: a column has types that do not grow into one; names all such columns.

    """
    first, *others = schemas
    known = first
    for coming in others:
        fields, wrong = _united(list(known), list(coming), "")
        if wrong:
            raise SchemaMismatch(
                subject,
                "; ".join(wrong),
                "No type holds both without a loss. Cast the column to one type in a transform, or load with mode"
                " replace.",
                differences=tuple(wrong),
            )
        known = pa.schema(fields).with_metadata(known.metadata)
    return known


def grown(old: pa.Field[Any], new: pa.Field[Any]) -> pa.Field[Any] | None:
    """The field that holds the values of both; None where there is none."""
    fields, wrong = _united([old], [new.with_name(old.name)], "")
    return None if wrong else fields[0]


def fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch under a schema that its own has grown into; columns that it lacks are null. Gives it back if it fits.

    Raises:
        SchemaMismatch: the batch has a column that the schema lacks, or one of another kind.

    """
    if batch.schema.equals(schema):
        return batch
    extra = sorted(set(batch.schema.names) - set(schema.names))
    if extra:
        raise SchemaMismatch("a batch", f"it has the columns {', '.join(extra)} more than its schema")
    there = set(batch.schema.names)
    arrays = [
        _fitted(batch.column(field.name), field.type) if field.name in there else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def without_rows(schema: pa.Schema) -> pa.RecordBatch:
    """A batch of no rows. Arrow's own ways to one know no extension types inside other types, as a list of UUIDs."""
    return pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)


def _united(
    old: Sequence[pa.Field[Any]], new: Sequence[pa.Field[Any]], path: str
) -> tuple[list[pa.Field[Any]], list[str]]:
    """The fields that hold both, and what has no type that does."""
    coming = {field.name: field for field in new}
    known = {field.name for field in old}
    fields: list[pa.Field[Any]] = []
    wrong: list[str] = []
    for field in old:
        other = coming.get(field.name)
        if other is None:
            fields.append(field.with_nullable(nullable=True))
            continue
        kind = _wider(field, other)
        if kind is None:
            wrong.append(f"column {path}{field.name} is {field.type}, and {other.type} comes")
            continue
        metadata = _shared(field, other) if kind in {field.type, other.type} else {}
        nullable = field.nullable or other.nullable
        fields.append(pa.field(field.name, kind, nullable, metadata or None))
    fields += [field.with_nullable(nullable=True) for field in new if field.name not in known]
    return fields, wrong


def _shared(one: pa.Field[Any], other: pa.Field[Any]) -> dict[bytes | str, bytes | str]:
    """The metadata that holds for the values of both; a column of nulls has none to contradict."""
    for nulls, values in ((one, other), (other, one)):
        if pa.types.is_null(nulls.type):
            return dict((values.metadata or {}).items())
    return dict((one.metadata or {}).items() & (other.metadata or {}).items())


def _wider(old: pa.Field[Any], new: pa.Field[Any]) -> Any:
    """The type that holds the values of two fields; None where there is none."""
    one, other = old.type, new.type
    if pa.types.is_null(one) or pa.types.is_null(other):
        return other if pa.types.is_null(one) else one
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        fields, wrong = _united(list(one), list(other), "")
        return None if wrong else pa.struct(fields)
    if _is_list(one) and _is_list(other):
        item = grown(one.value_field, other.value_field)
        make: Any = pa.large_list if pa.types.is_large_list(one) or pa.types.is_large_list(other) else pa.list_
        return None if item is None else make(item)
    if pa.types.is_map(one) and pa.types.is_map(other):
        item = grown(one.item_field, other.item_field)
        return None if item is None or one.key_type != other.key_type else pa.map_(one.key_field, item)
    if one == other:
        return one
    texts = next((wide for narrow, wide in _PAIRS if {one, other} == {narrow, wide}), None)
    return texts or _wider_number(old, new)


def _is_list(kind: Any) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _wider_number(old: pa.Field[Any], new: pa.Field[Any]) -> Any:
    kinds = [old.type, new.type]
    floats = [kind.bit_width for kind in kinds if pa.types.is_floating(kind)]
    if floats:
        return _float_of(max(floats), [field for field in (old, new) if not pa.types.is_floating(field.type)])
    if all(map(pa.types.is_integer, kinds)):
        return _integer_of(*kinds)
    if all(pa.types.is_integer(kind) or pa.types.is_decimal(kind) for kind in kinds):
        return _decimal_of(*kinds)
    return None


def _float_of(bits: int, others: Sequence[pa.Field[Any]]) -> Any:
    """The float that holds floats of so many bits and whole numbers of another field."""
    for field in others:
        if not pa.types.is_integer(field.type):
            return None
        whole = field.type.bit_width - pa.types.is_signed_integer(field.type)
        whole = 53 if is_within_floats(field) else whole
        wide = next((wide for wide, holds in _FLOAT_BITS.items() if holds >= whole), None)
        if wide is None:
            return None
        bits = max(bits, wide)
    return {16: pa.float16(), 32: pa.float32(), 64: pa.float64()}[bits]


def _integer_of(one: Any, other: Any) -> Any:
    signed = [kind.bit_width for kind in (one, other) if pa.types.is_signed_integer(kind)]
    unsigned = [kind.bit_width for kind in (one, other) if not pa.types.is_signed_integer(kind)]
    if not signed:
        return max(one, other, key=lambda kind: kind.bit_width)
    bits = max([*signed, *(2 * width for width in unsigned)])
    by_bits: Mapping[int, Any] = {8: pa.int8(), 16: pa.int16(), 32: pa.int32(), 64: pa.int64()}
    return by_bits.get(bits) or pa.decimal128(20, 0)


def _decimal_of(*kinds: Any) -> Any:
    before = max(_digits_before(kind) for kind in kinds)
    scale = max(0, *(kind.scale if pa.types.is_decimal(kind) else 0 for kind in kinds))
    if before + scale > _MOST_DIGITS:
        return None
    make: Any = pa.decimal128 if before + scale <= 38 and not any(map(_is_large_decimal, kinds)) else pa.decimal256  # noqa: PLR2004 -- what 128 bits hold
    return make(before + scale, scale)


def _digits_before(kind: Any) -> int:
    if pa.types.is_decimal(kind):
        return int(kind.precision - kind.scale)
    return _DIGITS[int(kind.bit_width)] + int(kind == pa.uint64())


def _is_large_decimal(kind: Any) -> bool:
    return pa.types.is_decimal256(kind)


def _fitted(array: Any, kind: Any) -> Any:
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), kind)
    if pa.types.is_struct(kind):
        return _fitted_structs(array, kind)
    if array.type == kind:
        return array
    if _is_list(kind) or pa.types.is_map(kind):
        return _fitted_lists(array, kind)
    return array.cast(kind)


def _fitted_structs(array: Any, kind: Any) -> Any:
    there = {field.name: n for n, field in enumerate(array.type)}
    children = [
        _fitted(array.field(there[field.name]), field.type) if field.name in there else pa.nulls(len(array), field.type)
        for field in kind
    ]
    if not children:
        return array
    return pa.StructArray.from_arrays(children, fields=list(kind), mask=array.is_null())


def _fitted_lists(array: Any, kind: Any) -> Any:
    if array.offset:
        array = array.take(pa.array(range(len(array)), pa.int64()))  # offsets are then its own, from 0
    mask = array.is_null() if array.null_count else None
    if pa.types.is_map(kind):
        maps: Any = pa.MapArray  # the stubs know an older signature
        return maps.from_arrays(array.offsets, array.keys, _fitted(array.items, kind.item_type), type=kind, mask=mask)
    make: Any = pa.LargeListArray if pa.types.is_large_list(kind) else pa.ListArray
    width = pa.int64() if pa.types.is_large_list(kind) else pa.int32()
    return make.from_arrays(array.offsets.cast(width), _fitted(array.values, kind.value_type), type=kind, mask=mask)
