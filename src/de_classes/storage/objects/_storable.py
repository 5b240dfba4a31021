"""What Parquet cannot hold as it is: told by its column, or written otherwise and given back as it was.

A struct without fields, which is what `{}` comes as, has no place in Parquet. It is written with one field that is
null, `de_classes.empty`, and given back without it, or as the struct with fields that its column has grown into.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from de_classes.errors import DatasetError, UnknownType, ValueNotHeld
from de_classes.utils.schemas import fitted

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["as_asked", "refuse_cut_dates", "storable", "storing", "taking"]

_EMPTY: pa.Field[Any] = pa.field("de_classes.empty", pa.null())


def storable(schema: pa.Schema) -> pa.Schema:
    """The schema with a field in each struct that has none; the same object if there is no such struct."""
    fields = [field.with_type(_storable(field.type)) for field in schema]
    return schema if fields == list(schema) else pa.schema(fields).with_metadata(schema.metadata)


def as_asked(batch: pa.RecordBatch, schema: pa.Schema, where: str) -> pa.RecordBatch:
    """What a file gave, under the schema that was asked for: Parquet does not keep each unit of time.

    Columns that the file lacks are null, since the dataset got them later; narrower ones get wider.

    Raises:
        DatasetError: the file lacks a column that must not be null.

    """
    if batch.schema.equals(schema):
        return pa.RecordBatch.from_arrays(batch.columns, schema=schema)
    there = set(batch.schema.names)
    missing = [field.name for field in schema if field.name not in there and not field.nullable]
    if missing:
        raise DatasetError(where, f"the file has no column {', '.join(missing)}", "Restore the file as it was written.")
    batch = batch.select([name for name in schema.names if name in there])
    for n, name in enumerate(batch.schema.names):
        column = batch.column(n)
        plain = _as_written(column, schema.field(name).type)
        if plain is not column:
            batch = batch.set_column(n, name, plain)
    return pa.RecordBatch.from_arrays(fitted(batch, schema).columns, schema=schema)


@contextmanager
def storing(schema: pa.Schema, where: str) -> Iterator[None]:
    """Tell of types that Parquet does not take, or gives back in one that has no way back.

    Raises:
        UnknownType: there is one.

    """
    try:
        _refuse_unreadable(schema)
        yield
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
        told = ", ".join(f"{field.name} ({field.type})" for field in schema if not _is_held(field)) or "a column"
        raise UnknownType(
            where, f"Parquet cannot hold {told}", "Cast it to another type, or leave it out.", column=told
        ) from error


@contextmanager
def taking(where: str) -> Iterator[None]:
    """Tell of values that Parquet's writer does not take.

    Raises:
        ValueNotHeld: there is one.

    """
    try:
        yield
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueNotHeld(
            where,
            f"Parquet does not take the values: {str(error).splitlines()[0]}",
            "Cast the column to another type, or mend or leave out such values.",
            table=None,
            column=None,
            row=None,
        ) from error


def refuse_cut_dates(values: Any, column: str) -> None:
    """Refuse dates with a time of day, which date64 lets through and Parquet cuts off."""
    if pa.types.is_struct(values.type) or pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        inner = [values.flatten()] if not pa.types.is_struct(values.type) else values.flatten()
        for child in inner:
            refuse_cut_dates(child, column)
    elif pa.types.is_date64(values.type) and not values.equals(values.cast(pa.date32(), safe=False).cast(pa.date64())):
        raise ValueNotHeld(
            f"column {column!r}",
            "it has dates with a time of day, which Parquet would cut off",
            "Cast it to timestamp('ms').",
            table=None,
            column=column,
            row=None,
        )


def _storable(kind: Any) -> Any:
    """The type with a field in each struct that has none."""
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_storable(field.type)) for field in kind] or [_EMPTY])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_storable(kind.value_type)))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_storable(kind.value_type)))
    if pa.types.is_map(kind):
        return pa.map_(kind.key_field, kind.item_field.with_type(_storable(kind.item_type)))
    return kind


def _as_written(column: Any, kind: Any) -> Any:
    """The column without what was added for Parquet, and with the dictionary that it had."""
    if pa.types.is_dictionary(kind):
        return column if column.type == kind else _with_dictionary(column, kind)
    written = _written(column.type)
    return column if written == column.type else _emptied(column, written)


def _with_dictionary(column: Any, kind: Any) -> Any:
    if not pa.types.is_dictionary(column.type):
        column = column.cast(kind.value_type).dictionary_encode()
    return column.cast(kind)


def _written(kind: Any) -> Any:
    """The type of which `_storable` made this one."""
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_written(field.type)) for field in kind if not field.equals(_EMPTY)])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_written(kind.value_type)))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_written(kind.value_type)))
    if pa.types.is_map(kind):
        return pa.map_(kind.key_field, kind.item_field.with_type(_written(kind.item_type)))
    return kind


def _emptied(array: Any, kind: Any) -> Any:
    """The array with the fields of structs that `kind` has."""
    if array.type == kind:
        return array
    if pa.types.is_struct(kind) and not kind.num_fields:
        valid = array.is_valid()
        return pa.Array.from_buffers(kind, len(array), [valid.buffers()[1]], offset=valid.offset)
    if pa.types.is_struct(kind):
        children = [_emptied(array.field(n), field.type) for n, field in enumerate(kind)]
        return pa.StructArray.from_arrays(children, fields=list(kind), mask=array.is_null())
    if array.offset:
        array = array.take(pa.array(range(len(array)), pa.int64()))  # offsets are then its own, from 0
    mask = array.is_null() if array.null_count else None
    if pa.types.is_map(kind):
        maps: Any = pa.MapArray  # the stubs know an older signature
        return maps.from_arrays(array.offsets, array.keys, _emptied(array.items, kind.item_type), type=kind, mask=mask)
    make: Any = pa.LargeListArray if pa.types.is_large_list(kind) else pa.ListArray
    return make.from_arrays(array.offsets, _emptied(array.values, kind.value_type), type=kind, mask=mask)


def _is_held(field: pa.Field[Any]) -> bool:
    try:
        _refuse_unreadable(pa.schema([field]))
    except pa.ArrowException:
        return False
    return True


def _refuse_unreadable(schema: pa.Schema) -> None:
    """Write and read a null of each type: some types Parquet takes, and gives back in one that has no way back."""
    for field in schema:
        sink = pa.BufferOutputStream()
        nullable = field.with_nullable(nullable=True)
        pq.write_table(pa.table([pa.nulls(1, field.type)], schema=pa.schema([nullable])), sink)
        back = pq.ParquetFile(pa.BufferReader(sink.getvalue())).read().column(0).combine_chunks()
        if pa.types.is_dictionary(field.type):
            back = _with_dictionary(back, field.type)
        back.cast(field.type)
