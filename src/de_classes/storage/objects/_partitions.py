"""Partitions as Hive has them: folders such as `day=2026-01-01/region=north`, one for the rows of one value each.

The columns stand in the folder's name and in the commit log, and not in the files. What the log says counts: a folder's
name cannot tell an empty text from none for every reader, the log can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from de_classes.errors import ConfigurationError, ValueNotHeld

from ._plain import of_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["Partition", "cut_up", "folder_of", "partition_of", "restored", "stored_columns"]

Partition: TypeAlias = "tuple[str | None, ...]"
"""The values of the partitioning columns as text, in their order."""

_PIECES = 16
_PIECE_BYTES = 4096
"""What a batch takes beside its values: of many small ones that is most, so they are joined now and then."""
_NULL = "__HIVE_DEFAULT_PARTITION__"


def cut_up(
    batches: Iterable[pa.RecordBatch], columns: Sequence[str], most_bytes: int
) -> Iterator[tuple[Partition, pa.RecordBatch]]:
    """The rows by partition, without the partitioning columns, in order within each.

    Up to `most_bytes` are kept back, so that pieces are large; then the partition with the most goes. Many partitions
    therefore take no more memory than few.

    Raises:
        ConfigurationError: a column is not there, or of a type whose values no folder can be named after.

    """
    kept: dict[Partition, list[pa.RecordBatch]] = {}
    sizes: dict[Partition, int] = {}
    total = 0
    for batch in batches:
        _check(batch.schema, columns)
        for partition, rows in _parts(batch, columns):
            pieces = kept.setdefault(partition, [])
            pieces.append(rows)
            if len(pieces) == _PIECES:
                pieces[:] = pa.Table.from_batches(pieces).combine_chunks().to_batches()
            size = sum(piece.nbytes for piece in pieces) + _PIECE_BYTES * len(pieces)
            total += size - sizes.get(partition, 0)
            sizes[partition] = size
        while total > most_bytes:
            largest = max(sizes, key=sizes.__getitem__)
            total -= sizes.pop(largest)
            yield from ((largest, rows) for rows in kept.pop(largest))
    for partition in list(kept):
        yield from ((partition, rows) for rows in kept.pop(partition))


def folder_of(columns: Sequence[str], partition: Partition) -> str:
    """The folder's name: what is not a plain character is percent-encoded, null is what Hive calls it."""
    return "/".join(f"{quote(name, safe='')}={_named(text)}" for name, text in zip(columns, partition, strict=True))


def partition_of(told: Mapping[str, str | None] | None, columns: Sequence[str]) -> Partition | None:
    """The partition of a file that says it as the log has it; None if it is not partitioned by these columns."""
    return tuple(told[name] for name in columns) if told is not None and list(told) == list(columns) else None


def stored_columns(schema: pa.Schema, told: Mapping[str, str | None] | None) -> pa.Schema:
    """The columns that are in a file itself."""
    inside = pa.schema([field for field in schema if field.name not in (told or {})])
    return inside.with_metadata(schema.metadata)


def restored(batch: pa.RecordBatch, told: Mapping[str, str | None] | None, schema: pa.Schema) -> pa.RecordBatch:
    """The rows of a file with their partitioning columns, under the schema."""
    if not told:
        return batch
    columns = [
        _repeated(told[field.name], field.type, batch.num_rows) if field.name in told else batch.column(field.name)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _parts(batch: pa.RecordBatch, columns: Sequence[str]) -> Iterator[tuple[Partition, pa.RecordBatch]]:
    texts = {name: _texts(batch.column(name), name) for name in columns}
    numbered = pa.table({**texts, "": pa.array(range(batch.num_rows), pa.int64())})
    groups = numbered.group_by(list(columns), use_threads=False).aggregate([("", "list")])
    rest = batch.drop_columns(list(columns))
    values = zip(*(groups.column(name).to_pylist() for name in columns), strict=True)
    lists = groups.column("_list").combine_chunks()
    for partition, rows in zip(values, lists, strict=True):
        yield partition, rest if len(rows) == batch.num_rows else rest.take(rows.values)


def _texts(values: Any, column: str) -> Any:
    """The values as text that gives them back."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    texts = values.cast(pa.string())
    same = pc.coalesce(pc.equal(_values(texts, values.type), values), pc.is_null(values))
    wrong = pc.indices_nonzero(pc.invert(same))
    if len(wrong):
        row = wrong[0].as_py()
        raise ValueNotHeld(
            f"column {column!r}",
            f"no folder can be named after its value {texts[row].as_py()!r}",
            "Partition by another column, or mend such values.",
            table=None,
            column=column,
            row=row,
        )
    return texts


def _values(texts: Any, kind: Any) -> Any:
    try:
        return of_text(texts, kind)
    except ValueError:
        return pa.nulls(len(texts), kind)


def _repeated(text: str | None, kind: Any, count: int) -> Any:
    if text is None:
        return pa.nulls(count, kind)
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    values: Any = pa.repeat(of_text(pa.array([text]), plain)[0], count)
    return values.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else values


def _check(schema: pa.Schema, columns: Sequence[str]) -> None:
    wrong = [f"there is no column {name}" for name in columns if name not in schema.names]
    wrong += [
        f"column {field.name} is {field.type}" for field in schema if field.name in columns and not _names(field.type)
    ]
    if len(schema.names) <= len(columns):
        wrong.append("there is no other column to be in the files")
    if wrong:
        raise ConfigurationError(
            f"partition_by={tuple(columns)!r}",
            "; ".join(wrong),
            "Partition by whole numbers, text, booleans, decimals or dates; derive such a column in a transform.",
        )


def _names(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return _names(kind.value_type)
    types = pa.types
    return any(
        is_one(kind)
        for is_one in (types.is_integer, types.is_boolean, types.is_string, types.is_large_string, types.is_date32)
    ) or types.is_decimal(kind)


def _named(text: str | None) -> str:
    if text is None:
        return _NULL
    return f"%5F{_NULL[1:]}" if text == _NULL else quote(text, safe="")
