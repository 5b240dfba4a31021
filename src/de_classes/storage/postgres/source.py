"""Tables and queries of PostgreSQL as streams."""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import psycopg

from de_classes.contracts import Plan
from de_classes.errors import ConfigurationError, PostgresError, TableNotFound, UnknownType
from de_classes.utils.faults import reach

from ._errors import postgres_errors
from ._slots import Slots
from .catalogue import columns_of, table_in_catalogue
from .choosing import Patterns, named
from .client import PostgresClient
from .copy_binary import CopyBinaryReader
from .described import Described, Snapshot
from .pieces import Piece, leaves_below, pieces_of
from .read import AdbcReader
from .splitting import PostgresSplit, Splitting
from .types import Unheld, as_read, refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from de_classes.configs.secrets import Secret
    from de_classes.contracts import Position, Stream

    from .identifiers import TableName
    from .pieces import Cut
    from .read import QueryReader
    from .versions import Changes

__all__ = ["PostgresSource", "PostgresSplit", "Strategy"]

Strategy: TypeAlias = Literal["adbc", "copy_binary"]

_CHECK = "Check the name, its capitals and its schema, and that the user may see it."
_MOST_LOOKS = 5
_LEAST_CONNECTIONS = 2

_READERS: Mapping[str, QueryReader] = {"adbc": AdbcReader(), "copy_binary": CopyBinaryReader()}


