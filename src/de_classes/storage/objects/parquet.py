"""Streams of batches to Parquet files and back, in memory that does not grow with the stream."""

from __future__ import annotations

import hashlib
import io
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import pyarrow as pa
import pyarrow.parquet as pq

from de_classes.errors import (
    ConfigurationError,
    CountMismatch,
    DatasetError,
    ObjectNotFound,
    SchemaMismatch,
    StoreError,
)
from de_classes.storage.objects._errors import BeyondEnd
from de_classes.storage.objects._repeating import repeating
from de_classes.storage.objects._storable import as_asked, refuse_cut_dates, storable, storing, taking
from de_classes.utils.faults import reach
from de_classes.utils.schemas import fitted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO

    from typing_extensions import Buffer

    from de_classes.storage.objects.store import ObjectStore, ObjectWriter

__all__ = ["ParquetSizes", "WrittenFile", "read_parquet", "write_parquet"]

_MOST_ROWS = 1 << 17
_COMPRESSION: Literal["zstd"] = "zstd"


@dataclass(frozen=True, slots=True)
class ParquetSizes:
    """How large the pieces are, in bytes."""

    file: int = 256 << 20
    """A file is ended when it is at least this long; it is longer by less than a row group."""
    row_group: int = 16 << 20
    """Rows are collected up to this much memory, and then written as one row group."""

    def __post_init__(self) -> None:
        wrong = [name for name in ("file", "row_group") if getattr(self, name) <= 0]
        if wrong:
            raise ConfigurationError("Parquet sizes", f"{', '.join(wrong)} must be more than 0", "Give bytes.")


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A Parquet file as it was written, its footer read back."""

    key: str
    rows: int
    bytes: int
    memory: int
    """What its rows took in memory, in bytes: a reader then knows how many of them make a batch."""
    checksum: str
    """`sha256:` and the digest of the file's bytes."""
    columns: str
    """The same of the schema in its footer."""


def write_parquet(
    store: ObjectStore, batches: Iterable[pa.RecordBatch], name: Callable[[], str], sizes: ParquetSizes
) -> list[WrittenFile]:
    """Write the batches to as many files as their size asks for; no rows, no file.

    `name` gives the key of each file. All metadata of the schema and its fields travels along. A column of nulls, and
    lists that were empty so far, are kept as such; so are structs without fields, in a way that only `read_parquet`
    takes back. When anything fails, all the files are removed again.

    Raises:
        SchemaMismatch: the batches do not have one schema, or have two columns of one name.
        UnknownType: a column has a type that Parquet cannot hold.
        ValueNotHeld: a value of a type that it holds would be changed.
        CountMismatch: the footer of a file counts other rows than were written to it.

    """
    written: list[WrittenFile] = []
    groups = _Groups(_row_groups(batches, sizes.row_group))
    try:
        while groups.more():
            written.append(_write_file(store, name(), groups, sizes.file))
    except BaseException:
        # The failure itself is what to tell; what cannot be removed now is nobody's, and goes with the next commit.
        with suppress(StoreError):
            store.delete(*[file.key for file in written])
        raise
    return written


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
    with _readable(store, key), store.open_reader(key, size=size) as raw:
        metadata = pq.read_metadata(raw)
        _count(store, key, "its footer counts", metadata.num_rows, rows)
        if columns is not None and columns != _columns_of(metadata):
            raise DatasetError(
                f"{store.url}/{key}",
                "its columns are not those that were written",
                "Restore the file as it was written.",
            )
        file = _opened(raw, metadata, 4 * batch_bytes)
        for group in range(metadata.num_row_groups):
            about = metadata.row_group(group)
            if passed + about.num_rows <= skip:
                passed += about.num_rows
                continue
            step = _rows_per_batch(about, memory / max(rows, 1), batch_bytes)
            for batch in file.iter_batches(step, row_groups=[group]):
                wanted = batch.slice(min(max(skip - passed, 0), batch.num_rows))
                passed += batch.num_rows
                if wanted.num_rows or not skip:
                    yield as_asked(wanted, schema, f"{store.url}/{key}")
    _count(store, key, "it gave", passed, rows)


def _row_groups(batches: Iterable[pa.RecordBatch], most: int) -> Iterator[pa.Table]:
    """Collect batches into tables of about `most` bytes of memory; without those that have no rows."""
    kept: list[pa.RecordBatch] = []
    size = 0
    schema: pa.Schema | None = None
    stored: pa.Schema | None = None
    for batch in batches:
        if schema is None or stored is None:
            schema = _distinct(batch.schema)
            stored = storable(schema)
        elif not batch.schema.equals(schema):
            raise SchemaMismatch(
                "a split's batches", "they do not have one schema", "Give every batch of a stream the same columns."
            )
        for field, column in zip(schema, batch.columns, strict=True):
            refuse_cut_dates(column, field.name)
        for piece in _pieces(fitted(batch, stored), most):
            kept.append(piece)
            size += piece.nbytes
            if size >= most:
                size = 0
                yield _emptied(kept, stored)
    if kept:
        yield _emptied(kept, stored)


def _emptied(kept: list[pa.RecordBatch], schema: pa.Schema | None) -> pa.Table:
    table = pa.Table.from_batches(kept, schema)
    kept.clear()
    return table


