"""Every version of a row: a slowly changing dimension of type 2, as a table keeps it.

`valid_from` and `valid_to` say from when on a version was the current one, and up to when; the moments are those of the
commits that brought it and its successor, and `valid_to` of the current one is NULL. A version that is equal, byte by
byte, to the current one is none. Two versions of a key never have one moment, nor overlap, also where a clock is put
back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from de_classes.errors import ConfigurationError, CountMismatch, SchemaMismatch
from de_classes.utils.faults import reach

from .catalogue import table_in_catalogue
from .identifiers import quoted, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import psycopg

    from .catalogue import Table
    from .identifiers import TableName
    from .moving import Move
    from .sharing import StagedTable

__all__ = ["MOMENT", "VALID_FROM", "VALID_TO", "History", "check_history", "history_ddl", "refuse_taken"]

VALID_FROM = "valid_from"
VALID_TO = "valid_to"
_PIECE = '"of piece of a load"'
_PLACE = '"place in a piece of a load"'
_END = '"end of the last version"'
MOMENT = "greatest(now(), row_.valid_from + interval '1 microsecond')"
"""When a version of `row_` is closed: now, and never before it began."""


def history_ddl(target: TableName, primary_key: Sequence[str]) -> list[str]:
    """The statements that give a new table what a history needs: its moments, and one current version per key."""
    keys = ", ".join(map(quoted, primary_key))
    index = quoted(shortened(f"{target.table}_current"))
    moments = f"ADD COLUMN {VALID_FROM} timestamptz NOT NULL DEFAULT now(), ADD COLUMN {VALID_TO} timestamptz"
    return [
        f"ALTER TABLE {target.sql} {moments}, ADD PRIMARY KEY ({keys}, {VALID_FROM})",
        f"CREATE UNIQUE INDEX {index} ON {target.sql} ({keys}) WHERE {VALID_TO} IS NULL",
    ]


def refuse_taken(target: TableName, coming: Iterable[str]) -> None:
    """See that no column that comes would be taken for the moments of a history.

    Raises:
        SchemaMismatch: one has such a name.

    """
    if taken := sorted({VALID_FROM, VALID_TO} & set(coming)):
        raise SchemaMismatch(
            f"table {target}",
            f"the stream has {' and '.join(taken)}, which a history fills by itself",
            "Rename them by a transform.",
        )


def check_history(target: TableName, table: Table) -> None:
    """See that a table keeps a history.

    Raises:
        ConfigurationError: it does not.

    """
    kinds = {column.name: column.type.base for column in table.columns}
    if not kinds.get(VALID_FROM) == kinds.get(VALID_TO) == "timestamptz":
        raise ConfigurationError(
            f"table {target}",
            f"it keeps no history: it lacks {VALID_FROM} and {VALID_TO} of the type timestamptz",
            "Load into another table, which is then made so.",
        )


@dataclass(frozen=True, slots=True)
class History:
    """Makes versions of staged rows."""

    move: Move

    @property
    def _keys(self) -> list[str]:
        return [quoted(key) for key in self.move.primary_key]

    @property
    def _same(self) -> str:
        return " AND ".join(f"row_.{key} = coming_.{key}" for key in self._keys)

    def run(self, connection: psycopg.Connection[Any], tables: Sequence[StagedTable], table: Table) -> None:
        """Add what is staged as the current versions of their keys; of several with one key the last counts.

        Raises:
            CountMismatch: a piece is not as its receipt says, or a version is not there afterwards.

        """
        if not tables:
            return
        columns = self._gather(connection, tables, table)
        target, keys = self.move.target.sql, ", ".join(f"row_.{key}" for key in self._keys)
        old, new = (", ".join(f"{row}.{quoted(name)}" for name in columns) for row in ("row_", "coming_"))
        connection.execute(
            f"UPDATE {target} AS row_ SET {VALID_TO} = {MOMENT} FROM pg_temp.coming AS coming_"
            f" WHERE row_.{VALID_TO} IS NULL AND {self._same} AND ROW({old})::record *<> ROW({new})::record".encode()
        )
        reach("postgres.commit.after_closing")
        names, using = ", ".join(map(quoted, columns)), ", ".join(self._keys)
        # Of a key that is there again the last version may have ended behind now: where a clock was put back, or a
        # commit waited for the one that closed it.
        ended = (
            f"SELECT {keys}, max(row_.{VALID_TO}) AS {_END} FROM {target} AS row_"
            f" JOIN pg_temp.coming AS coming_ ON {self._same} GROUP BY {keys}"
        )
        connection.execute(
            f"INSERT INTO {target} ({names}, {VALID_FROM}) OVERRIDING SYSTEM VALUE"
            f" SELECT {new}, greatest(now(), ended_.{_END})"
            f" FROM pg_temp.coming AS coming_ LEFT JOIN ({ended}) AS ended_ USING ({using})"
            f" WHERE NOT EXISTS (SELECT FROM {target} AS row_ WHERE row_.{VALID_TO} IS NULL AND {self._same})".encode()
        )
        self._check(connection)
        connection.execute("DROP TABLE pg_temp.coming")

    def _gather(self, connection: psycopg.Connection[Any], tables: Sequence[StagedTable], table: Table) -> list[str]:
        """Make one table of the last row of each key; gives its columns, NULL where a piece has not all of them."""
        found = [self._found(connection, staged) for staged in tables]
        columns = [c.name for c in table.columns if any(c.name in {s.name for s in one.columns} for one in found)]
        origins = []
        for n, (staged, one) in enumerate(zip(tables, found, strict=True)):
            there = {column.name for column in one.columns}
            chosen = self.move.chosen(connection, staged, one, table)
            nulls = "".join(
                f", NULL::{column.type.ddl(self.move.target.schema)} AS {quoted(column.name)}"
                for column in table.columns
                if column.name in columns and column.name not in there
            )
            origins.append(f"SELECT {chosen}{nulls}, {n} AS {_PIECE}, ctid AS {_PLACE} FROM {staged.source}")
        listed, keys = ", ".join(map(quoted, columns)), ", ".join(self._keys)
        united = (f"SELECT {listed}, {_PIECE}, {_PLACE} FROM ({one}) AS piece_{n}" for n, one in enumerate(origins))
        union = " UNION ALL ".join(united)
        connection.execute(
            f"CREATE TEMPORARY TABLE coming AS SELECT DISTINCT ON ({keys}) {listed} FROM ({union}) AS united"
            f" ORDER BY {keys}, {_PIECE} DESC, {_PLACE} DESC".encode()
        )
        return columns

    def _found(self, connection: psycopg.Connection[Any], staged: StagedTable) -> Table:
        found = table_in_catalogue(connection, staged.name)
        rows = found and connection.execute(f"SELECT count(*) FROM {staged.source}".encode()).fetchone()
        if found is None or rows != (staged.rows,):
            raise CountMismatch(
                f"table {self.move.target}",
                f"{staged.told} promised {staged.rows} rows, which are not staged",
                "Run it again.",
            )
        return found

    def _check(self, connection: psycopg.Connection[Any]) -> None:
        current = f"SELECT FROM {self.move.target.sql} AS row_ WHERE row_.{VALID_TO} IS NULL AND {self._same}"
        missing = f"SELECT count(*) FROM pg_temp.coming AS coming_ WHERE NOT EXISTS ({current})"
        (rows,) = connection.execute(missing.encode()).fetchone() or (0,)
        if rows:
            raise CountMismatch(
                f"table {self.move.target}",
                f"{rows} rows are not its current versions after they were added",
                "Look for a trigger, a rule or a row security policy that keeps rows out.",
            )
