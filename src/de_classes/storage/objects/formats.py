"""What a file format is to a dataset: a way to write tables that gives the same tables back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import io
    from collections.abc import Mapping

    import pyarrow as pa

    from de_classes.contracts import JsonValue
    from de_classes.storage.objects.store import ObjectStore

__all__ = ["Format", "TableWriter"]


class TableWriter(Protocol):
    """A file that is being written."""

    def write(self, table: pa.Table) -> None:
        """Write some rows."""
        ...

    def close(self) -> None:
        """End the file; the sink stays open."""
        ...

    def told(self) -> Mapping[str, JsonValue] | None:
        """What a reader must know of the file, once it is closed; None where the file tells it itself."""
        ...


class Format(Protocol):
    """A strategy for the files of a dataset: its constructor is its configuration, and it pickles."""

    @property
    def suffix(self) -> str:
        """How names of files end, as `.parquet`."""
        ...

    def stored(self, schema: pa.Schema) -> pa.Schema:
        """The columns as they are written.

        Raises:
            UnknownType: the format has no exact form of a type.

        """
        ...

    def check(self, batch: pa.RecordBatch) -> None:
        """See that the format holds the values.

        Raises:
            ValueNotHeld: it does not hold one.

        """
        ...

    def writer(self, sink: io.RawIOBase, first: pa.Table, where: str) -> TableWriter:
        """Begin a file that has this table first, and others of the same columns; closing it leaves the sink open."""
        ...

    def confirm(self, store: ObjectStore, key: str, size: int, rows: int) -> str | None:
        """Read back what a file says of itself: that it has these rows, and a checksum of its columns.

        Raises:
            CountMismatch: it has others.
            DatasetError: it cannot be read.

        """
        ...
