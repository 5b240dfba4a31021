"""Which columns files have, where nobody declared them: a few are looked at, each at its beginning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from de_classes.errors import ConfigurationError, ObjectNotFound, PlanLost
from de_classes.formats.packing import unpacked_file
from de_classes.storage.objects._foreign_parquet import Parquet
from de_classes.utils.schemas import united

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from de_classes.storage.objects.files import Files
    from de_classes.storage.objects.store import ObjectInfo, ObjectStore

__all__ = ["columns_of", "pieces_of", "united_columns"]

_PIECE = 1 << 20
_SAMPLED_BYTES = 1 << 20
"""How much of a file of text is looked at."""
_LONGEST_BYTES = 64 << 20
"""How much at most, to see the end of a first line."""


def columns_of(  # noqa: PLR0913 -- the files, how they are read, and what is known
    store: ObjectStore,
    some: Sequence[ObjectInfo],
    files: Files,
    max_expansion: float,
    *,
    table: str,
    known: pa.Schema | None,
) -> pa.Schema | None:
    """The columns that hold what is known and what the files show; None where there are neither.

    A column that shows only nulls is text.

    Raises:
        InvalidFile: a file is not of its format.
        PlanLost: a file is gone.
        SchemaMismatch: no type holds a column of two of them.

    """
    shown = [] if known is None else [known]
    shown += [_shown(store, info, files, max_expansion, table) for info in some if info.size]
    if not shown:
        return None
    schema = united(shown, table)
    if files.file_column in schema.names:
        raise ConfigurationError(
            f"files {table!r}", f"they have a column {files.file_column!r} of their own", "Choose another file_column."
        )
    return pa.schema([field.with_type(pa.string()) if pa.types.is_null(field.type) else field for field in schema])


def _shown(store: ObjectStore, info: ObjectInfo, files: Files, max_expansion: float, table: str) -> pa.Schema:
    where = f"{store.url}/{info.key}"
    try:
        with store.open_reader(info.key, size=info.size) as file:
            if isinstance(files.format, Parquet):
                return files.format.columns(file, where)
            pieces = unpacked_file(pieces_of(file), files.compression, where, max_expansion)
            text, whole = _beginning(pieces)
            return files.format.sampled(text, table=table, where=where, whole=whole)
    except ObjectNotFound as error:
        raise PlanLost(where, "it is gone since it was listed", "Run it again once nobody takes files away.") from error


def united_columns(schema: pa.Schema, file_column: str | None) -> pa.Schema:
    """The columns of the files, and the one that names the file."""
    return schema if file_column is None else schema.append(pa.field(file_column, pa.string(), nullable=False))


def pieces_of(file: BinaryIO) -> Iterator[bytes]:
    """A file from front to back."""
    while piece := file.read(_PIECE):
        yield piece


def _beginning(pieces: Iterator[bytes]) -> tuple[bytes, bool]:
    """About so many bytes as are looked at, with a whole line at least; and whether this is all of the file."""
    text, most = bytearray(), _SAMPLED_BYTES
    for piece in pieces:
        text += piece
        if len(text) >= most:
            if len(text) >= _LONGEST_BYTES or b"\n" in text:
                return bytes(text), False
            most = 2 * len(text)
    return bytes(text), True
