"""What a load would do to its target besides rows, told beforehand; nothing is run but queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from de_classes.contracts import Mode

from .altering import growing_ddl, needed, refuse_dependants, refuse_obstacles
from .catalogue import table_in_catalogue
from .creating import schema_ddl, table_ddl
from .declaring import missing_ddl
from .deleting import marking_ddl
from .growing import coming_columns, together
from .history import check_history, history_ddl, refuse_taken
from .identifiers import shortened
from .moving import check_in_place, check_merge_key
from .placing import place
from .referring import referring_from_outside
from .sieving import Sieve

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg
    import pyarrow as pa

    from de_classes.contracts import Stream

    from .catalogue import Table
    from .destination import PostgresDestination
    from .identifiers import TableName

__all__ = ["preview", "table_changes"]


def preview(
    connection: psycopg.Connection[Any], destination: PostgresDestination, stream: Stream, mode: Mode
) -> list[str]:
    """The statements of a load's commit; what depends on the rows that come is told as comments.

    Raises:
        SchemaMismatch: the columns cannot be taken, or only if they were allowed to grow.
        ConfigurationError: the table is none that the mode can load.

    """
    schema, name, key = stream.schema, destination.table(stream.name), tuple(map(shortened, stream.primary_key))
    if schema is None:
        return []
    table, told = table_in_catalogue(connection, name), list[str]()
    if destination.schema_changes == "quarantine":
        sieve, into = Sieve.of(str(name), schema, table), destination.quarantine(stream.name)
        told = [f"-- {reason}: rows with a value there go to {into}" for _, reason in sieve.refused]
        if destination.unfit == "quarantine":
            told += [f"-- {reason}: rows whose value it refuses go to {into}" for reason in sieve.narrower]
        schema = sieve.schema
    place(str(name), schema, table, key, destination.schema_changes)
    if table is None or destination.schema_changes == "evolve":
        told += table_changes(connection, name, schema, key, mode)
    if table is not None:
        _check(connection, name, table, key, mode)
    if mode is Mode.MERGE and destination.mark_deleted is not None:
        marking = marking_ddl(name, table, destination.mark_deleted)
        told += [f"-- if the source tells which keys are alive: {statement}" for statement in marking]
    oid = None if table is None else table.oid
    return [*told, *missing_ddl(connection, name, oid, destination.declared.get(stream.name, ()))]


def table_changes(
    connection: psycopg.Connection[Any], name: TableName, schema: pa.Schema, key: Sequence[str], mode: Mode
) -> list[str]:
    """The statements that make a table for such columns, or let it grow; none if it fits.

    Raises:
        SchemaMismatch: the columns cannot be taken; values, views and the like that are in the way are looked for.

    """
    table = table_in_catalogue(connection, name)
    place(str(name), schema, table, key, "evolve")
    coming = coming_columns(str(name), schema)
    if mode is Mode.HISTORY:
        refuse_taken(name, (column.name for column in coming))
    if table is None:
        is_history = mode is Mode.HISTORY
        made = table_ddl(connection, name, together(str(name), [coming]), () if is_history else key)
        return [*schema_ddl(connection, name.schema), *made, *(history_ddl(name, key) if is_history else [])]
    growth = needed(connection, name, table, [coming])
    refuse_dependants(connection, name, table, growth)
    if mode is not Mode.REPLACE or referring_from_outside(connection, table):
        refuse_obstacles(connection, str(name), name, table, growth)
    return growing_ddl(connection, name, growth)


def _check(connection: psycopg.Connection[Any], name: TableName, table: Table, key: Sequence[str], mode: Mode) -> None:
    """See that the mode can load the table as it is."""
    if mode is Mode.MERGE:
        check_merge_key(connection, name, table, key)
    elif mode is Mode.HISTORY:
        check_history(name, table)
    elif mode is Mode.REPLACE:
        check_in_place(connection, name, table, key, referring_from_outside(connection, table))
