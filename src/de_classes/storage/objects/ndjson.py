"""NDJSON files, a JSON object a line, that give back what was written."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from de_classes.errors import ConfigurationError
from de_classes.storage.objects._plain import check_plain, from_plain, plain_type, refuse_types, to_plain
from de_classes.storage.objects._text import COMPRESSIONS, TextWriter, confirmed

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

    from de_classes.contracts import JsonValue
    from de_classes.storage.objects._text import Packing
    from de_classes.storage.objects.store import ObjectStore

__all__ = ["NdjsonFormat"]


class NdjsonFormat:
    """A JSON object a line, in UTF-8, with each column, null included. It holds nested columns too.

    Decimals are text, so that no reader makes doubles of them; dates and times are text as ISO 8601 writes them, those
    with a zone in UTC; bytes are base64; maps are lists of keys and values; a float that is no number or infinite is
    the text "NaN", "Infinity" or "-Infinity". DatasetSource reads the exact values back, since the commit log keeps the
    columns.

    Args:
        compression: "gzip", "zstd" or "none".

    """

    name = "ndjson"

    def __init__(self, *, compression: Packing = "none") -> None:
        if compression not in COMPRESSIONS:
            raise ConfigurationError("NdjsonFormat", f"compression={compression!r}", "Give gzip, zstd or none.")
        self._compression = compression

    @property
    def suffix(self) -> str:
        """How names of files end."""
        return f".ndjson{COMPRESSIONS[self._compression]}"

    def stored(self, schema: pa.Schema) -> pa.Schema:
        """The columns as they are; UnknownType for those of types that have no exact form."""
        refuse_types(schema, "NDJSON", lambda _: True)
        return schema

    def check(self, batch: pa.RecordBatch) -> None:
        """See that text holds the values."""
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            check_plain(column, name)

    def writer(self, sink: io.RawIOBase, first: pa.Table, where: str) -> TextWriter:
        """Begin a file."""
        del where
        return TextWriter(sink, self, first.schema, _lines)

    def confirm(self, store: ObjectStore, key: str, size: int, rows: int) -> None:
        """See that the file is there, as long as it was written. It has no footer that counts rows."""
        del rows
        confirmed(store, key, size)

    def read(self, file: BinaryIO, schema: pa.Schema, widest: int, batch_bytes: int) -> Iterator[pa.RecordBatch]:
        """The rows of a file that is unpacked already. Raises ValueError where it is not what was written."""
        del widest
        rest = b""
        while block := file.read(max(batch_bytes, 1 << 16)):
            whole, _, rest = (rest + block).rpartition(b"\n")
            if whole:
                yield _batch(whole, schema)
        if rest:
            raise ValueError("it ends within a line")

    @property
    def options(self) -> Mapping[str, JsonValue]:
        """The arguments that it was made with."""
        return {"compression": self._compression}

    def __repr__(self) -> str:
        return f"NdjsonFormat(compression={self._compression!r})"


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


def _lines(batch: pa.RecordBatch) -> Any:
    plain = pa.RecordBatch.from_arrays([to_plain(column) for column in batch.columns], batch.schema.names)
    rows = plain.to_pylist()
    if any(_has_floats(field.type) for field in plain.schema):
        rows = [_named(row) for row in rows]
    return pa.array([_encoder.encode(row) + b"\n" for row in rows], pa.large_binary())


def _batch(lines: bytes, schema: pa.Schema) -> pa.RecordBatch:
    rows = [_decoder.decode(line) for line in lines.split(b"\n")]
    names = schema.names
    if any(not isinstance(row, dict) or list(row) != names for row in rows):
        raise ValueError("a line does not have the columns that were written")
    columns = []
    for field in schema:
        plain = plain_type(field.type)
        values = [row[field.name] for row in rows]
        if _has_floats(plain):
            values = [_unnamed(value, plain) for value in values]
        columns.append(from_plain(pa.array(values, plain), field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _has_floats(kind: Any) -> bool:
    if pa.types.is_nested(kind):
        return any(_has_floats(kind.field(n).type) for n in range(kind.num_fields))
    return bool(pa.types.is_floating(kind))


def _named(value: Any) -> Any:
    """The value, with names for the floats that JSON has no numbers for."""
    if isinstance(value, float):
        return (
            value if math.isfinite(value) else "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        )
    if isinstance(value, dict):
        return {name: _named(inner) for name, inner in value.items()}
    return [_named(inner) for inner in value] if isinstance(value, list) else value


def _unnamed(value: Any, kind: Any) -> Any:
    if pa.types.is_floating(kind):
        return float(value) if isinstance(value, str) else value
    if isinstance(value, dict):
        return {field.name: _unnamed(value.get(field.name), field.type) for field in kind}
    return [_unnamed(inner, kind.value_type) for inner in value] if isinstance(value, list) else value


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.storage.objects._doors.ndjson")
