"""Staging tables that pieces of a load share, where it makes a new table: what becomes that table is written once.

Of many pieces that are to come, the first with certain columns, of certain types, opens a table for them: an empty one
is committed, with a line in the ledger that says whose it is. It goes there, and so do all others, also at the same
time, each committed together with its line in the ledger as ever. Which rows are whose, the server knows: the number of
the transaction that wrote a row is its `xmin`, also after the row was frozen. What a piece that failed has left there
nobody sees, and autovacuum makes room of it. A piece that is to be the only one makes its table in its own transaction
instead: then nothing is left of it when it fails, and its rows are frozen as they are written.

A piece that is read back by itself, to verify its values, is looked for in the pages that the table had or got while
the piece was written; if these do not have all of its rows, in all pages. Pieces of which the last row of a key counts
are alone, since among others they would be in no order.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from de_classes.contracts import Mode

from ._waiting import wait_for_turn
from .identifiers import TableName
from .types import columns_of_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pyarrow as pa

    from de_classes.contracts import Receipt

    from .state import State

__all__ = [
    "Sharing",
    "StagedTable",
    "conditions",
    "may_share",
    "new_name",
    "pages",
    "staged_tables",
    "transaction_number",
]


def may_share(mode: Mode) -> bool:
    """Whether the order of rows means nothing in this mode."""
    return mode not in {Mode.MERGE, Mode.HISTORY}


@dataclass(frozen=True, slots=True)
class Sharing:
    """Finds room for pieces in the tables of one run, which is that of a load."""

    state: State
    epoch: int
    run: str

    def table(self, connection: psycopg.Connection[Any], schema: pa.Schema, make: Callable[[TableName], None]) -> str:
        """The table for pieces with this schema, held until the transaction ends; made where there is none.

        The transaction so far is committed then, and must have had no effect.
        """
        while (label := self._joined(connection, schema)) is None:
            self._open(connection, schema, make)
        return label

    def _joined(self, connection: psycopg.Connection[Any], schema: pa.Schema) -> str | None:
        opened = self.state.opened(connection, self.epoch, self.run)
        return next((label for label, of in opened if _alike(schema, of) and self._held(connection, label)), None)

    def _open(self, connection: psycopg.Connection[Any], schema: pa.Schema, make: Callable[[TableName], None]) -> None:
        """Make a table and commit it, unless another piece has just done so."""
        connection.commit()
        wait_for_turn(connection, f"stages {self.run}")
        if self._joined(connection, schema) is None:
            name = new_name(self.state)
            make(name)
            self.state.open(connection, self.epoch, name.table, self.run, schema)
        connection.commit()

    def _held(self, connection: psycopg.Connection[Any], label: str) -> bool:
        name = TableName(self.state.schema, label)
        try:
            with connection.transaction():
                connection.execute(f"LOCK TABLE {name.sql} IN ROW EXCLUSIVE MODE".encode())
        except psycopg.errors.UndefinedTable:  # another run's commit has dropped it: this one will be told so
            return False
        return True


def _alike(one: pa.Schema, other: pa.Schema) -> bool:
    """Whether columns are staged in the same types: text may be that of another type, which only its metadata tells."""
    return one.equals(other) and columns_of_schema("a piece", one) == columns_of_schema("a piece", other)


def new_name(state: State) -> TableName:
    """A name for a staging table that no other has."""
    return TableName(state.schema, f"staged_{uuid.uuid4().hex}")


_BEFORE = 1024
"""Pages that somebody else may have added and left to be filled: servers add at most 64 at once for each who waits."""


def pages(connection: psycopg.Connection[Any], name: TableName) -> int:
    """How many pages a table has."""
    row = connection.execute(
        "SELECT pg_relation_size(%s::regclass) / current_setting('block_size')::int", (name.sql,)
    ).fetchone()
    return 0 if row is None else int(row[0])


def conditions(piece: Receipt) -> Sequence[str]:
    """What the rows of a piece are found by in its table, in SQL: quickly, and then for certain."""
    if "xid" not in piece.details:
        return [""]  # they are all there is
    is_its = f"xmin = '{piece.details['xid']}'::xid"
    told = piece.details.get("pages")
    if not isinstance(told, list) or len(told) != 2:  # noqa: PLR2004 -- the first, and the one behind the last
        return [is_its]
    first, end = (int(page) for page in told)
    return [f"ctid >= '({max(0, first - _BEFORE)},0)' AND ctid < '({end},0)' AND {is_its}", is_its]


def transaction_number(connection: psycopg.Connection[Any]) -> str:
    """What rows that are written in this transaction will have as `xmin`."""
    row = connection.execute("SELECT pg_current_xact_id()::xid::text").fetchone()
    return "" if row is None else str(row[0])


@dataclass(frozen=True, slots=True)
class StagedTable:
    """A staging table, and the pieces in it that are asked for."""

    name: TableName
    pieces: tuple[Receipt, ...]

    @property
    def source(self) -> str:
        """What the rows of the pieces are selected from, in SQL, whoever else writes: it may end with a WHERE."""
        numbers = [str(piece.details["xid"]) for piece in self.pieces if "xid" in piece.details]
        return f"{self.name.sql} WHERE xmin = ANY ('{{{','.join(numbers)}}}'::xid[])" if numbers else self.name.sql

    @property
    def rows(self) -> int:
        """How many rows the pieces have."""
        return sum(piece.rows for piece in self.pieces)

    @property
    def schema(self) -> pa.Schema | None:
        """That of all of them."""
        return self.pieces[0].schema

    @property
    def told(self) -> str:
        """The pieces as errors name them."""
        first, *others = (repr(piece.split_id) for piece in self.pieces)
        return f"split {first}" if not others else f"splits {', '.join([first, *others])}"


def staged_tables(state: State, pieces: Iterable[Receipt]) -> Sequence[StagedTable]:
    """The tables that pieces are in, in the order of the first piece of each."""
    found: dict[str, list[Receipt]] = {}
    for piece in pieces:
        found.setdefault(str(piece.details["table"]), []).append(piece)
    return [StagedTable(TableName(state.schema, label), tuple(some)) for label, some in found.items()]
