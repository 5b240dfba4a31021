"""What an interrupted load had staged: taken over where it is whole and can still be moved, dropped otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .catalogue import table_in_catalogue
from .growing import changes, coming_columns, is_void, wider
from .identifiers import TableName
from .sharing import may_share, staged_tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import psycopg

    from de_classes.contracts import Mode, Receipt

    from .catalogue import Table
    from .sharing import StagedTable
    from .state import State
    from .types import PgType

__all__ = ["TakeOver", "fits"]


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Takes over for a load of this mode into the target as it is, which evolves or not."""

    target: Table | None
    mode: Mode
    evolves: bool

    def complete(self, connection: psycopg.Connection[Any], state: State, epoch: int) -> Mapping[str, Receipt]:
        """Take over what is staged, and drop what is good no more; what is in one table, together.

        A crash of the server empties unlogged tables; a target that was altered since needs other staging tables; and
        where the last row of a key counts, one that pieces share is no good.
        """
        tables: dict[str, list[tuple[str, Receipt]]] = {table: [] for table, _ in state.opened(connection, epoch)}
        for label, piece in state.entered(connection, epoch):
            tables.setdefault(str(piece.details.get("table", label)), []).append((label, piece))
        staged: dict[str, Receipt] = {}
        for table, labelled in tables.items():
            pieces = [piece for _, piece in labelled]
            if pieces and self._are_whole(connection, state, pieces):
                staged |= {piece.split_id: piece for piece in pieces}
            else:
                state.forget(connection, list({table, *(label for label, _ in labelled)}))
        return staged

    def _are_whole(self, connection: psycopg.Connection[Any], state: State, pieces: Sequence[Receipt]) -> bool:
        if len(pieces) > 1 and not may_share(self.mode):
            return False
        beside = [
            (TableName(state.schema, str(piece.details[kind])), rows)
            for piece in pieces
            for kind, rows in (("rejected", piece.rejected), ("alive", piece.alive))
            if kind in piece.details
        ]
        if not all(table_in_catalogue(connection, name) and _count(connection, name.sql) == n for name, n in beside):
            return False
        return all(
            self._is_whole(connection, staged)
            for staged in staged_tables(state, (piece for piece in pieces if "table" in piece.details))
        )

    def _is_whole(self, connection: psycopg.Connection[Any], staged: StagedTable) -> bool:
        found = table_in_catalogue(connection, staged.name)
        if found is None or not fits(found, self.target, staged.pieces[0], evolves=self.evolves):
            return False
        return _count(connection, staged.source) == staged.rows


def _count(connection: psycopg.Connection[Any], rows: str) -> int:
    (count,) = connection.execute(f"SELECT count(*) FROM {rows}".encode()).fetchone() or (0,)
    return int(count)


def fits(staged: Table, target: Table | None, receipt: Receipt, *, evolves: bool) -> bool:
    """Whether a commit can move rows from a staging table into the target, as it is or as it grows for them.

    Only without any doubt about a value: what a column may refuse is copied again, so that the error names the row.
    """
    if target is None or receipt.schema is None:
        return True  # enums come into being with the target
    coming = coming_columns("staged", receipt.schema)
    becomes = {column.name: column.type for column in target.columns}
    if evolves:
        made = changes("staged", [coming], target)
        becomes |= {change.column: change.becomes for change in made if not change.optional}
    types = {column.name: column.type for column in coming}
    return all(_moves(becomes.get(c.name), c.type, types.get(c.name, c.type)) for c in staged.columns)


def _moves(wanted: PgType | None, written: PgType, coming: PgType) -> bool:
    if wanted is None:
        return False
    return wanted in {written, wider(wanted, written)} or wanted.staged == written or is_void(coming)
