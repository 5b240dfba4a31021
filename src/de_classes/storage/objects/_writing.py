"""Streams of batches to files of any format, in memory that does not grow with the stream."""

from __future__ import annotations

import hashlib
import io
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import pyarrow as pa

from de_classes.errors import ConfigurationError, SchemaMismatch, StoreError
from de_classes.utils.faults import reach
from de_classes.utils.schemas import fitted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from typing_extensions import Buffer

    from de_classes.contracts import JsonValue
    from de_classes.storage.objects.formats import Format, TableWriter
    from de_classes.storage.objects.store import ObjectStore, ObjectWriter

__all__ = ["FileSizes", "WrittenFile", "write_files"]


@dataclass(frozen=True, slots=True)
class FileSizes:
    """How large the pieces are, in bytes."""

    file: int = 256 << 20
    """A file is ended when it is at least this long; it is longer by less than a row group."""
    row_group: int = 16 << 20
    """Rows are collected up to this much memory, and then written as one row group; it is longer by a quarter at most,
    where the rows of a batch are about alike."""

    def __post_init__(self) -> None:
        wrong = [name for name in ("file", "row_group") if getattr(self, name) <= 0]
        if wrong:
            raise ConfigurationError("sizes of files", f"{', '.join(wrong)} must be more than 0", "Give bytes.")


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file as it was written and, as far as its format tells, read back."""

    key: str
    rows: int
    bytes: int
    memory: int
    """What its rows took in memory, in bytes: a reader then knows how many of them make a batch."""
    checksum: str
    """`sha256:` and the digest of the file's bytes."""
    columns: str | None = None
    """The same of the schema in its footer, where it has one."""
    format: Mapping[str, JsonValue] | None = None
    """What a reader must know of its format; None for Parquet."""


def write_files(
    store: ObjectStore,
    batches: Iterable[pa.RecordBatch],
    name: Callable[[], str],
    sizes: FileSizes,
    form: Format,
) -> list[WrittenFile]:
    """Write the batches to as many files as their size asks for; no rows, no file.

    `name` gives the key of each file. When anything fails, all the files are removed again.

    Raises:
        SchemaMismatch: the batches do not have one schema, or have two columns of one name.
        UnknownType: a column has a type that the format cannot hold.
        ValueNotHeld: a value of a type that it holds would be changed.
        CountMismatch: what is read back of a file is not what was written to it.

    """
    written: list[WrittenFile] = []
    groups = _Groups(_row_groups(batches, sizes.row_group, form))
    try:
        while groups.more():
            written.append(_write_file(store, name(), groups, sizes.file, form))
    except BaseException:
        # The failure itself is what to tell; what cannot be removed now is nobody's, and goes with the next commit.
        with suppress(StoreError):
            store.delete(*[file.key for file in written])
        raise
    return written


def _row_groups(batches: Iterable[pa.RecordBatch], most: int, form: Format) -> Iterator[pa.Table]:
    """Collect batches, cut where a table is full, into tables of about `most` bytes of memory; none without rows."""
    kept: list[pa.RecordBatch] = []
    size = 0
    schema: pa.Schema | None = None
    stored: pa.Schema | None = None
    for batch in batches:
        if schema is None or stored is None:
            schema = _distinct(batch.schema)
            stored = form.stored(schema)
        elif not batch.schema.equals(schema):
            raise SchemaMismatch(
                "a split's batches", "they do not have one schema", "Give every batch of a stream the same columns."
            )
        form.check(batch)
        rest = fitted(batch, stored)
        # Of the whole batch, once: what slices share, such as a dictionary, would make each look larger than the last.
        per_row = rest.nbytes / max(rest.num_rows, 1)
        while rest.num_rows:
            taken = _filling(rest.num_rows, per_row, most - size, most // 4)
            piece, rest = rest.slice(0, taken), rest.slice(taken)
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


def _filling(rows: int, per_row: float, room: int, over: int) -> int:
    """How many of so many rows fill the room: one at least, and all of them where only a few bytes are over."""
    return rows if rows * per_row <= room + over else max(1, ceil(room / per_row))


def _distinct(schema: pa.Schema) -> pa.Schema:
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise SchemaMismatch("a stream's columns", f"{', '.join(twice)} is there more than once", "Rename one of them.")
    return schema


def _write_file(store: ObjectStore, key: str, groups: _Groups, target: int, form: Format) -> WrittenFile:
    rows = memory = 0
    with store.open_writer(key) as sink:
        hashed = _Hashed(sink)
        group = groups.next()
        writer = form.writer(hashed, group, f"{store.url}/{key}")
        with _ended(writer, hashed):
            while True:
                writer.write(group)
                rows, memory = rows + group.num_rows, memory + group.nbytes
                reach("dataset.write.in_upload")
                del group  # the next one is collected below, and two are too many
                if sink.tell() >= target or not groups.more():
                    break
                group = groups.next()
    size = sink.info.size
    columns = form.confirm(store, key, size, rows)
    return WrittenFile(key, rows, size, memory, f"sha256:{hashed.digest()}", columns, writer.told())


@contextmanager
def _ended(writer: TableWriter, hashed: _Hashed) -> Iterator[None]:
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

    def more(self) -> bool:
        """Whether there is another; fetches it."""
        if self._next is None:
            self._next = next(self._groups, None)
        return self._next is not None

    def next(self) -> pa.Table:
        """The one that `more` fetched."""
        group, self._next = self._next, None
        if group is None:
            raise ValueError("there is no row group: ask more() first")
        return group


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
