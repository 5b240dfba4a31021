"""Files of any format are read back as what was written, under the columns that are asked for."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from de_classes.errors import ConfigurationError, DatasetError, ObjectNotFound
from de_classes.storage.objects._entry import decode_schema
from de_classes.storage.objects._errors import BeyondEnd
from de_classes.storage.objects._storable import as_asked
from de_classes.storage.objects._text import unpacked
from de_classes.storage.objects.csv import CsvFormat
from de_classes.storage.objects.ndjson import NdjsonFormat
from de_classes.storage.objects.parquet import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from de_classes.contracts import JsonValue
    from de_classes.storage.objects._state import Piece
    from de_classes.storage.objects.store import ObjectStore

__all__ = ["format_of", "read_text"]

_FORMATS: Mapping[str, Any] = {"csv": CsvFormat, "ndjson": NdjsonFormat}


def format_of(told: Mapping[str, JsonValue], where: str) -> CsvFormat | NdjsonFormat:
    """The format that a log tells of.

    Raises:
        DatasetError: this version knows none of that name and options.

    """
    options: Any = told.get("options")
    try:
        form: CsvFormat | NdjsonFormat = _FORMATS[str(told.get("name"))](**options)
    except (KeyError, TypeError, ConfigurationError) as error:
        raise DatasetError(where, f"its format is not known: {dict(told)!r}", "Update de-classes.") from error
    return form


def read_text(
    store: ObjectStore, key: str, piece: Piece, schema: pa.Schema, batch_bytes: int
) -> Iterator[pa.RecordBatch]:
    """The rows of a file of text, under the columns that it was written with or others that these have grown into.

    Raises:
        DatasetError: the file is gone, or is not what was written.
        CountMismatch: it does not have the rows that were written.

    """
    file, where, passed = piece.file, f"{store.url}/{key}", 0
    told = file.format or {}
    form = format_of(told, where)
    widest, columns = told.get("widest"), told.get("schema")
    if not isinstance(widest, int) or not isinstance(columns, str):
        raise DatasetError(where, "the log does not say its columns", "Restore the log as it was written.")
    with _readable(where), store.open_reader(key, size=file.bytes) as raw:
        plain = unpacked(raw, form.options["compression"])
        written = decode_schema(columns) or schema
        for batch in form.read(plain, written, widest, batch_bytes):
            wanted = batch.slice(min(max(piece.skip - passed, 0), batch.num_rows))
            passed += batch.num_rows
            if wanted.num_rows:
                yield as_asked(wanted, schema, where)
    counted(store, key, "it gave", passed, file.rows)


@contextmanager
def _readable(where: str) -> Iterator[None]:
    try:
        yield
    except ObjectNotFound as error:
        raise DatasetError(where, "the file is gone", "Restore it, or load it anew.") from error
    except (ValueError, OSError, EOFError, BeyondEnd) as error:
        told = str(error).splitlines()[0] if str(error) else "it ends too early"
        raise DatasetError(
            where, f"the file cannot be read as what was written: {told}", "Restore the file as it was written."
        ) from error
