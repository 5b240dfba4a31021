"""Pieces of a stream as splits: each reads its rows, or the keys of its rows, under the snapshot of the plan."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.contracts import Batch
from de_classes.errors import ConfigurationError, PlanLost, PostgresError
from de_classes.utils.faults import reach

from ._errors import postgres_errors
from .copy_out import copy_out
from .selection import Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import psycopg

    from ._slots import Slots
    from .client import PostgresClient
    from .described import Described, Snapshot
    from .pieces import Piece
    from .read import QueryReader
    from .types import Column, Unheld

__all__ = ["PostgresSplit", "Splitting"]

_NOTHING = pa.RecordBatch.from_arrays([], names=[])
_NO_SNAPSHOT = {"22023", "42704"}
"""How SET TRANSACTION SNAPSHOT says that there is none of that name, before PostgreSQL 17 and since."""
_NOT_RUNNING = "55000"
"""How it says that the transaction which exported it has ended just now."""


@dataclass(frozen=True)
class PostgresSplit:
    """A range of a table's pages, or the whole of something, under the snapshot that its plan keeps open."""

    id: str
    client: PostgresClient
    selection: Selection
    reader: QueryReader
    slots: Slots
    tells_keys: bool = False
    """Whether the rows are keys, told to be alive, and no records."""

    def read(self) -> Iterator[Batch]:
        """Read it over a connection of its own; a batch at least, perhaps without rows.

        Raises:
            PlanLost: the snapshot is gone, with the session that its plan kept open.

        """
        with self.slots:
            batches = self.reader.read(self.client, self.selection)
            reach("postgres.read.before")
            if self.tells_keys:
                batches = (Batch(_NOTHING, alive=batch.records) for batch in batches)
            try:
                yield next(batches)
            except PostgresError as error:
                if self._is_gone(error):
                    raise self._lost(error) from error
                raise
            yield from batches

    def copied(self, hand_on: Callable[[bytes], None]) -> int:
        """Give the rows as COPY BINARY has them, piece by piece; how many they were.

        Raises:
            PlanLost: the snapshot is gone, with the session that its plan kept open.

        """
        selection = self.selection
        statement = f"COPY ({selection.plain_sql}) TO STDOUT WITH (FORMAT binary)"
        with self.slots, closing(self._began()) as connection:
            reach("postgres.read.before")
            with postgres_errors(selection.subject):
                return copy_out(connection, statement, hand_on)

    def server_version(self) -> int:
        """The number of the version of the server that it is read from: 160004 is 16.4."""
        with self.slots, postgres_errors(self.client.address), closing(self.client.open()) as connection:
            return connection.info.server_version

    def _began(self) -> psycopg.Connection[Any]:
        """A connection on which the transaction of the split has begun."""
        connection = self.client.open()
        try:
            with postgres_errors(self.selection.subject):
                connection.autocommit = True
                for statement in self.selection.begin:
                    connection.execute(statement.encode())
        except PostgresError as error:
            connection.close()
            if self._is_gone(error):
                raise self._lost(error) from error
            raise
        return connection

    def _lost(self, error: PostgresError) -> PlanLost:
        fact = f"the snapshot that it is read under is gone: {error.fact}"
        return PlanLost(self.selection.subject, fact, "Plan again, as a pipeline does by itself.")

    def _is_gone(self, error: PostgresError) -> bool:
        snapshot = self.selection.snapshot
        return snapshot is not None and (
            error.sqlstate == _NOT_RUNNING or (error.sqlstate in _NO_SNAPSHOT and snapshot in error.fact)
        )


@dataclass(frozen=True, slots=True)
class Splitting:
    """Makes splits of the pieces of a stream."""

    client: PostgresClient
    reader: QueryReader
    slots: Slots
    described: Described
    snapshot: Snapshot
    unheld: Unheld

    def of_rows(self, pieces: Sequence[Piece], among: str = "") -> list[PostgresSplit]:
        """Splits that give the rows of a condition."""
        selection = self._selection(self.described.columns, self.unheld)
        made = []
        for n, piece in enumerate(pieces):
            where = " AND ".join(filter(None, [piece.where, among]))
            lies = "" if piece.origin == self.described.origin else f"{piece.origin} "
            own = replace(selection, origin=piece.origin, where=where)
            name = f"{self._content}:{n}:{lies}{where or 'all'}"
            made.append(PostgresSplit(name, self.client, own, self.reader, self.slots))
        return made

    def of_keys(self, pieces: Sequence[Piece]) -> list[PostgresSplit]:
        """Splits that tell the keys of all rows; one that has no place where the rows go tells of no row there.

        Raises:
            ConfigurationError: there is no primary key.

        """
        if not self._key:
            raise ConfigurationError(
                self.described.subject,
                "it has no primary key, by which deletes could be told",
                "Leave it out of deletes=.",
            )
        columns = tuple(column for name in self._key for column in self.described.columns if column.name == name)
        selection = self._selection(columns, "quarantine" if self.unheld == "null" else self.unheld)
        made = []
        for n, piece in enumerate(pieces):
            own = replace(selection, origin=piece.origin, where=piece.where)
            name = f"{self._content}:keys:{n}:{piece.origin}:{piece.where or 'all'}"
            made.append(PostgresSplit(name, self.client, own, self.reader, self.slots, tells_keys=True))
        return made

    @property
    def _key(self) -> tuple[str, ...]:
        return self.described.table.primary_key if self.described.table else ()

    @property
    def _content(self) -> str:
        """What is read; what is set aside is not among the rows, so the policy is part of it."""
        return f"{self.described.name}:{self.snapshot.names(self.described)}:{self.unheld}"

    def _selection(self, columns: tuple[Column, ...], unheld: Unheld) -> Selection:
        described = self.described
        return Selection(
            described.subject, columns, described.origin, snapshot=self.snapshot.exported, unheld=unheld, key=self._key
        )
