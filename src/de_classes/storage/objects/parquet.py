"""Parquet files: written row group by row group, and read in batches of a size in bytes."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from de_classes.errors import ConfigurationError, CountMismatch, DatasetError, ObjectNotFound
from de_classes.storage.objects._errors import BeyondEnd
from de_classes.storage.objects._repeating import repeating
from de_classes.storage.objects._storable import as_asked, refuse_cut_dates, storable, storing, taking

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from typing import BinaryIO

    from de_classes.storage.objects.store import ObjectStore

__all__ = ["Compression", "ParquetFormat", "opened", "read_parquet", "rows_per_batch"]

Compression: TypeAlias = Literal["zstd", "snappy", "gzip", "none"]

_MOST_ROWS = 1 << 17


class ParquetFormat:
    """Parquet, which holds every type that de-classes moves.

    All metadata of the schema and its fields travels along. A column of nulls, and lists that were empty so far, are
    kept as such; so are structs without fields, in a way that only readers of datasets take back.

    Args:
        compression: what pages are packed with.
        level: how hard it tries, for zstd and gzip; None leaves it to the library.

    """

    suffix = ".parquet"

    def __init__(self, compression: Compression = "zstd", *, level: int | None = None) -> None:
        wrong = [f"compression={compression!r}"] if compression not in get_args(Compression) else []
        if level is not None and compression not in {"zstd", "gzip"}:
            wrong.append(f"level={level!r} for {compression}")
        if wrong:
            raise ConfigurationError(
                "ParquetFormat",
                "; ".join(wrong),
                f"Give one of {', '.join(get_args(Compression))}; levels are for two.",
            )
        self._compression, self._level = compression, level

    def stored(self, schema: pa.Schema) -> pa.Schema:
        """The columns with a field in each struct that has none."""
        return storable(schema)

    def check(self, batch: pa.RecordBatch) -> None:
        """See that no date has a time of day."""
        for field, column in zip(batch.schema, batch.columns, strict=True):
            refuse_cut_dates(column, field.name)

    def writer(self, sink: io.RawIOBase, first: pa.Table, where: str) -> _Writer:
        """Begin a file; only columns whose values repeat in the first table get a dictionary."""
        with storing(first.schema, where):
            writer = pq.ParquetWriter(
                pa.PythonFile(sink, mode="w"),
                first.schema,
                compression=self._compression,
                compression_level=self._level,
                use_dictionary=cast("bool", repeating(first)),  # the stubs know it as a switch alone
                store_decimal_as_integer=True,
                write_page_checksum=True,
            )
        return _Writer(writer, where)

    def confirm(self, store: ObjectStore, key: str, size: int, rows: int) -> str:
        """Read the footer back."""
        with readable(store, key), store.open_reader(key, size=size) as raw:
            metadata = pq.read_metadata(raw)
        counted(store, key, "its footer counts", metadata.num_rows, rows)
        return _columns_of(metadata)

    def __repr__(self) -> str:
        return f"ParquetFormat({self._compression!r}, level={self._level!r})"


class _Writer:
    def __init__(self, writer: pq.ParquetWriter, where: str) -> None:
        self._writer, self._where = writer, where

    def write(self, table: pa.Table) -> None:
        with taking(self._where):
            self._writer.write_table(table, row_group_size=table.num_rows)

    def close(self) -> None:
        self._writer.close()

    def told(self) -> None:
        """The footer tells all."""


def read_parquet(  # noqa: PLR0913 -- what a log knows of a file
    store: ObjectStore,
    key: str,
    *,
    schema: pa.Schema,
    size: int,
    rows: int,
    memory: int,
    batch_bytes: int,
    columns: str | None = None,
    skip: int = 0,
) -> Iterator[pa.RecordBatch]:
    """Read a file in batches of about `batch_bytes`, with the columns, order and metadata of `schema`.

    Its first `skip` rows are left out, and row groups of such rows alone are not fetched.

    The file may have been written before the columns grew: those that it lacks are null, narrower ones get wider. That
    it lacks none that was written is seen by the checksum `columns`.

    Raises:
        DatasetError: the file is gone, is no Parquet, is shorter than `size`, has other columns than were written, or
            lacks one that must not be null.
        CountMismatch: it does not have `rows` rows.

    """
    passed = 0
    with readable(store, key), store.open_reader(key, size=size) as raw:
        metadata = pq.read_metadata(raw)
        counted(store, key, "its footer counts", metadata.num_rows, rows)
        if columns is not None and columns != _columns_of(metadata):
            raise DatasetError(
                f"{store.url}/{key}",
                "its columns are not those that were written",
                "Restore the file as it was written.",
            )
        file = opened(raw, metadata, 4 * batch_bytes)
        for group in range(metadata.num_row_groups):
            about = metadata.row_group(group)
            if passed + about.num_rows <= skip:
                passed += about.num_rows
                continue
            step = rows_per_batch(about, memory / max(rows, 1), batch_bytes)
            for batch in file.iter_batches(step, row_groups=[group]):
                wanted = batch.slice(min(max(skip - passed, 0), batch.num_rows))
                passed += batch.num_rows
                if wanted.num_rows or not skip:
                    yield as_asked(wanted, schema, f"{store.url}/{key}")


def opened(raw: BinaryIO, metadata: pq.FileMetaData, most: int) -> pq.ParquetFile:
    """Fetch row groups whole where they are small, column by column in pieces where they are not."""
    largest = max((_compressed(metadata.row_group(n)) for n in range(metadata.num_row_groups)), default=0)
    whole = largest <= most
    return pq.ParquetFile(
        raw,
        metadata=metadata,
        pre_buffer=whole,
        buffer_size=0 if whole else 1 << 20,
        page_checksum_verification=True,
    )


def _columns_of(metadata: pq.FileMetaData) -> str:
    # Where pyarrow keeps the schema of Arrow, with all types and metadata.
    schema = (metadata.metadata or {}).get(b"ARROW:schema", b"")
    return f"sha256:{hashlib.sha256(schema).hexdigest()}"


def _compressed(group: pq.RowGroupMetaData) -> int:
    return sum(group.column(n).total_compressed_size for n in range(group.num_columns))


def rows_per_batch(group: pq.RowGroupMetaData, row_bytes: float, batch_bytes: int) -> int:
    """How many rows of a group make about so many bytes, where each takes `row_bytes` or as many as the footer says."""
    # The footer counts dictionary-encoded bytes, which may be far fewer than the values take; the log knows better.
    row_bytes = max(row_bytes, group.total_byte_size / max(group.num_rows, 1), 1)
    return max(1, min(_MOST_ROWS, int(batch_bytes / row_bytes)))


def counted(store: ObjectStore, key: str, told: str, rows: int, expected: int) -> None:
    if rows != expected:
        raise CountMismatch(
            f"{store.url}/{key}",
            f"{told} {rows} rows, and {expected} were written",
            "Restore the file, or load it anew.",
        )


@contextmanager
def readable(store: ObjectStore, key: str) -> Iterator[None]:
    try:
        yield
    except ObjectNotFound as error:
        raise DatasetError(f"{store.url}/{key}", "the file is gone", "Restore it, or load it anew.") from error
    except (pa.ArrowException, OSError, EOFError, BeyondEnd) as error:
        raise DatasetError(
            f"{store.url}/{key}", "the file cannot be read as what was written", "Restore the file as it was written."
        ) from error


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.storage.objects._doors.parquet")
