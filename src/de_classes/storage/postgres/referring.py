"""Foreign keys of other tables to a target: a load that deletes rows of its own never takes rows of others along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from de_classes.errors import ConfigurationError

from .identifiers import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from .catalogue import Table
    from .identifiers import TableName

__all__ = ["Reference", "references", "referring_from_outside", "refuse_to_take_along"]

_ACTIONS = {"c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
"""pg_constraint.confdeltype, where deleting a row does something to those that refer to it."""

_REFERENCES = """
SELECT conname, conrelid::regclass::text, confdeltype::text, conrelid = %(table)s,
       ARRAY(SELECT ARRAY[own.attname, other.attname] FROM unnest(conkey, confkey) AS pair (own, other)
             JOIN pg_attribute own ON own.attrelid = conrelid AND own.attnum = pair.own
             JOIN pg_attribute other ON other.attrelid = confrelid AND other.attnum = pair.other)::text[]
FROM pg_constraint WHERE contype = 'f' AND conparentid = 0
    AND confrelid IN (SELECT %(table)s::oid UNION SELECT relid FROM pg_partition_tree(%(table)s::oid::regclass))
ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key to a table."""

    constraint: str
    table: str
    """The table that it belongs to, as SQL."""
    action: str
    """What deleting a row does to those that refer to it; empty where it is refused."""
    within: bool
    """Whether it belongs to the table that it refers to."""
    columns: Sequence[tuple[str, str]]
    """The columns of either side, in pairs: its own first."""

    def __str__(self) -> str:
        return f"{self.constraint} of {self.table}"

    @property
    def same(self) -> str:
        """The condition that `other_` refers to `row_`."""
        return " AND ".join(f"other_.{quoted(own)} = row_.{quoted(there)}" for own, there in self.columns)


def references(connection: psycopg.Connection[Any], table: Table) -> list[Reference]:
    """The foreign keys to a table, or to a partition of it."""
    rows = connection.execute(_REFERENCES, {"table": table.oid}).fetchall()
    return [
        Reference(name, of, _ACTIONS.get(action, ""), within, [(own, there) for own, there in pairs])
        for name, of, action, within, pairs in rows
    ]


def referring_from_outside(connection: psycopg.Connection[Any], table: Table) -> list[str]:
    """The foreign keys of other tables to a table, as errors tell them."""
    return [str(key) for key in references(connection, table) if not key.within]


def refuse_to_take_along(connection: psycopg.Connection[Any], target: TableName, table: Table, gone: str) -> None:
    """See that deleting the rows of `row_` that meet a condition deletes or changes no others by ON DELETE.

    They are locked, so that nobody can refer to them from here to the end of the transaction.

    Raises:
        ConfigurationError: rows refer to them, of another table or of this one, that would not stay as they are.

    """
    acting = [reference for reference in references(connection, table) if reference.action]
    if acting:
        connection.execute(f"SELECT FROM {target.sql} AS row_ WHERE {gone} FOR UPDATE OF row_".encode())
    for reference in acting:
        taken = f"SELECT FROM {reference.table} AS other_ JOIN {target.sql} AS row_ ON {reference.same} WHERE {gone}"
        if reference.within:
            stays = (
                f"SELECT FROM {target.sql} AS row_ WHERE row_.ctid = other_.ctid AND row_.tableoid = other_.tableoid"
            )
            taken += f" AND NOT EXISTS ({stays} AND {gone})"
        (rows,) = connection.execute(f"SELECT count(*) FROM ({taken}) AS taken".encode()).fetchone() or (0,)
        if rows:
            raise ConfigurationError(
                f"table {target}",
                f"deleting rows of it would change {rows} rows of {reference.table} that refer to them:"
                f" its foreign key {reference.constraint} says ON DELETE {reference.action}",
                "Delete or change those rows first, or keep rows that are gone: merge, perhaps with mark_deleted=...",
            )
