"""Reading: a selection of rows becomes RecordBatches.

Two strategies stand behind one seam. `AdbcReader` lets the ADBC driver decode COPY BINARY in C++; what it gives in a
form of its own, or wraps in silence, is checked and put right here, on whole columns. `copy_binary.CopyBinaryReader` is
the plain reference in Python that the tests hold it against.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as adbc  # type: ignore[import-untyped]
import pyarrow as pa
from adbc_driver_postgresql import StatementOptions
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from de_classes.contracts import Batch
from de_classes.errors import PostgresError, PostgresUnreachable
from de_classes.utils.schemas import without_rows

from ._errors import postgres_errors, translated
from .arriving import Arriving
from .arrow_values import to_table_type
from .selection import Selection

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from de_classes.errors import DeClassesError, ValueNotHeld

    from .client import PostgresClient
    from .types import Column

__all__ = ["AdbcReader", "QueryReader", "Selection"]


class QueryReader(Protocol):
    """A way to read; picklable. The batches' records have the selection's schema, and one comes at least."""

    def read(self, client: PostgresClient, selection: Selection) -> Iterator[Batch]:
        """Read over a connection of its own.

        Raises:
            ValueNotHeld: a value has no place in the Arrow type, and the policy is to fail; the row is counted from 0
                in the selection, and named by its key or its place.

        """
        ...


@dataclass(frozen=True, slots=True)
class AdbcReader:
    """Reads with the ADBC driver for PostgreSQL; `batch_bytes` is about the size of a batch."""

    batch_bytes: int = 4 * 2**20

    def read(self, client: PostgresClient, selection: Selection) -> Iterator[Batch]:
        """Stream the rows; memory holds a batch or two."""
        first_row, arriving = 0, Arriving(client, selection)
        with ExitStack() as opened:
            with _adbc_errors(selection.subject):
                reader = self._opened(opened, client, selection)
            while True:
                with _adbc_errors(selection.subject):
                    raw = next(reader, None)
                if raw is None:
                    break
                if raw.num_rows:
                    yield _put_right(raw, arriving, first_row)
                    first_row += raw.num_rows
        if not first_row:
            yield Batch(without_rows(selection.schema))

    def _opened(self, opened: ExitStack, client: PostgresClient, selection: Selection) -> pa.RecordBatchReader:
        with ExitStack() as first:
            reader = self._asked(first, client.conninfo, client.session, selection)
            if not any(_is_undecoded(type_) for type_ in reader.schema.types):
                opened.push(first.pop_all())
                return reader
        # The driver learns the types' names as it connects, and takes none for its own where they come in quotes.
        options = f"{conninfo_to_dict(client.conninfo).get('options') or ''} -c quote_all_identifiers=off".strip()
        return self._asked(opened, make_conninfo(client.conninfo, options=options), client.session, selection)

    def _asked(
        self, opened: ExitStack, conninfo: str, session: Sequence[str], selection: Selection
    ) -> pa.RecordBatchReader:
        # Transactions are begun by our own statement, so that the driver's does not come before it.
        connection = opened.enter_context(adbc.connect(conninfo, autocommit=True))
        cursor = opened.enter_context(connection.cursor())
        for statement in (*session, *selection.begin):
            cursor.execute(statement)
        cursor.adbc_statement.set_options(**{StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(self.batch_bytes)})
        cursor.execute(selection.sql)
        reader: pa.RecordBatchReader = cursor.fetch_record_batch()
        return reader


def _is_undecoded(type_: pa.DataType) -> bool:
    """Whether the driver hands bytes on as they came; numbers without a precision are text, and opaque as well."""
    inner = getattr(type_, "value_type", type_)
    return isinstance(inner, pa.OpaqueType) and pa.types.is_binary(inner.storage_type)


@contextmanager
def _adbc_errors(subject: str) -> Iterator[None]:
    """Translate also what a stream says once it flows: then the driver's errors come as Arrow's, without a code."""
    try:
        with postgres_errors(subject):
            yield
    except (OSError, pa.ArrowException) as error:
        raise _of_stream(error, subject) from error


def _of_stream(error: Exception, subject: str) -> DeClassesError:
    wrapped = translated(adbc_driver_manager.OperationalError(str(error), status_code=0), subject)
    if isinstance(wrapped, PostgresUnreachable):
        return wrapped
    return PostgresError(wrapped.subject, wrapped.fact, wrapped.remedy, sqlstate=None)


def _put_right(raw: pa.RecordBatch, arriving: Arriving, first_row: int) -> Batch:
    """Make the type table's values of the driver's, and refuse what it wrapped or could not tell."""
    selection = arriving.selection
    count = len(selection.columns)
    columns, hidden = raw.columns[:count], raw.columns[count:]
    if len(hidden) == 1:
        arriving.refuse_arrays(hidden[0], first_row)
    decoded = []
    for array, column, wire in zip(columns, selection.read, selection.wires, strict=True):

        def refuse(at: int, what: str, column: Column = column) -> ValueNotHeld:
            return arriving.refused(column, first_row + at, what)

        decoded.append(to_table_type(array, wire.sent, refuse))
    return arriving.batch(decoded, hidden, first_row)
