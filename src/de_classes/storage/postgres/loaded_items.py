"""Which items of a stream are loaded, in which version: a table beside that of the positions, written by commits.

A file that is loaded again in another version replaces its rows: those that have its name in the column that names the
item. Without an index on that column this reads the target from front to back, once for all items of a commit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from de_classes.contracts import Mode
from de_classes.errors import ConfigurationError, SchemaMismatch
from de_classes.utils.faults import reach

from .identifiers import TableName, quoted, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import psycopg

    from de_classes.contracts import Item

    from .catalogue import Table
    from .state import State

__all__ = ["LoadedItems"]

_MINE = "pipeline = %s AND stream = %s AND target = %s"


@dataclass(frozen=True, slots=True)
class LoadedItems:
    """The items of one pipeline and stream on their way into one table."""

    state: State

    @property
    def _table(self) -> str:
        return TableName(self.state.schema, "loaded").sql

    def versions(self, connection: psycopg.Connection[Any], names: Sequence[str]) -> Mapping[str, str]:
        """The versions of those that are loaded."""
        rows = connection.execute(
            f"SELECT item, version FROM {self._table} WHERE {_MINE} AND item = ANY(%s)".encode(),
            (*self.state.key, list(names)),
        )
        return dict(rows.fetchall())

    def changed(self, connection: psycopg.Connection[Any], items: Sequence[Item]) -> list[Item]:
        """Those of the items that are loaded in another version."""
        known = self.versions(connection, [item.name for item in items]) if items else {}
        return [item for item in items if known.get(item.name, item.version) != item.version]

    def replace_rows(
        self, connection: psycopg.Connection[Any], changed: Iterable[Item], target: TableName, table: Table, mode: Mode
    ) -> None:
        """Delete the rows that came with former versions of changed items.

        Raises:
            ConfigurationError: a history keeps all versions of a row, so that none can go.
            SchemaMismatch: the table has no such column as the items are named in, or rows that name no item.

        """
        former: dict[str, list[str]] = {}
        for item in changed:
            if item.column is not None:
                former.setdefault(shortened(item.column), []).append(item.name)
        for column, names in former.items():
            if mode is Mode.HISTORY:
                raise ConfigurationError(
                    f"table {target}",
                    f"{len(names)} items were loaded in another version ({', '.join(sorted(names)[:3])}), and a history"
                    " keeps all that was ever there",
                    "Merge or append instead, or leave changed items as they were loaded: changed='ignore'.",
                )
            if column not in {there.name for there in table.columns}:
                raise SchemaMismatch(
                    f"table {target}",
                    f"it has no column {column}, by which the rows of {len(names)} changed items are found",
                    "Does a transform drop or rename it? Let it through.",
                    table=str(target),
                    column=column,
                )
            self._delete_rows(connection, names, target, column)
            reach("postgres.commit.after_replacing_items")

    @staticmethod
    def _delete_rows(connection: psycopg.Connection[Any], names: Sequence[str], target: TableName, column: str) -> None:
        gone = connection.execute(
            f"WITH gone AS (DELETE FROM {target.sql} WHERE {quoted(column)} = ANY(%s) RETURNING {quoted(column)})"
            f" SELECT DISTINCT {quoted(column)} FROM gone".encode(),
            (list(names),),
        )
        unseen = sorted(set(names) - {name for (name,) in gone})
        # A file may have had no rows. But rows that name none may be its own, and would stay beside the new ones.
        unnamed = f"SELECT FROM {target.sql} WHERE {quoted(column)} IS NULL LIMIT 1".encode()
        if unseen and connection.execute(unnamed).fetchone() is not None:
            raise SchemaMismatch(
                f"table {target}",
                f"no rows of {len(unseen)} changed items are found ({', '.join(unseen[:3])}), and there are rows"
                f" without a {column}: they may have been loaded before it was there",
                f"Fill {column} in these rows, or load everything anew: mode='replace'.",
                table=str(target),
                column=column,
            )

    def remember(self, connection: psycopg.Connection[Any], items: Sequence[Item], *, anew: bool) -> None:
        """Write what a commit brings; `anew` where it brings everything."""
        if anew:
            connection.execute(f"DELETE FROM {self._table} WHERE {_MINE}".encode(), self.state.key)
        if items:
            connection.execute(
                f"INSERT INTO {self._table} (pipeline, stream, target, item, version)"
                " SELECT %s, %s, %s, item, version FROM unnest(%s::text[], %s::text[]) AS t (item, version)"
                " ON CONFLICT (pipeline, stream, target, item)"
                " DO UPDATE SET version = excluded.version, loaded_at = now()".encode(),
                (*self.state.key, [item.name for item in items], [item.version for item in items]),
            )
