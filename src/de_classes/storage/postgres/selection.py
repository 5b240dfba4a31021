"""What is read: a selection of rows, and the query that gives it in wire forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from .identifiers import quoted
from .types import as_read, may_be_unheld, no_list, unheld_condition, wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .types import Column, Unheld, Wire

__all__ = ["Selection"]


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
    key: tuple[str, ...] = ()
    """The primary key, by which an error names a row; without one it is the row's place in its table, if it has one."""

    @property
    def read(self) -> tuple[Column, ...]:
        """The columns as they are read under the policy."""
        return as_read(self.columns, self.unheld)

    @property
    def schema(self) -> pa.Schema:
        """The schema of every batch's records."""
        return pa.schema([column.field for column in self.read])

    @property
    def wires(self) -> Sequence[Wire]:
        """How the columns cross the wire."""
        return [wire(column) for column in self.read]

    @property
    def watched(self) -> Sequence[Column]:
        """The columns whose values the hidden columns watch over.

        Whoever reads sees for himself where a single value has no place, and fails; that an array has more dimensions,
        or what stood where null is to stand, only the server can tell.
        """
        aside = self.unheld in {"null", "quarantine"}
        return [column for column in self.read if may_be_unheld(column) and (aside or column.type.array)]

    @property
    def hidden(self) -> Sequence[str]:
        """SQL of what comes behind the columns that were asked for; nothing where no value needs watching.

        One that fails: the number (from 1) of the first watched column whose value has no place, or 0. One that sets
        aside: the row as JSON text if it has such a value, and the numbers of its columns as text: `1,3,`.
        """
        watched = self.watched
        if not watched:
            return []
        conditions = [self._unheld(column) for column in watched]
        if self.unheld == "fail":
            return [f"CASE {' '.join(f'WHEN {told} THEN {n}' for n, told in enumerate(conditions, 1))} ELSE 0 END"]
        numbers = ", ".join(f"CASE WHEN {told} THEN '{n},' ELSE '' END" for n, told in enumerate(conditions, 1))
        names = {column.name: quoted(column.name) for column in self.columns}
        texts = {column.name for column in watched}
        # In JSON, an array has no lower bounds: what has no place is told in PostgreSQL's own text.
        fields = ", ".join(f"{sql}{'::text' * (name in texts)} AS {sql}" for name, sql in names.items())
        record = f"(SELECT row_to_json(r.*)::text FROM (SELECT {fields}) AS r)"
        return [f"CASE WHEN {' OR '.join(conditions)} THEN {record} END", f"concat({numbers})"]

    def _unheld(self, column: Column) -> str:
        condition = no_list() if self.unheld == "fail" else unheld_condition(column.type)
        return condition.replace("{}", quoted(column.name))

    @property
    def sql(self) -> str:
        """The query. Of a watched column, a value without a place comes as NULL."""
        watched = self.watched
        chosen = []
        for column, wire_ in zip(self.read, self.wires, strict=True):
            name = quoted(column.name)
            sql = wire_.sql.replace("{}", name)
            if column in watched:
                sql = f"CASE WHEN {self._unheld(column)} THEN NULL ELSE {sql} END"
            chosen.append(sql if sql == name else f"{sql} AS {name}")
        chosen += self.hidden
        where = f" WHERE {self.where}" if self.where else ""
        return f"SELECT {', '.join(chosen)} FROM {self.origin}{where}"

    @property
    def plain_sql(self) -> str:
        """The query for the columns as they are in the table."""
        where = f" WHERE {self.where}" if self.where else ""
        return f"SELECT {', '.join(quoted(column.name) for column in self.columns)} FROM {self.origin}{where}"

    @property
    def begin(self) -> Sequence[str]:
        """The statements that begin a transaction in which the selection is always the same, in the same order.

        A parallel plan gives rows as they come, and a sequential scan may join another one in the middle.
        """
        begin = ["BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"]
        if self.snapshot is not None:
            begin.append(f"SET TRANSACTION SNAPSHOT '{self.snapshot}'")
        return [*begin, "SET LOCAL synchronize_seqscans TO off", "SET LOCAL max_parallel_workers_per_gather TO 0"]

    def finding(self, column: Column) -> str:
        """The query for the first row whose value in a column has no place: what identifies it, as text."""
        keys = [quoted(name) for name in self.key] or ["ctid"]
        condition = unheld_condition(column.type).replace("{}", quoted(column.name))
        where = " AND ".join(f"({part})" for part in (self.where, condition) if part)
        return f"SELECT {', '.join(f'{key}::text' for key in keys)} FROM {self.origin} WHERE {where} LIMIT 1"