def _pieces(batch: pa.RecordBatch, most: int) -> Iterator[pa.RecordBatch]:
    """Cut a batch that is larger than a row group."""
    if batch.num_rows:
        step = max(1, batch.num_rows * most // max(batch.nbytes, most))
        for start in range(0, batch.num_rows, step):
            yield batch.slice(start, step)


def _distinct(schema: pa.Schema) -> pa.Schema:
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise SchemaMismatch("a stream's columns", f"{', '.join(twice)} is there more than once", "Rename one of them.")
    return schema


def _write_file(store: ObjectStore, key: str, groups: _Groups, target: int) -> WrittenFile:
    rows = memory = 0
    with store.open_writer(key) as sink:
        hashed = _Hashed(sink)
        with storing(groups.schema, f"{store.url}/{key}"):
            writer = pq.ParquetWriter(
                pa.PythonFile(hashed, mode="w"),
                groups.schema,
                compression=_COMPRESSION,
                use_dictionary=cast("bool", groups.repeating()),  # the stubs know it as a switch alone
                store_decimal_as_integer=True,
                write_page_checksum=True,
            )
        with _ended(writer, hashed):
            while not rows or (sink.tell() < target and groups.more()):
                with taking(f"{store.url}/{key}"):
                    added, size = groups.write_next(writer)
                rows, memory = rows + added, memory + size
                reach("dataset.write.in_upload")
    size = sink.info.size
    with _readable(store, key), store.open_reader(key, size=size) as raw:
        metadata = pq.read_metadata(raw)
    _count(store, key, "its footer counts", metadata.num_rows, rows)
    return WrittenFile(key, rows, size, memory, f"sha256:{hashed.digest()}", _columns_of(metadata))


@contextmanager
def _ended(writer: pq.ParquetWriter, hashed: _Hashed) -> Iterator[None]:
    """Close the writer; after a failure into nothing, since it would else write its footer when it is collected."""
    try:
        yield
    except BaseException:
        hashed.discard()
        with suppress(pa.ArrowException, OSError):
            writer.close()
        raise
    writer.close()


class _Groups:
    """Row groups to come. Holds one at most, and none while the next is collected: they are what takes memory."""

    def __init__(self, groups: Iterator[pa.Table]) -> None:
        self._groups = groups
        self._next: pa.Table | None = None
        self.schema = pa.schema([])

    def more(self) -> bool:
        """Whether there is another; fetches it."""
        if self._next is None:
            self._next = next(self._groups, None)
            if self._next is not None:
                self.schema = self._next.schema
        return self._next is not None

    def repeating(self) -> list[str]:
        """The columns that get a dictionary, as far as the one that `more` fetched tells."""
        return [] if self._next is None else repeating(self._next)

    def write_next(self, writer: pq.ParquetWriter) -> tuple[int, int]:
        """Write the one that `more` fetched, and say its rows and its bytes of memory."""
        group, self._next = self._next, None
        if group is None:
            raise ValueError("there is no row group: ask more() first")
        writer.write_table(group, row_group_size=group.num_rows)
        return group.num_rows, group.nbytes


class _Hashed(io.RawIOBase):
    """Passes bytes on and sums them up, as pyarrow writes them. Closing it leaves the object to who opened it."""

    def __init__(self, sink: ObjectWriter) -> None:
        super().__init__()
        self._sink = sink
        self._sum = hashlib.sha256()
        self._discarded = False

    def writable(self) -> bool:
        return True

    def discard(self) -> None:
        """Nobody wants what comes from now on."""
        self._discarded = True

    def write(self, data: Buffer, /) -> int:
        if self._discarded:
            return memoryview(data).nbytes
        self._sum.update(data)
        return self._sink.write(data)

    def tell(self) -> int:
        return self._sink.tell()

    def digest(self) -> str:
        return self._sum.hexdigest()


def _opened(raw: BinaryIO, metadata: pq.FileMetaData, most: int) -> pq.ParquetFile:
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


def _rows_per_batch(group: pq.RowGroupMetaData, row_bytes: float, batch_bytes: int) -> int:
    # The footer counts dictionary-encoded bytes, which may be far fewer than the values take; the log knows better.
    row_bytes = max(row_bytes, group.total_byte_size / max(group.num_rows, 1), 1)
    return max(1, min(_MOST_ROWS, int(batch_bytes / row_bytes)))


def _count(store: ObjectStore, key: str, told: str, rows: int, expected: int) -> None:
    if rows != expected:
        raise CountMismatch(
            f"{store.url}/{key}",
            f"{told} {rows} rows, and {expected} were written",
            "Restore the file, or load it anew.",
        )


@contextmanager
def _readable(store: ObjectStore, key: str) -> Iterator[None]:
    try:
        yield
    except ObjectNotFound as error:
        raise DatasetError(f"{store.url}/{key}", "the file is gone", "Restore it, or load it anew.") from error
    except (pa.ArrowException, OSError, EOFError, BeyondEnd) as error:
        raise DatasetError(
            f"{store.url}/{key}", "the file is no Parquet that can be read", "Restore the file as it was written."
        ) from error
