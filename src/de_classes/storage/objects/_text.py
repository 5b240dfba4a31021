"""What text formats share: packing, lines on their way into a file, and what is seen of it afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from de_classes.errors import DatasetError
from de_classes.storage.objects._entry import encode_schema

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Mapping

    from de_classes.contracts import JsonValue
    from de_classes.storage.objects.store import ObjectStore

__all__ = ["COMPRESSIONS", "Packing", "TextFormat", "TextWriter", "confirmed", "unpacked"]

Packing: TypeAlias = Literal["none", "gzip", "zstd"]

COMPRESSIONS: Mapping[str, str] = {"none": "", "gzip": ".gz", "zstd": ".zst"}
"""And how names of files end."""


class TextFormat(Protocol):
    """What a log keeps of a text format."""

    name: str

    @property
    def options(self) -> Mapping[str, JsonValue]:
        """The arguments that it was made with."""
        ...


class TextWriter:
    """Lines on their way into a file, packed as asked."""

    def __init__(
        self,
        sink: io.RawIOBase,
        form: TextFormat,
        schema: pa.Schema,
        lines: Callable[[pa.RecordBatch], Any],
        header: Any = None,
    ) -> None:
        raw: Any = pa.PythonFile(sink, mode="w")
        compression: Any = form.options["compression"]
        self._file = raw if compression == "none" else pa.CompressedOutputStream(raw, compression)
        self._form, self._schema, self._lines, self._widest = form, schema, lines, 0
        if header is not None:
            self._put(header)

    def write(self, table: pa.Table) -> None:
        """Write rows, a batch at a time."""
        for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
            self._put(self._lines(batch))

    def close(self) -> None:
        """End the packing; the sink stays open."""
        if isinstance(self._file, pa.CompressedOutputStream):
            self._file.close()

    def told(self) -> Mapping[str, JsonValue]:
        """The format with its options, the columns, and the bytes of the longest row."""
        return {
            "name": self._form.name,
            "options": self._form.options,
            "schema": encode_schema(self._schema),
            "widest": self._widest,
        }

    def _put(self, lines: Any) -> None:
        """Write texts as they lie in memory, one after the other."""
        if len(lines):
            self._widest = max(self._widest, pc.max(pc.binary_length(lines)).as_py())
            _, offsets, data = lines.buffers()
            ends = pa.Array.from_buffers(pa.int64(), len(lines) + 1, [None, offsets], offset=lines.offset)
            first, last = ends[0].as_py(), ends[-1].as_py()
            if last > first:
                self._file.write(data.slice(first, last - first))


_ROWS_AT_ONCE = 1 << 14


def unpacked(file: Any, compression: Any) -> Any:
    """The file without its packing."""
    raw = pa.PythonFile(file, mode="r")
    return raw if compression == "none" else pa.CompressedInputStream(raw, compression)


def confirmed(store: ObjectStore, key: str, size: int) -> None:
    """See that an object is as long as it was written."""
    there = store.head(key).size
    if there != size:
        raise DatasetError(
            f"{store.url}/{key}", f"it has {there} bytes, and {size} were written", "Run again, into another store."
        )
