"""Which tables a source reads: those that are named, and those that patterns find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from de_classes.errors import ConfigurationError

from .identifiers import TableName

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

__all__ = ["Patterns", "named"]

_OWN_SCHEMA = "de_classes"
"""Where destinations keep their state, unless they are told another schema."""
_MOST_TOLD = 20

# A partition's rows come with its parent, and so do a child's, where the parent is among the tables.
_TABLES = """
SELECT n.nspname, c.relname,
       ARRAY(WITH RECURSIVE above (oid) AS (
                 SELECT inhparent FROM pg_inherits WHERE inhrelid = c.oid
                 UNION SELECT inhparent FROM pg_inherits JOIN above ON inhrelid = above.oid)
             SELECT ARRAY[an.nspname, a.relname]::text[] FROM above JOIN pg_class a ON a.oid = above.oid
             JOIN pg_namespace an ON an.oid = a.relnamespace)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema' AND has_table_privilege(c.oid, 'SELECT')
ORDER BY n.nspname, c.relname
"""


@dataclass(frozen=True, slots=True)
class Patterns:
    """Shell patterns of `schema.table`, or of tables in `public`: `sales.*`, `order_?`, `*.*`; case matters.

    What they find are ordinary and partitioned tables that the user may read. Partitions are not found for themselves,
    nor children whose parent is found: their rows come with it. System schemas are left out, and `de_classes`, where
    destinations keep their state, unless a pattern names it.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def found(self, connection: psycopg.Connection[Any]) -> dict[str, TableName]:
        """The tables by name of the stream, which is the table's.

        Raises:
            ConfigurationError: a pattern finds nothing, or tables of one name in several schemas.

        """
        if not self.include:
            return {}
        rows = [(TableName(schema, table), above) for schema, table, above in connection.execute(_TABLES).fetchall()]
        there = [name for name, _ in rows]
        self._refuse_idle(there)
        chosen = {name for name in there if self._takes(name)}
        kept = [name for name, above in rows if name in chosen and not {TableName(*one) for one in above} & chosen]
        return _by_table(kept)

    def _takes(self, name: TableName) -> bool:
        found = [pattern for pattern in self.include if _matches(pattern, name)]
        if name.schema == _OWN_SCHEMA and not any(pattern.startswith(f"{_OWN_SCHEMA}.") for pattern in found):
            return False
        return bool(found) and not any(_matches(pattern, name) for pattern in self.exclude)

    def _refuse_idle(self, there: Sequence[TableName]) -> None:
        idle = [
            f"{option} {pattern!r}"
            for option, patterns in (("include", self.include), ("exclude", self.exclude))
            for pattern in patterns
            if not any(_matches(pattern, name) for name in there)
        ]
        if idle:
            told = ", ".join(map(str, there[:_MOST_TOLD])) + (", ..." if len(there) > _MOST_TOLD else "")
            raise ConfigurationError(
                "PostgresSource",
                f"no table matches {', '.join(idle)}",
                f"There are: {told or 'none that you may read'}.",
            )


def named(tables: Sequence[str] | Mapping[str, str]) -> dict[str, TableName]:
    """Tables by the names of their streams: as a mapping says, or else each by its own.

    Raises:
        ConfigurationError: two streams would have one name.

    """
    if isinstance(tables, str):
        raise ConfigurationError("PostgresSource", f"tables={tables!r} is one name", f"Write tables=[{tables!r}].")
    if isinstance(tables, Mapping):
        return {stream: TableName.parse(name) for stream, name in tables.items()}
    return _by_table([TableName.parse(name) for name in tables])


def _by_table(names: Sequence[TableName]) -> dict[str, TableName]:
    of_table: dict[str, list[TableName]] = {}
    for name in names:
        of_table.setdefault(name.table, []).append(name)
    doubled = [f"{' and '.join(map(str, several))}" for several in of_table.values() if len(several) > 1]
    if doubled:
        raise ConfigurationError(
            "PostgresSource",
            f"streams of one name would be made of {'; '.join(doubled)}",
            "Name the streams: tables={'shop_orders': 'shop.orders', ...}.",
        )
    return {name.table: name for name in names}


def _matches(pattern: str, name: TableName) -> bool:
    schema, dot, table = pattern.partition(".")
    return fnmatchcase(name.schema, schema if dot else "public") and fnmatchcase(name.table, table if dot else schema)


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.storage.postgres._doors.choosing")
