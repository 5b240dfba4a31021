"""A load into one table: pieces are staged by workers, and made visible by one commit."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from de_classes.contracts import Mode
from de_classes.errors import ConfigurationError, Overtaken, PostgresUnreachable, SchemaMismatch
from de_classes.utils.faults import reach

from ._errors import postgres_errors
from ._waiting import not_for_long
from .adopting import adopt
from .altering import create, grow, lock
from .catalogue import table_in_catalogue
from .declaring import declare, take_turns
from .deleting import Closing, Deletes, Deleting, Marking
from .growing import coming_columns
from .handing_over import HandingOver
from .history import History, check_history, make_history, refuse_taken
from .identifiers import TableName, shortened
from .loaded_items import LoadedItems
from .moving import Move, check_merge_key
from .placing import EVOLVE, place
from .quarantine import Quarantine
from .reading_back import StagedRows
from .referring import references
from .sharing import Sharing, may_share, staged_tables
from .staging import Staging

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from de_classes.contracts import Batch, Position, Receipt, Split, Stream

    from .catalogue import Table
    from .client import PostgresClient
    from .destination import PostgresDestination
    from .growing import Change
    from .sharing import StagedTable
    from .state import State
    from .types import Column

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
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    """What tells its staging tables from those of another run that goes on where this one stopped."""

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
        """The sum of what is staged of a piece."""
        name = TableName(self.state.schema, str(receipt.details["table"]))
        if receipt.schema is None:
            raise AssertionError(receipt)  # there is a table, so there were columns
        return StagedRows(self.client, name, receipt.schema).checksum(columns)

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
            Sharing(self.state, self.epoch, self.run) if may_share(self.mode) else None,
            replaces,
        )

    def commit(self, receipts: Sequence[Receipt], position: Position | None) -> None:
        """Move the pieces into the table in this order, and the position with them.

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
        reach("postgres.commit.after_position")
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
        pieces = [receipt for receipt in receipts if "table" in receipt.details]
        declared = self.destination.declared.get(self.stream.name, ())
        take_turns(connection, self.target, declared)
        tables = staged_tables(connection, self.state, pieces)
        table, made, adopted = self._table_for(connection, pieces, tables)
        reach("postgres.commit.before_move")
        items = [item for receipt in receipts for item in receipt.items]
        loaded = LoadedItems(self.state)
        if table is not None:
            if items and adopted is None and self.mode is not Mode.REPLACE:
                loaded.replace_rows(connection, items, self.target, table, self.mode)
            self._move_rows(connection, [one for one in tables if one is not adopted], table, made, adopted)
            if self.mode in {Mode.MERGE, Mode.HISTORY}:
                self._delete(connection, receipts)
            with not_for_long(connection):
                declare(connection, self.target, table.oid, declared)
        quarantine = Quarantine(self.destination.quarantine(self.stream.name), self.state.schema, self.state.pipeline)
        if self.mode is Mode.REPLACE:
            quarantine.empty(connection)
        quarantine.take(connection, receipts)
        loaded.remember(connection, items, anew=self.mode is Mode.REPLACE)
        reach("postgres.commit.after_move")
        return table is not None

    def _table_for(
        self, connection: psycopg.Connection[Any], pieces: Sequence[Receipt], tables: Sequence[StagedTable]
    ) -> tuple[Table | None, Sequence[Change], StagedTable | None]:
        """The target, made if it is missing and there are columns to make it of, and how it is to grow: then locked.

        Where a staging table became it, that, too.
        """
        target, evolves = self.target, self.destination.schema_changes == "evolve"
        columns = self._columns(pieces, self.stream.schema)
        if self.mode is Mode.HISTORY:
            refuse_taken(target, (column.name for of_one in columns for column in of_one))
        adopted = None
        if table_in_catalogue(connection, target) is None and columns:
            adopted = self._create(connection, columns if evolves else columns[:1], tables)
        table = table_in_catalogue(connection, target)
        made: Sequence[Change] = []
        if table is None:
            return None, made, None
        if evolves:
            table, made = lock(connection, target, self._columns(pieces), self.mode)
        else:
            self._refuse_other_columns(pieces)
        for piece in pieces:
            if piece.schema is not None:
                place(str(target), piece.schema, table, self.primary_key, self.destination.schema_changes)
        if self.mode is Mode.MERGE:
            check_merge_key(connection, target, table, self.primary_key)
        if self.mode is Mode.HISTORY:
            check_history(target, table)
        return table, made, adopted

    def _create(
        self, connection: psycopg.Connection[Any], columns: Sequence[Sequence[Column]], tables: Sequence[StagedTable]
    ) -> StagedTable | None:
        """Make the target, of what is staged if that can be it; a history has more columns than any piece."""
        if self.mode is not Mode.HISTORY:
            return create(
                connection,
                self.target,
                columns,
                self.primary_key,
                lambda together: adopt(
                    connection, self.target, together, self.primary_key, tables, self.state, self.mode
                ),
            )
        before = table_in_catalogue(connection, self.target)
        create(connection, self.target, columns, (), lambda _: None)
        if before is None:
            make_history(connection, self.target, self.primary_key)
        return None

    def _columns(self, pieces: Sequence[Receipt], otherwise: pa.Schema | None = None) -> list[list[Column]]:
        """The columns of every piece, or if there is none, of another schema: such as a table can be made of."""
        schemas = [piece.schema for piece in pieces if piece.schema is not None]
        schemas = schemas or ([otherwise] if otherwise is not None else [])
        for schema in schemas:
            place(str(self.target), schema, None, self.primary_key)
        return [coming_columns(str(self.target), schema) for schema in schemas]

    def _move_rows(
        self,
        connection: psycopg.Connection[Any],
        staged: Sequence[StagedTable],
        table: Table,
        made: Sequence[Change],
        adopted: StagedTable | None,
    ) -> None:
        """Move what is not in the table already."""
        move = Move(self.target, self.mode, self.primary_key)
        replaces = self.mode is Mode.REPLACE and adopted is None
        referred = [str(key) for key in references(connection, table) if not key.within] if replaces else []
        if referred:
            self._replace_in_place(connection, staged, table, made, referred)
            return
        if replaces:
            move.empty(connection, table, truncate=self.destination.truncate)
        table = grow(connection, self.target, table, made)
        if self.mode is Mode.HISTORY:
            History(move).run(connection, staged, table)
            return
        for one in staged:
            move.run(connection, one, table)

    def _replace_in_place(
        self,
        connection: psycopg.Connection[Any],
        staged: Sequence[StagedTable],
        table: Table,
        made: Sequence[Change],
        referred: Sequence[str],
    ) -> None:
        """Replace rows that others refer to: those that stay, by their key, are updated and never gone."""
        if not self.primary_key:
            raise ConfigurationError(
                f"table {self.target}",
                f"its rows cannot all be deleted and written anew, since others refer to them: {', '.join(referred)}",
                "Give the stream a primary key, by which the rows that stay are found.",
            )
        check_merge_key(connection, self.target, table, self.primary_key)
        move = Move(self.target, Mode.MERGE, self.primary_key)
        table = grow(connection, self.target, table, made)
        move.keep_only(connection, staged, table)
        for one in staged:
            move.run(connection, one, table)
        move.check_replaced(connection, staged)

    def _delete(self, connection: psycopg.Connection[Any], receipts: Sequence[Receipt]) -> None:
        """Delete or mark what is gone at the source, where the pieces tell what is alive."""
        to = self.destination
        ends = Closing() if self.mode is Mode.HISTORY else Marking(to.mark_deleted) if to.mark_deleted else Deleting()
        Deletes(self.target, self.state.schema, self.primary_key, to.max_deleted_share, ends).apply(
            connection, receipts
        )

    def _refuse_other_columns(self, pieces: Sequence[Receipt]) -> None:
        """See that all pieces have the same columns: one that lacks some would get NULL in them."""
        found = sorted({tuple(sorted(piece.schema.names)) for piece in pieces if piece.schema is not None})
        if len(found) > 1:
            told = " and ".join(f"({', '.join(names)})" for names in found[:3])
            raise SchemaMismatch(
                f"table {self.target}",
                f"its splits come with different columns: {told}",
                f"Give every split of a stream the same columns. {EVOLVE}",
            )

    def _was_committed(self, commit_id: str, backend: _Backend) -> bool:
        """Look over a new connection whether a commit whose answer was lost took place."""
        deadline = time.monotonic() + self.client.connect_timeout_seconds
        while True:
            try:
                with self.client.connect() as connection:
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
