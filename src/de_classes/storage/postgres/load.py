"""A load into one table: pieces are staged by workers, and made visible by one commit."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import psycopg

from de_classes.contracts import Mode
from de_classes.errors import DeClassesError, Overtaken, PostgresUnreachable
from de_classes.utils.faults import reach

from ._errors import postgres_errors
from .handing_over import HandingOver
from .identifiers import TableName, shortened
from .publishing import Publishing
from .reading_back import StagedRows
from .sharing import Sharing, may_share
from .staging import Staging

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from de_classes.contracts import Batch, Position, Receipt, Split, Stream

    from .client import PostgresClient
    from .destination import PostgresDestination
    from .publishing import Published
    from .state import State

__all__ = ["PostgresLoad"]


@dataclass(frozen=True)
class PostgresLoad:
    """A load into one table."""

    destination: PostgresDestination
    stream: Stream
    mode: Mode
    state: State
    epoch: int
    staged: Mapping[str, Receipt] = field(default_factory=dict)
    pieces: int = 1
    """How many pieces will be written: many share a table, while one is better off with its own."""
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    """What tells the tables that its pieces share from those of another run that goes on where this one stopped."""

    def expecting(self, pieces: int) -> PostgresLoad:
        """The same load, told how many pieces will be written to it."""
        return replace(self, pieces=pieces)

    @property
    def client(self) -> PostgresClient:
        """Who loads, under a name that tells people at the server what is loaded."""
        return self.destination.client.working_on(f"{self.state.pipeline}, {self.stream.name}")

    @property
    def target(self) -> TableName:
        """The table that is loaded."""
        return self.destination.table(self.stream.name)

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The columns of the stream's key as the table calls them."""
        return tuple(map(shortened, self.stream.primary_key))

    def write(self, split_id: str, batches: Iterator[Batch]) -> Receipt:
        """Copy a split into a staging table, and commit that together with its line in the ledger.

        Rejected records go into another one beside it, and never fail a load by what is in their text; so do rows that
        the table cannot hold, where the destination is told to set them aside.

        Raises:
            ValueNotHeld: a value that the column cannot hold; the row is counted from 0 in the split.
            SchemaMismatch: the columns are not the table's, nor such as it could grow for; all differences are told.

        """
        with self.client.connect() as connection:
            return self._staging.write(connection, split_id, batches)

    def take(self, split_id: str, split: Split) -> Receipt | None:
        """Have the server copy a split of another PostgreSQL, or of its own, byte by byte; None where it must be rows.

        Raises:
            CountMismatch: the servers do not agree about how many rows there were.

        """
        with self.client.connect() as connection:
            return HandingOver(self._staging).take(connection, split_id, split)

    def checkable(self, schema: pa.Schema) -> Sequence[str]:
        """The columns of which the server gives back what it was given, and not another spelling of it."""
        with self.client.connect() as connection:
            return self._staging.checkable(connection, schema)

    def checksum(self, receipt: Receipt, columns: Sequence[str]) -> str:
        """The sum of what is staged of a piece.

        Raises:
            Overtaken: its table is gone since another load of the pipeline to this stream was committed.
            CountMismatch: its table is gone, and nobody says why.

        """
        name = TableName(self.state.schema, str(receipt.details["table"]))
        if receipt.schema is None:
            raise AssertionError(receipt)  # there is a table, so there were columns
        try:
            return StagedRows(self.client, name, receipt, receipt.schema).checksum(columns)
        except DeClassesError:
            # Whoever committed meanwhile has removed what can never be committed any more.
            with self.client.connect() as connection:
                self._refuse_if_overtaken(connection)
            raise

    @property
    def _staging(self) -> Staging:
        to, replaces = self.destination, self.mode is Mode.REPLACE
        return Staging(
            self.state,
            self.epoch,
            self.target,
            self.primary_key,
            to.encoder,
            to.schema_changes,
            to.unfit,
            Sharing(self.state, self.epoch, self.run) if self.pieces > 1 and may_share(self.mode) else None,
            replaces,
        )

    @property
    def _publishing(self) -> Publishing:
        return Publishing(self.destination, self.stream, self.mode, self.state, self.target, self.primary_key)

    def commit(self, receipts: Sequence[Receipt], position: Position | None) -> int | None:
        """Move the pieces into the table in this order, and the position with them; gives how many rows were deleted.

        Raises:
            Overtaken: another load of the pipeline to this stream was committed since this one began.
            CountMismatch: a piece has not the rows of its receipt.
            SchemaMismatch: the columns are not the table's, or it cannot grow for them.
            PostgresUnreachable: the connection broke. It was looked up that nothing is committed, unless the error says
                that this could not be found out; running again is right either way.

        """
        commit_id = uuid.uuid4().hex
        with postgres_errors(self.client.address), self.client.open() as connection:
            backend = _Backend.of(connection)
            connection.commit()
            published = self._prepare(connection, receipts, position, commit_id)
            reach("postgres.commit.before")
            try:
                connection.commit()
            except psycopg.OperationalError:
                if not self._was_committed(commit_id, backend):
                    raise
        reach("postgres.commit.after")
        return published.deleted

    def _prepare(
        self,
        connection: psycopg.Connection[Any],
        receipts: Sequence[Receipt],
        position: Position | None,
        commit_id: str,
    ) -> Published:
        """Do everything of a commit but the last word."""
        self._refuse_if_overtaken(connection)
        published = self._publishing.move(connection, receipts)
        self.state.advance(connection, position, commit_id, has_table=published.has_table)
        reach("postgres.commit.after_position")
        self.state.forget_up_to(connection, self.epoch)
        return published

    def _refuse_if_overtaken(self, connection: psycopg.Connection[Any]) -> None:
        epoch = self.state.epoch(connection, lock=True)
        if epoch != self.epoch:
            raise Overtaken(
                f"pipeline {self.state.pipeline!r}, stream {self.stream.name!r}",
                f"another run has committed since this one began (commit {epoch}, not {self.epoch})",
                "Nothing was changed; run it again to go on from there.",
            )

    def _was_committed(self, commit_id: str, backend: _Backend) -> bool:
        """Look over a new connection whether a commit whose answer was lost took place.

        Raises:
            PostgresUnreachable: that cannot be found out.

        """
        deadline = time.monotonic() + self.client.connect_timeout_seconds
        while True:
            try:
                with self.client.connect() as connection:
                    backend.end(connection)
                    known = self.state.was_committed(connection, self.epoch, commit_id)
                break
            except PostgresUnreachable as error:
                if time.monotonic() >= deadline:
                    raise self._unknown(f"the server cannot be asked whether it was: {error.fact}") from error
                time.sleep(0.2)
        if known is None:
            raise self._unknown("other runs have committed since, so that nobody can say whether it was")
        return known

    def _unknown(self, why: str) -> PostgresUnreachable:
        return PostgresUnreachable(
            f"table {self.target}",
            f"the connection broke while the load was being committed, and {why}",
            "Run it again: it goes on from what is there.",
            sqlstate=None,
        )


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
