"""What a commit does to the target: it is made or grows, staged rows become its own, and what is gone is deleted.

All in the one transaction of the commit, which somebody else begins and ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from de_classes.contracts import Mode
from de_classes.errors import SchemaMismatch
from de_classes.utils.faults import reach

from ._waiting import not_for_long
from .adopting import adopt
from .altering import create, grow, lock
from .catalogue import oid_in_catalogue, table_in_catalogue
from .creating import only_one
from .declaring import declare, take_turns
from .deleting import Closing, Deletes, Deleting, Marking
from .growing import coming_columns
from .history import History, check_history, history_ddl, refuse_taken
from .loaded_items import LoadedItems
from .moving import Move, check_in_place, check_merge_key
from .placing import EVOLVE, place
from .quarantine import Quarantine
from .referring import referring_from_outside
from .sharing import staged_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg
    import pyarrow as pa

    from de_classes.contracts import Receipt, Stream

    from .catalogue import Table
    from .destination import PostgresDestination
    from .growing import Change
    from .identifiers import TableName
    from .sharing import StagedTable
    from .state import State
    from .types import Column

__all__ = ["Published", "Publishing"]


@dataclass(frozen=True, slots=True)
class Published:
    """What a commit has done."""

    has_table: bool
    """Whether there is a target now."""
    deleted: int | None
    """How many rows were deleted, or marked; None where nobody told which are alive."""


@dataclass(frozen=True, slots=True)
class Publishing:
    """Makes what a load has staged visible in its target."""

    destination: PostgresDestination
    stream: Stream
    mode: Mode
    state: State
    target: TableName
    primary_key: tuple[str, ...]

    def move(self, connection: psycopg.Connection[Any], receipts: Sequence[Receipt]) -> Published:
        """Make what is staged the table's.

        Raises:
            CountMismatch: a piece has not the rows of its receipt.
            SchemaMismatch: the columns are not the table's, or it cannot grow for them.
            ConfigurationError: the mode, or the declared keys and indexes, do not fit the table.

        """
        pieces = [receipt for receipt in receipts if "table" in receipt.details]
        declared = self.destination.declared.get(self.stream.name, ())
        take_turns(connection, self.target, declared)
        tables = staged_tables(self.state, pieces)
        adopted = self._make_missing(connection, pieces, tables)
        table, made = self._held(connection, pieces)
        if table is not None:
            self._check(connection, pieces, table)
        reach("postgres.commit.before_move")
        items = [item for receipt in receipts for item in receipt.items]
        loaded, deleted = LoadedItems(self.state), None
        changed = loaded.changed(connection, items) if self.mode is not Mode.REPLACE else []
        if table is not None:
            if adopted is None:
                loaded.replace_rows(connection, changed, self.target, table, self.mode)
            self._move_rows(connection, [one for one in tables if one is not adopted], table, made, adopted)
            if self.mode in {Mode.MERGE, Mode.HISTORY}:
                deleted = self._delete(connection, receipts)
            with not_for_long(connection):
                declare(connection, self.target, table.oid, declared)
        quarantine = Quarantine(self.destination.quarantine(self.stream.name), self.state.schema, self.state.pipeline)
        if self.mode is Mode.REPLACE:
            quarantine.empty(connection)
        quarantine.forget(connection, [item.place for item in changed if item.place is not None])
        quarantine.take(connection, receipts)
        loaded.remember(connection, items, anew=self.mode is Mode.REPLACE)
        reach("postgres.commit.after_move")
        return Published(table is not None, deleted)

    @property
    def _evolves(self) -> bool:
        return self.destination.schema_changes == "evolve"

    def _make_missing(
        self, connection: psycopg.Connection[Any], pieces: Sequence[Receipt], tables: Sequence[StagedTable]
    ) -> StagedTable | None:
        """Make the target if it is missing and there are columns to make it of; gives what was staged and became it."""
        columns = self._columns(pieces, self.stream.schema)
        if self.mode is Mode.HISTORY:
            refuse_taken(self.target, (column.name for of_one in columns for column in of_one))
        if not columns or oid_in_catalogue(connection, self.target) is not None:
            return None
        return self._create(connection, columns if self._evolves else columns[:1], tables)

    def _held(
        self, connection: psycopg.Connection[Any], pieces: Sequence[Receipt]
    ) -> tuple[Table | None, Sequence[Change]]:
        """The target, which nobody alters from now on, and how it is to grow; None where nobody knew its columns."""
        if oid_in_catalogue(connection, self.target) is None:
            return None, []
        if self._evolves:
            return lock(connection, self.target, self._columns(pieces), self.mode)
        return table_in_catalogue(connection, self.target), []

    def _check(self, connection: psycopg.Connection[Any], pieces: Sequence[Receipt], table: Table) -> None:
        """See that the target takes the columns of all pieces, and is one for this mode."""
        if not self._evolves:
            self._refuse_other_columns(pieces)
        for piece in pieces:
            if piece.schema is not None:
                place(str(self.target), piece.schema, table, self.primary_key, self.destination.schema_changes)
        if self.mode is Mode.MERGE:
            check_merge_key(connection, self.target, table, self.primary_key)
        if self.mode is Mode.HISTORY:
            check_history(self.target, table)

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
        only_one(connection, self.target)
        before = oid_in_catalogue(connection, self.target)
        create(connection, self.target, columns, (), lambda _: None)
        if before is None:
            for statement in history_ddl(self.target, self.primary_key):
                connection.execute(statement.encode())
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
        referred = referring_from_outside(connection, table) if replaces else []
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
        check_in_place(connection, self.target, table, self.primary_key, referred)
        move = Move(self.target, Mode.MERGE, self.primary_key)
        table = grow(connection, self.target, table, made)
        move.keep_only(connection, staged, table)
        for one in staged:
            move.run(connection, one, table)
        move.check_replaced(connection, staged)

    def _delete(self, connection: psycopg.Connection[Any], receipts: Sequence[Receipt]) -> int | None:
        """Delete or mark what is gone at the source, where the pieces tell what is alive."""
        to = self.destination
        ends = Closing() if self.mode is Mode.HISTORY else Marking(to.mark_deleted) if to.mark_deleted else Deleting()
        deletes = Deletes(self.target, self.state.schema, self.primary_key, to.max_deleted_share, ends)
        return deletes.apply(connection, receipts)

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
