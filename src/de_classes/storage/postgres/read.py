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

from de_classes.contracts import Batch
from de_classes.errors import PostgresError, PostgresUnreachable
from de_classes.utils.schemas import without_rows

from ._errors import postgres_errors, translated
from .arrow_values import refused, to_table_type
from .identifiers import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from de_classes.errors import DeClassesError

    from .arrow_values import Array
    from .client import PostgresClient
    from .types import Column, Unheld

__all__ = ["AdbcReader", "QueryReader", "Selection"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows to be read: columns of a table, a view or a query, perhaps a range of it, perhaps under a snapshot."""

    subject: str
    """What errors call it: `public.orders`, `query 'paid'`."""
    columns: tuple[Column, ...]
    origin: str
    """What stands after FROM."""
    where: str = ""
    snapshot: str | None = None
    """One that a transaction that is still open has exported."""
    unheld: Unheld = "fail"
    """What is done with values that Arrow has no place for."""

    @property
    def schema(self) -> pa.Schema:
        """The schema of every batch."""
        return pa.schema([column.field for column in self.columns])

    @property
    def guarded(self) -> Sequence[Column]:
        """The columns whose values the last, hidden column of the query watches over."""
        return [column for column in self.columns if column.type.array]

    @property
    def sql(self) -> str:
        """The query. An array that a list cannot hold comes as NULL, its column's number (from 1) in a last column."""
        chosen = [self._chosen(column) for column in self.columns]
        if self.guarded:
            cases = " ".join(f"WHEN {_no_list(column)} THEN {n}" for n, column in enumerate(self.guarded, 1))
            chosen.append(f"CASE {cases} ELSE 0 END")
        where = f" WHERE {self.where}" if self.where else ""
        return f"SELECT {', '.join(chosen)} FROM {self.origin}{where}"

    def _chosen(self, column: Column) -> str:
        name = quoted(column.name)
        return f"CASE WHEN {_no_list(column)} THEN NULL ELSE {name} END AS {name}" if column.type.array else name

    @property
    def begin(self) -> Sequence[str]:
        """The statements that begin a transaction in which the selection is always the same, in the same order.

        A parallel plan gives rows as they come, and a sequential scan may join another one in the middle.
        """
        begin = ["BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"]
        if self.snapshot is not None:
            begin.append(f"SET TRANSACTION SNAPSHOT '{self.snapshot}'")
        return [*begin, "SET LOCAL synchronize_seqscans TO off", "SET LOCAL max_parallel_workers_per_gather TO 0"]


def _no_list(column: Column) -> str:
    """Whether an array has more dimensions than one, or is not counted from 1: SQL, never NULL."""
    name = quoted(column.name)
    return f"coalesce(array_ndims({name}) > 1 OR array_lower({name}, 1) <> 1, false)"


class QueryReader(Protocol):
    """A way to read; picklable. The batches' records have the selection's schema, and there is at least one."""

    def read(self, client: PostgresClient, selection: Selection) -> Iterator[Batch]:
        """Read over a connection of its own.

        Raises:
            ValueNotHeld: a value has no place in the Arrow type; the row is counted from 0 in the selection.

        """
        ...


@dataclass(frozen=True, slots=True)
class AdbcReader:
    """Reads with the ADBC driver for PostgreSQL; `batch_bytes` is about the size of a batch."""

    batch_bytes: int = 4 * 2**20

    def read(self, client: PostgresClient, selection: Selection) -> Iterator[Batch]:
        """Stream the rows; memory holds a batch or two."""
        first_row = 0
        with ExitStack() as opened:
            with _adbc_errors(selection.subject):
                reader = self._opened(opened, client, selection)
            while True:
                with _adbc_errors(selection.subject):
                    raw = next(reader, None)
                if raw is None:
                    break
                if raw.num_rows:
                    yield Batch(_put_right(raw, selection, first_row))
                    first_row += raw.num_rows
        if not first_row:
            yield Batch(without_rows(selection.schema))

    def _opened(self, opened: ExitStack, client: PostgresClient, selection: Selection) -> Iterator[pa.RecordBatch]:
        # Transactions are begun by our own statement, so that the driver's does not come before it.
        connection = opened.enter_context(adbc.connect(client.conninfo, autocommit=True))
        cursor = opened.enter_context(connection.cursor())
        for statement in (*client.session, *selection.begin):
            cursor.execute(statement)
        cursor.adbc_statement.set_options(**{StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(self.batch_bytes)})
        cursor.execute(selection.sql)
        return iter(cursor.fetch_record_batch())


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


def _put_right(raw: pa.RecordBatch, selection: Selection, first_row: int) -> pa.RecordBatch:
    """Make the type table's values of the driver's, and refuse what it wrapped or could not tell."""
    columns = raw.columns
    if selection.guarded:
        _refuse_arrays(columns.pop(), selection, first_row)
    return pa.RecordBatch.from_arrays(
        [
            to_table_type(array, column, selection.subject, first_row)
            for array, column in zip(columns, selection.columns, strict=True)
        ],
        schema=selection.schema,
    )


def _refuse_arrays(guard: Array, selection: Selection, first_row: int) -> None:
    """Raise ValueNotHeld for the first array that the hidden column found to be no list."""
    numbers = guard.to_numpy(zero_copy_only=False)
    if numbers.any():
        row = int(numbers.nonzero()[0][0])
        column = selection.guarded[int(numbers[row]) - 1]
        raise refused(
            selection.subject, column.name, first_row + row, "an array with several dimensions, or not counted from 1,"
        )
