"""What a commit does: staged rows become rows of the target, in one transaction that somebody else begins and ends."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from de_classes.contracts import Mode
from de_classes.errors import ConfigurationError, CountMismatch, PostgresError, SchemaMismatch
from de_classes.utils.faults import reach

from ._waiting import not_for_long
from .altering import refuse_obstacles
from .catalogue import column_list, table_in_catalogue
from .growing import Change, coming_columns, converted
from .identifiers import quoted
from .referring import refuse_to_take_along

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .catalogue import Table
    from .identifiers import TableName
    from .sharing import StagedTable

__all__ = ["Move", "check_in_place", "check_merge_key"]


def check_merge_key(connection: psycopg.Connection[Any], name: TableName, table: Table, key: Sequence[str]) -> None:
    """See that exactly these columns are unique in the table, so that ON CONFLICT can find rows by them.

    Raises:
        ConfigurationError: they are not.

    """
    indexes = connection.execute(
        "SELECT ARRAY(SELECT a.attname FROM unnest(i.indkey[:i.indnkeyatts - 1]) k JOIN pg_attribute a"
        " ON a.attrelid = i.indrelid AND a.attnum = k)::text[] FROM pg_index i"
        " WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indimmediate"
        " AND i.indpred IS NULL AND i.indexprs IS NULL",
        (table.oid,),
    )
    if not any(set(columns) == set(key) for (columns,) in indexes):
        raise ConfigurationError(
            f"table {name}",
            f"it has no primary key or unique index on ({', '.join(key)}), so nothing can be merged into it",
            f"ALTER TABLE {name.sql} ADD PRIMARY KEY ({', '.join(map(quoted, key))})",
        )


def check_in_place(
    connection: psycopg.Connection[Any], name: TableName, table: Table, key: Sequence[str], referred: Sequence[str]
) -> None:
    """See that rows that others refer to, by these foreign keys, can be replaced in their place; none need not be.

    Raises:
        ConfigurationError: there is no key by which the rows that stay are found.

    """
    if not referred:
        return
    if not key:
        raise ConfigurationError(
            f"table {name}",
            f"its rows cannot all be deleted and written anew, since others refer to them: {', '.join(referred)}",
            "Give the stream a primary key, by which the rows that stay are found.",
        )
    check_merge_key(connection, name, table, key)


@dataclass(frozen=True, slots=True)
class Move:
    """Moves staging tables into a target."""

    target: TableName
    mode: Mode
    primary_key: tuple[str, ...]

    def empty(self, connection: psycopg.Connection[Any], table: Table, *, truncate: bool) -> None:
        """Make the old rows go; only DELETE hides them from transactions that began before the commit no earlier.

        Partitions are the table's own rows; tables that inherit from it have theirs, which stay.

        Raises:
            CountMismatch: rows stayed, held by a trigger, a rule or row security.

        """
        verb = "TRUNCATE" if truncate else "DELETE FROM"
        rows = self.target.sql if table.kind == "p" else f"ONLY {self.target.sql}"
        # What another pipeline replaces at this moment is not seen and would stay, so the second waits for the first.
        connection.execute(f"LOCK TABLE {rows} IN SHARE ROW EXCLUSIVE MODE".encode())
        with not_for_long(connection) if truncate else nullcontext():
            connection.execute(f"{verb} {rows}".encode())
        reach("postgres.commit.after_emptying")
        if connection.execute(f"SELECT 1 FROM {rows} LIMIT 1".encode()).fetchone():
            raise CountMismatch(
                f"table {self.target}",
                "rows stayed where all were to be replaced",
                "Look for a trigger, a rule or a row security policy that keeps rows from being deleted.",
            )

    def keep_only(self, connection: psycopg.Connection[Any], tables: Sequence[StagedTable], table: Table) -> None:
        """Make the old rows go that nothing staged has the key of, before these are merged over the others.

        Of a column that does not come the old values go, too, unless it has a default.

        Raises:
            ConfigurationError: rows of other tables would go with them.

        """
        same = " AND ".join(f"row_.{quoted(key)} = key_.{quoted(key)}" for key in self.primary_key)
        keys = " UNION ALL ".join(self._staged_keys(connection, staged, table) for staged in tables)
        gone = f"NOT EXISTS (SELECT FROM ({keys}) AS key_ WHERE {same})" if keys else "true"
        connection.execute(f"LOCK TABLE {self.target.sql} IN SHARE ROW EXCLUSIVE MODE".encode())
        refuse_to_take_along(connection, self.target, table, gone)
        connection.execute(f"DELETE FROM {self.target.sql} AS row_ WHERE {gone}".encode())
        coming = {name for staged in tables if staged.schema is not None for name in staged.schema.names}
        stale = [c.name for c in table.columns if tables and c.name not in coming and c.name not in table.with_defaults]
        if stale:
            nulls = ", ".join(f"{quoted(name)} = NULL" for name in stale)
            connection.execute(f"UPDATE {self.target.sql} SET {nulls}".encode())

    def check_replaced(self, connection: psycopg.Connection[Any], tables: Sequence[StagedTable]) -> None:
        """See that the rows are now those that were staged, each once.

        Raises:
            CountMismatch: they are not; a key that comes twice leaves one row.

        """
        (rows,) = connection.execute(f"SELECT count(*) FROM {self.target.sql}".encode()).fetchone() or (0,)
        promised = sum(staged.rows for staged in tables)
        if rows != promised:
            raise CountMismatch(
                f"table {self.target}",
                f"{promised} rows were to replace its own, and {rows} would be there",
                "Is a key among them twice? Otherwise look for a trigger, a rule or a row security policy.",
                promised=promised,
                found=rows,
            )

    def _staged_keys(self, connection: psycopg.Connection[Any], staged: StagedTable, table: Table) -> str:
        chosen = self.chosen(connection, staged, self._found(connection, staged), table)
        keys = ", ".join(map(quoted, self.primary_key))
        return f"SELECT {keys} FROM (SELECT {chosen} FROM {staged.source}) AS staged"

    def _found(self, connection: psycopg.Connection[Any], staged: StagedTable) -> Table:
        found = table_in_catalogue(connection, staged.name)
        if found is None:
            raise CountMismatch(f"table {self.target}", f"of {staged.told} nothing is staged any more", "Run it again.")
        return found

    def run(self, connection: psycopg.Connection[Any], staged: StagedTable, table: Table) -> None:
        """Move the rows of one staging table.

        Raises:
            CountMismatch: the staging table, or what was moved of it, has not the rows that its receipts say.
            SchemaMismatch: the target was altered since the split was written.

        """
        found = self._found(connection, staged)
        chosen = self.chosen(connection, staged, found, table)
        columns = column_list(found.columns)
        insert = f"INSERT INTO {self.target.sql} AS target ({columns}) OVERRIDING SYSTEM VALUE"
        if self.mode is Mode.MERGE:
            (rows,) = connection.execute(f"SELECT count(*) FROM {staged.source}".encode()).fetchone() or (0,)
            self._count(staged, rows)
            keys = ", ".join(map(quoted, self.primary_key))
            # COPY adds to the end of a table that its own transaction made, so ctids are in the order of the rows, also
            # where one COPY follows another because rows were set aside.
            last = f"SELECT DISTINCT ON ({keys}) * FROM {staged.source} ORDER BY {keys}, ctid DESC"
            merge = f"{insert} SELECT {chosen} FROM ({last}) AS last {self._on_conflict(found)}"
            try:
                connection.execute(merge.encode())
            except psycopg.errors.UniqueViolation as error:
                raise _taken(self.target, error) from error
            self._refuse_missing(connection, staged, f"SELECT {chosen} FROM {staged.source}")
        else:
            moved = connection.execute(f"{insert} SELECT {chosen} FROM {staged.source}".encode()).rowcount
            self._count(staged, moved)

    def _refuse_missing(self, connection: psycopg.Connection[Any], staged: StagedTable, chosen: str) -> None:
        """See that every key that was merged is there: ON CONFLICT does not count the rows that were equal already."""
        same = " AND ".join(f"target.{quoted(key)} = staged.{quoted(key)}" for key in self.primary_key)
        target = f"SELECT FROM {self.target.sql} AS target WHERE {same}"
        missing = f"SELECT count(*) FROM ({chosen}) AS staged WHERE NOT EXISTS ({target})"
        (rows,) = connection.execute(missing.encode()).fetchone() or (0,)
        if rows:
            raise CountMismatch(
                f"table {self.target}",
                f"{rows} rows of {staged.told} are not there after they were merged",
                "Look for a trigger, a rule or a row security policy that keeps rows out.",
            )

    def _count(self, staged: StagedTable, rows: int) -> None:
        if rows != staged.rows:
            raise CountMismatch(
                f"table {self.target}",
                f"{staged.told} promised {staged.rows} rows and {rows} would become visible",
                "Run it again; a trigger or a rule on the table may drop rows.",
                promised=staged.rows,
                found=rows,
            )

    def _on_conflict(self, found: Table) -> str:
        """Update what differs, byte by byte: a row that is the same already is not written again."""
        others = [quoted(column.name) for column in found.columns if column.name not in self.primary_key]
        keys = ", ".join(map(quoted, self.primary_key))
        if not others:
            return f"ON CONFLICT ({keys}) DO NOTHING"
        change = ", ".join(f"{name} = excluded.{name}" for name in others)
        old, new = (", ".join(f"{row}.{name}" for name in others) for row in ("target", "excluded"))
        return f"ON CONFLICT ({keys}) DO UPDATE SET {change} WHERE ROW({old})::record *<> ROW({new})::record"

    def chosen(self, connection: psycopg.Connection[Any], staged: StagedTable, found: Table, table: Table) -> str:
        """The columns to select, in the target's types: staged ones may be narrower, void, or text for an enum."""
        types = {column.name: column.type for column in table.columns}
        schema = staged.schema
        coming = {} if schema is None else {c.name: c.type for c in coming_columns(str(self.target), schema)}
        chosen, wrong, rounded = [], [], []
        for column in found.columns:
            name, wanted = column.name, types.get(column.name)
            sql = wanted and converted(name, column.type, wanted, coming.get(name, column.type), self.target.schema)
            if wanted is None or sql is None:
                wrong.append(f"{name} was written as {column.type} and is now {wanted or 'gone'}")
                continue
            chosen.append(f"{sql} AS {quoted(name)}")
            rounded += [change for change in [Change.of(name, wanted, column.type)] if change.needs == "within floats"]
        if wrong:
            raise SchemaMismatch(
                f"table {self.target}",
                f"it was altered during the load: {'; '.join(wrong)}",
                "Run it again; if nobody altered it, cast the column to one type in a transform.",
            )
        refuse_obstacles(connection, str(self.target), staged.name, found, rounded)
        return ", ".join(chosen)


def _taken(target: TableName, error: psycopg.errors.UniqueViolation) -> PostgresError:
    told, name = error.diag.message_detail or error.diag.message_primary, error.diag.constraint_name
    return PostgresError(
        f"table {target}",
        f"a row has a value that another one has, or gives up in this load, and {name} lets only one have: {told}",
        "Where rows only swap such values, make it a constraint that is DEFERRABLE: it is checked when all is written.",
        sqlstate=error.sqlstate,
    )
