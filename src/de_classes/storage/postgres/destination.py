"""Tables of PostgreSQL as a destination: rows, position and epoch commit in one transaction."""

from __future__ import annotations

import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from de_classes.contracts import Mode
from de_classes.errors import ConfigurationError, Overtaken, PostgresUnreachable, SchemaMismatch
from de_classes.utils.faults import reach

from ._errors import postgres_errors
from .catalogue import table_in_catalogue
from .client import PostgresClient
from .encode import CsvEncoder
from .identifiers import TableName, quoted, shortened
from .moving import Move, check_merge_key, create_table
from .placing import place
from .staging import stage
from .state import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from de_classes.configs.secrets import Secret
    from de_classes.contracts import Batch, Position, Receipt, Stream

    from .catalogue import Table
    from .encode import CopyEncoder

__all__ = ["PostgresDestination", "PostgresLoad"]

_SHORT = 60
"""Characters of a statement that errors show."""


class PostgresDestination:
    """Loads streams into tables of one schema, called after the streams; creates those that are missing.

    Splits are copied into tables of their own in `state_schema`; the commit moves them into the target, together with
    the position, in one transaction. `state_schema` is created on first use and may serve many pipelines.

    To replace, the old rows are deleted, so that nobody ever sees the table without rows; with `truncate` they go
    faster, but a transaction that began earlier and reads later sees none. To merge, rows that are the same already are
    not written again.
    """

    def __init__(
        self,
        client: PostgresClient | str | Secret,
        *,
        schema: str = "public",
        state_schema: str = "de_classes",
        truncate: bool = False,
        encoder: CopyEncoder | None = None,
    ) -> None:
        for name in (schema, state_schema):
            quoted(name)  # refuses what is no name
        self.client = client if isinstance(client, PostgresClient) else PostgresClient(client)
        self.schema = schema
        self.state_schema = shortened(state_schema)
        self.truncate = truncate
        self.encoder = encoder or CsvEncoder()

    def __repr__(self) -> str:
        return f"PostgresDestination({self.client!r}, schema={self.schema!r})"

    def table(self, stream: str) -> TableName:
        """The table that a stream goes into; a name over 63 bytes is shortened with a hash."""
        return TableName(shortened(self.schema), shortened(stream))

    def position(self, pipeline: str, stream: Stream) -> Position | None:
        """The position in the last commit of the pipeline to this stream; None when its table was dropped since."""
        state = self._state(pipeline, stream)
        with self.client.connect() as connection:
            if not state.exists(connection):
                return None
            there = table_in_catalogue(connection, self.table(stream.name)) is not None
            return state.position(connection, has_table=there)

    @contextmanager
    def begin(self, pipeline: str, stream: Stream, mode: Mode) -> Iterator[PostgresLoad]:
        """Begin a load; pieces of an interrupted one that are still complete are offered, others removed.

        Raises:
            ConfigurationError: the mode is merge and the stream has no primary key.

        """
        mode = Mode(mode)
        if mode is Mode.MERGE and not stream.primary_key:
            raise ConfigurationError(
                f"stream {stream.name!r}", "it has no primary key, so nothing can be merged", "Name one, or append."
            )
        state = self._state(pipeline, stream)
        with self.client.connect() as connection:
            state.ensure(connection)
            epoch = state.epoch(connection) or 0
            # Loads of earlier epochs are overtaken: whatever they left, they can never commit it.
            state.forget_up_to(connection, epoch - 1)
            staged = _complete(connection, state, epoch, table_in_catalogue(connection, self.table(stream.name)))
        yield PostgresLoad(self, stream, mode, state, epoch, staged)

    def execute(self, statements: Sequence[str]) -> list[int]:
        """Run SQL in one transaction; gives the number of rows each statement touched, -1 where there is none."""
        if isinstance(statements, str):
            raise ConfigurationError(repr(self), "statements is one string", "Give a list of statements.")
        touched = []
        with self.client.connect() as connection:
            for statement in statements:
                with postgres_errors(f"{self.client.address}, statement {_short(statement)!r}"):
                    touched.append(connection.execute(statement.encode()).rowcount)
        return touched

    def _state(self, pipeline: str, stream: Stream) -> State:
        return State(self.state_schema, pipeline, stream.name, str(self.table(stream.name)))


def _short(statement: str) -> str:
    text = " ".join(statement.split())
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 3]}..."


def _fits(staged: Table | None, target: Table | None) -> bool:
    """Whether rows can still be moved from a staging table into the target; enums come into being with the target."""
    if staged is None or target is None:
        return staged is not None
    types = {column.name: column.type for column in target.columns}
    there = [(column.type, types.get(column.name)) for column in staged.columns]
    return all(wanted is not None and (wanted == written or wanted.base == "enum") for written, wanted in there)


def _complete(
    connection: psycopg.Connection[Any], state: State, epoch: int, target: Table | None
) -> Mapping[str, Receipt]:
    """Take over what is staged, and drop what is good no more.

    A crash of the server empties unlogged tables; and a target that was altered since needs other staging tables.
    """
    staged: dict[str, Receipt] = {}
    for receipt in state.entered(connection, epoch):
        name = TableName(state.schema, str(receipt.details["table"]))
        if _fits(table_in_catalogue(connection, name), target) and connection.execute(
            f"SELECT count(*) FROM {name.sql}".encode()
        ).fetchone() == (receipt.rows,):
            staged[receipt.split_id] = receipt
        else:
            state.forget(connection, [name.table])
    return staged