class PostgresSource:
    """Reads tables, views and queries, each under one snapshot, in splits that run in parallel.

    `tables` are names such as `orders`, `public.orders` or `"Odd Schema"."Table"`; their streams are called after the
    table alone, or as a mapping of stream to table says. `include` and `exclude` find more by `Patterns`. `queries`
    maps streams to SELECT statements. A table is cut into pieces of about `split_bytes` on disk, partitions and
    children with their parent; queries and views are one piece each, and so is what a row security policy guards,
    unless `splits` says how to cut them: `splits={"paid": KeyRanges("id", 8)}`.

    Every run reads everything: `since` is not looked at, and the position only records the snapshot. So a pipeline
    replaces or merges with it; it may append once. Streams named in `changes` are read anew only where they have
    changed: `changes={"orders": RowVersions()}` gives each row that was inserted or updated, for a pipeline to merge,
    and `CursorColumn("updated_at")` finds them by an index.

    Rows that were deleted leave no trace to read. Of the streams in `deletes`, which need a primary key, each run also
    reads the keys of all rows that exist, under the same snapshot, so that a merge can delete the others.

    Sessions are read-only. One keeps the snapshot while others read, each for a split: `max_connections` bounds all of
    them within a process. Time limits are the client's: `PostgresClient(url, statement_timeout_seconds=600)`.

    A query must give the same rows each time it is run under one snapshot, so no random() or clock_timestamp().
    What becomes of values that Arrow has no place for, such as a date of `infinity` (see docs/types.md), says `unheld`:
    "fail" ends the run with an error that names table, column and row; "text" reads the columns that may hold such
    values as PostgreSQL's text; "null" gives null and "quarantine" leaves the row out, and both keep the row as it was
    beside the stream, counted in the report.

    `strategy` is "adbc", or "copy_binary" for the slow reference in Python.
    """

    def __init__(  # noqa: PLR0913 -- the signature is the configuration schema
        self,
        client: PostgresClient | str | Secret,
        *,
        tables: Sequence[str] | Mapping[str, str] = (),
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        queries: Mapping[str, str] | None = None,
        changes: Mapping[str, Changes] | None = None,
        deletes: Sequence[str] = (),
        splits: Mapping[str, Cut] | None = None,
        unheld: Unheld = "fail",
        strategy: Strategy | QueryReader = "adbc",
        split_bytes: int = 64 * 2**20,
        max_connections: int | None = None,
    ) -> None:
        self.client = (client if isinstance(client, PostgresClient) else PostgresClient(client)).reading()
        self.tables = named(tables)
        self.patterns = Patterns(tuple(include), tuple(exclude))
        self.queries = {name: query.strip().rstrip(";").rstrip() for name, query in (queries or {}).items()}
        self.changes = dict(changes or {})
        self.deletes = tuple(deletes)
        self.splits = dict(splits or {})
        self.unheld = unheld
        self.split_bytes = split_bytes
        self.slots = Slots(None if max_connections is None else max(1, max_connections - 1))
        wrong = [f"stream {name!r} is given twice" for name in self.tables if name in self.queries]
        wrong += [f"query {name!r} is empty" for name, query in self.queries.items() if not query]
        if not include:
            wrong += self._strangers({**self.tables, **self.queries})
        texts = [given for given in (include, exclude, deletes) if isinstance(given, str)]
        wrong += [f"{given!r} is one text, not a list" for given in texts]
        if exclude and not include:
            wrong.append("exclude=... without include=..., of which it takes out some")
        if max_connections is not None and max_connections < _LEAST_CONNECTIONS:
            wrong.append(f"max_connections={max_connections} (one keeps the snapshot, so two are needed)")
        if unheld not in get_args(Unheld):
            wrong.append(f"unheld={unheld!r} (must be one of {', '.join(get_args(Unheld))})")
        if split_bytes < 1:
            wrong.append(f"split_bytes={split_bytes} (must be above 0)")
        if isinstance(strategy, str) and strategy not in _READERS:
            wrong.append(f"strategy={strategy!r} (must be one of {', '.join(_READERS)})")
        if not self.tables and not self.queries and not include:
            wrong.append("neither tables nor queries nor patterns are given")
        if wrong:
            raise ConfigurationError(
                "PostgresSource", "; ".join(wrong), "Give tables=[...], include=[...] or queries={name: SELECT}."
            )
        self.reader = _READERS[strategy] if isinstance(strategy, str) else strategy

    def __repr__(self) -> str:
        return f"PostgresSource({self.client!r}, streams={[*self.tables, *self.queries, *self.patterns.include]})"

    def _strangers(self, there: Mapping[str, object]) -> list[str]:
        options = (("changes", self.changes), ("splits", self.splits), ("deletes", dict.fromkeys(self.deletes)))
        return [
            f"{option}= has {name!r}, which is no stream; there are {', '.join(there) or 'none'}"
            for option, of in options
            for name in of
            if name not in there
        ]

    def _tables(self, connection: psycopg.Connection[Any]) -> Mapping[str, TableName]:
        """The tables by their streams: a table that is named goes by that name alone, found by a pattern or not."""
        if not self.patterns.include:
            return self.tables
        known = set(self.tables.values())
        found = {stream: name for stream, name in self.patterns.found(connection).items() if name not in known}
        doubled = sorted(found.keys() & {*self.tables, *self.queries})
        wrong = [f"stream {name!r} is given twice" for name in doubled]
        wrong += self._strangers({**self.tables, **found, **self.queries})
        if wrong:
            raise ConfigurationError("PostgresSource", "; ".join(wrong), "Name the streams: tables={'name': 'table'}.")
        return {**self.tables, **found}

    def streams(self) -> Sequence[Stream]:
        """Ask the server for columns and primary keys.

        Raises:
            TableNotFound: no such table or view, or the user may not see it.
            UnknownType: columns of types that are not in the type table.

        """
        with self.client.connect() as connection:
            tables = self._tables(connection)
            return [self._described(connection, name, tables).stream for name in (*tables, *self.queries)]

    @contextmanager
    def plan(self, stream: Stream, since: Position | None) -> Iterator[Plan]:
        """Export a snapshot, which lives as long as the context, and cut the table's pages into ranges under it.

        Raises:
            ConfigurationError: changes are asked for of what cannot tell them, or the position is of another kind.

        """
        client = self.client.working_on(stream.name)
        with self._kept_open(client) as connection:
            changes = self.changes.get(stream.name)
            looked = None if changes is None else changes.look(connection)
            described, snapshot = self._held(connection, stream.name)
            pieces = self._pieces(connection, described)
            reach("postgres.plan.made")
            tells = stream.name in self.deletes
            splitting = Splitting(client, self.reader, self.slots, described, snapshot, self.unheld)
            keys = splitting.of_keys(pieces) if tells else []
            if changes is None:
                splits = splitting.of_rows(pieces)
                yield Plan([*splits, *keys], {"snapshot": snapshot.content}, whole=True, alive=tells)
            else:
                news = changes.since(connection, described, snapshot, since, looked)
                splits = [] if news.where is None else splitting.of_rows(pieces, news.where)
                yield Plan([*splits, *keys], news.position, repeats=since is not None, alive=tells)

    @contextmanager
    def _kept_open(self, client: PostgresClient) -> Iterator[psycopg.Connection[Any]]:
        """A connection whose end is of no interest: where the server has ended it, whoever needs its snapshot sees."""
        with ExitStack() as opened, postgres_errors(self.client.address):
            connection = opened.enter_context(closing(client.open()))
            connection.autocommit = True
            # It stands idle, and keeps the snapshot, as long as others read.
            connection.execute("SET idle_in_transaction_session_timeout TO 0")
            yield connection
            with suppress(psycopg.Error):
                connection.execute("ROLLBACK")

    def _held(self, connection: psycopg.Connection[Any], stream: str) -> tuple[Described, Snapshot]:
        """Describe a stream and export a snapshot of it, which lasts as long as the transaction.

        TRUNCATE and rewriting empty a table for old snapshots too, so they must wait: describing it locks everything
        that it is made of, and only then the snapshot is taken. Where a partition came in between, it is done again.
        """
        for _ in range(_MOST_LOOKS):
            connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY")
            described = self._described(connection, stream, self._tables(connection))
            table = described.table
            if table is None:
                return described, Snapshot.export(connection)
            described = replace(described, leaves=tuple(leaves_below(connection, table.oid)))
            if table.has_children:
                connection.execute(f"LOCK TABLE {described.origin} IN ACCESS SHARE MODE".encode())
            snapshot = Snapshot.export(connection, table.oid)
            if snapshot.leaves == {leaf.oid for leaf in described.leaves}:
                return described, snapshot
            connection.execute("ROLLBACK")
        raise PostgresError(
            described.subject, "its partitions change all the time", "Run it again once they stand.", sqlstate=None
        )

    def _pieces(self, connection: psycopg.Connection[Any], described: Described) -> list[Piece]:
        cut = self.splits.get(described.name)
        if cut is None:
            return pieces_of(described, self.split_bytes)
        return [Piece(described.origin, where) for where in cut.conditions(connection, described)]

    def _described(
        self, connection: psycopg.Connection[Any], stream: str, tables: Mapping[str, TableName]
    ) -> Described:
        if stream in self.queries:
            query = self.queries[stream]
            columns = tuple(columns_of(connection, query))
            described = Described(stream, f"query {stream!r}", f"({query}\n) AS query", columns)
        elif stream in tables:
            name = tables[stream]
            table = table_in_catalogue(connection, name)
            if table is None:
                raise TableNotFound(f"table {name}", f"it is not in {self.client.address}", _CHECK, sqlstate="42P01")
            described = Described(stream, str(name), name.sql, table.columns, table, connection.info.server_version)
        else:
            raise ConfigurationError(f"stream {stream!r}", f"{self!r} does not offer it")
        if not described.columns:
            raise UnknownType(described.subject, "it has no columns", "Leave it out.", columns=[])
        refuse_unknown(described.subject, described.columns)
        return replace(described, columns=as_read(described.columns, self.unheld))


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.storage.postgres._doors.source")
