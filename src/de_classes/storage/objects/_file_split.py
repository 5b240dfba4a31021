"""Reading files that others wrote: as the ones that they were when they were listed, or not at all."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.contracts import Batch, Item
from de_classes.errors import DeClassesError, ObjectNotFound, PlanLost, TooManyMisfits
from de_classes.formats.file_format import Decoded
from de_classes.formats.packing import unpacked_file
from de_classes.storage.objects._file_columns import pieces_of, united_columns
from de_classes.storage.objects._foreign_parquet import Parquet
from de_classes.utils.faults import reach
from de_classes.utils.read_ahead import read_ahead
from de_classes.utils.schemas import without_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from de_classes.storage.objects.files import Files
    from de_classes.storage.objects.store import ObjectInfo, ObjectStore

__all__ = ["FileSplit", "version_of"]

_AHEAD_BYTES = 8 << 20


def version_of(info: ObjectInfo) -> str:
    """What tells a file from another one of its key: etag and size; where the store gives no etag, its time."""
    told = info.etag if info.etag is not None or info.modified is None else info.modified.isoformat()
    return f"{told} {info.size}"


@dataclass(frozen=True)
class FileSplit:
    """Some files of a table."""

    id: str
    """Names the files as they were listed, and how they are read."""
    store: ObjectStore
    some: tuple[ObjectInfo, ...]
    files: Files
    columns: pa.Schema
    table: str
    batch_bytes: int
    max_expansion: float

    def read(self) -> Iterator[Batch]:
        """The rows of the files, in order; each file is complete with a batch that says so.

        Raises:
            PlanLost: a file is gone, or another one than was listed.
            InvalidFile: one is not of its format.
            ValueNotHeld, SchemaMismatch: a row does not fit, and none may be set aside.
            TooManyMisfits: more rows of a file do not fit than are allowed.

        """
        schema = united_columns(self.columns, self.files.file_column)
        for info in self.some:
            try:
                yield from self._rows(info, schema)
            except DeClassesError:
                self._refuse_another(info)  # of which nothing that was read says anything
                raise
            self._refuse_another(info)
            item = Item(info.key, version_of(info), self.files.file_column, self._place(info))
            yield Batch(without_rows(schema), items=(item,))

    def _place(self, info: ObjectInfo) -> str:
        return f"{self.store.url}/{info.key}"

    def _rows(self, info: ObjectInfo, schema: pa.Schema) -> Iterator[Batch]:
        rows = rejected = 0
        for decoded in self._decoded(info):
            reach("files.read.batch")
            rows += decoded.records.num_rows
            rejected += decoded.rejected.num_rows if decoded.rejected is not None else 0
            yield Batch(self._named(decoded.records, info.key, schema), rejected=decoded.rejected)
        self._refuse_too_many(info, rejected, rows + rejected)

    def _decoded(self, info: ObjectInfo) -> Iterator[Decoded]:
        where, form = self._place(info), self.files.format
        with self.store.open_reader(info.key, size=info.size) as file:
            if isinstance(form, Parquet):
                yield from map(Decoded, form.batches(file, self.columns, self.batch_bytes, where))
                return
            misfits: Any = "quarantine" if self.files.allowed_misfits else "fail"
            with self._text(file, where) as text:
                yield from form.batches(
                    text, self.columns, self.batch_bytes, table=self.table, where=where, misfits=misfits
                )

    @contextmanager
    def _text(self, file: BinaryIO, where: str) -> Iterator[Iterator[bytes]]:
        """The file without its packing, read ahead of who takes it apart."""
        pieces = unpacked_file(pieces_of(file), self.files.compression, where, self.max_expansion)
        with read_ahead(pieces, len, _AHEAD_BYTES) as ahead:
            yield ahead

    def _refuse_another(self, info: ObjectInfo) -> None:
        """See that the file is the one that was listed: then all that was read of it is."""
        try:
            now = self.store.head(info.key)
        except ObjectNotFound as error:
            raise self._lost(info, "it is gone since it was listed") from error
        if version_of(now) != version_of(info):
            raise self._lost(info, "it is another one than when it was listed")

    def _lost(self, info: ObjectInfo, fact: str) -> PlanLost:
        return PlanLost(
            self._place(info),
            fact,
            "Run it again once nobody writes to it: files should appear whole, and stay.",
        )

    def _refuse_too_many(self, info: ObjectInfo, rejected: int, rows: int) -> None:
        # The share as it is written: 0.29 of 100 rows are 29 of them, and a little less by floats.
        if rejected > Decimal(str(self.files.allowed_misfits)) * rows:
            raise TooManyMisfits(
                self._place(info),
                f"{rejected} of its {rows} rows do not fit, and {self.files.allowed_misfits:.3%} may be set aside",
                "Mend the file or the schema, or allow more: allowed_misfits=...",
                rejected=rejected,
                rows=rows,
            )

    def _named(self, records: pa.RecordBatch, key: str, schema: pa.Schema) -> pa.RecordBatch:
        """The rows with the column that names their file."""
        columns: list[Any] = list(records.columns)
        if self.files.file_column is not None:
            columns.append(pa.repeat(pa.scalar(key), records.num_rows))
        return pa.RecordBatch.from_arrays(columns, schema=schema)