@dataclass(frozen=True)
class PostgresLoad:
    """A load into one table."""

    destination: PostgresDestination
    stream: Stream
    mode: Mode
    state: State
    epoch: int
    staged: Mapping[str, Receipt] = field(default_factory=dict)

    @property
    def target(self) -> TableName:
        """The table that is loaded."""
        return self.destination.table(self.stream.name)

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The columns of the stream's key as the table calls them."""
        return tuple(map(shortened, self.stream.primary_key))

    def write(self, split_id: str, batches: Iterator[Batch]) -> Receipt:
        """Copy a split into a table of its own, and commit that together with its line in the ledger.

        Raises:
            ValueNotHeld: a value that the column cannot hold; the row is counted from 0 in the split.
            SchemaMismatch: the columns are not the table's; all differences are told.

        """
        target, key = self.target, self.primary_key
        with self.destination.client.connect() as connection:
            return stage(connection, self.state, self.epoch, target, key, self.destination.encoder, split_id, batches)

    def commit(self, receipts: Sequence[Receipt], position: Position | None) -> None:
        """Move the pieces into the table in this order, and the position with them.

        Raises:
            Overtaken: another load of the pipeline to this stream was committed since this one began.
            CountMismatch: a piece has not the rows of its receipt.
            SchemaMismatch: the columns are not the table's.
            PostgresUnreachable: the connection broke. It was looked up that nothing is committed, unless the error says
                that this could not be found out; running again is right either way.

        """
        commit_id = uuid.uuid4().hex
        with postgres_errors(self.destination.client.address), self.destination.client.open() as connection:
            backend = _Backend.of(connection)
            connection.commit()
            self._prepare(connection, receipts, position, commit_id)
            reach("postgres.commit.before")
            try:
                connection.commit()
            except psycopg.OperationalError:
                if not self._was_committed(commit_id, backend):
                    raise
        reach("postgres.commit.after")

    def _prepare(
        self,
        connection: psycopg.Connection[Any],
        receipts: Sequence[Receipt],
        position: Position | None,
        commit_id: str,
    ) -> None:
        """Do everything of a commit but the last word."""
        connection.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        self._refuse_if_overtaken(connection)
        has_table = self._move(connection, receipts)
        self.state.advance(connection, position, commit_id, has_table=has_table)
        self.state.forget_up_to(connection, self.epoch)

    def _refuse_if_overtaken(self, connection: psycopg.Connection[Any]) -> None:
        epoch = self.state.epoch(connection, lock=True)
        if epoch != self.epoch:
            raise Overtaken(
                f"pipeline {self.state.pipeline!r}, stream {self.stream.name!r}",
                f"another run has committed since this one began (commit {epoch}, not {self.epoch})",
                "Nothing was changed; run it again to go on from there.",
            )

    def _move(self, connection: psycopg.Connection[Any], receipts: Sequence[Receipt]) -> bool:
        """Move what is staged; whether there is a table now."""
        target, key = self.target, self.primary_key
        pieces = [receipt for receipt in receipts if "table" in receipt.details]
        table = table_in_catalogue(connection, target)
        schema = next((piece.schema for piece in pieces if piece.schema is not None), self.stream.schema)
        if table is None and schema is not None:
            create_table(connection, target, schema, key)
            table = table_in_catalogue(connection, target)
        if table is None:
            return False
        self._refuse_other_columns(pieces)
        for piece in pieces:
            if piece.schema is not None:
                place(str(target), piece.schema, table, key)
        if self.mode is Mode.MERGE:
            check_merge_key(connection, target, table, key)
        move = Move(target, self.state.schema, self.mode, key)
        reach("postgres.commit.before_move")
        if self.mode is Mode.REPLACE:
            move.empty(connection, table, truncate=self.destination.truncate)
        for piece in pieces:
            move.run(connection, piece, table)
        reach("postgres.commit.after_move")
        return True

    def _refuse_other_columns(self, pieces: Sequence[Receipt]) -> None:
        """See that all pieces have the same columns: one that lacks some would get NULL in them."""
        found = sorted({tuple(sorted(piece.schema.names)) for piece in pieces if piece.schema is not None})
        if len(found) > 1:
            told = " and ".join(f"({', '.join(names)})" for names in found[:3])
            raise SchemaMismatch(
                f"table {self.target}",
                f"its splits come with different columns: {told}",
                "Give every split of a stream the same columns.",
            )

    def _was_committed(self, commit_id: str, backend: _Backend) -> bool:
        """Look over a new connection whether a commit whose answer was lost took place."""
        deadline = time.monotonic() + self.destination.client.connect_timeout_seconds
        while True:
            try:
                with self.destination.client.connect() as connection:
                    backend.end(connection)
                    return self.state.was_committed(connection, commit_id)
            except PostgresUnreachable as error:
                if time.monotonic() >= deadline:
                    raise PostgresUnreachable(
                        f"table {self.target}",
                        "the connection broke while the load was being committed, and the server cannot be asked"
                        f" whether it was: {error.fact}",
                        "Run it again: it finds out, and goes on from there.",
                        sqlstate=None,
                    ) from error
                time.sleep(0.2)


@dataclass(frozen=True, slots=True)
class _Backend:
    """The server's process behind a connection; with its start, since process numbers come again."""

    pid: int
    started: Any

    @classmethod
    def of(cls, connection: psycopg.Connection[Any]) -> _Backend:
        row = connection.execute(
            "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        ).fetchone()
        return cls(*(row or (0, None)))

    def end(self, connection: psycopg.Connection[Any]) -> None:
        """End it, so that a COMMIT that has not arrived never will, and its locks are free."""
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND backend_start = %s",
            (self.pid, self.started),
        )
