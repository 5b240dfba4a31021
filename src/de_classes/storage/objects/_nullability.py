"""Null structs with fields that must not be null, which Arrow knows and its Parquet writer refuses.

Below a null struct there are no values, yet pyarrow's writer counts the empty places of such a field as nulls and
fails. A dataset therefore declares the fields of structs nullable; columns themselves and the items of lists keep what
they say.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

__all__ = ["relaxed", "relaxed_schema"]


def relaxed_schema(schema: pa.Schema) -> pa.Schema:
    """The schema with the fields of all structs nullable; the same object if it is so already."""
    fields = [field.with_type(_relaxed(field.type)) for field in schema]
    return schema if fields == list(schema) else pa.schema(fields).with_metadata(schema.metadata)


def relaxed(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch under the relaxed schema; no value is touched."""
    schema = relaxed_schema(batch.schema)
    if schema is batch.schema:
        return batch
    columns = [column.cast(field.type) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _relaxed(kind: Any) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_relaxed(field.type)).with_nullable(nullable=True) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_relaxed(kind.value_type)))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_relaxed(kind.value_type)))
    return kind  # type: ignore[no-any-return]  # the stubs do not know that it is one
