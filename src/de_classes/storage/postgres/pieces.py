"""How what is read is cut into pieces, which are read at once under one snapshot.

A table is cut by its pages: a condition on `ctid` makes the server read those pages and no others. A partitioned table,
or one with children, is cut leaf by leaf, small leaves together. What has no pages of its own (a view, a query, a
foreign table) is one piece, unless `KeyHashes` or `KeyRanges` says by which column it can be cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from de_classes.errors import ConfigurationError

from .identifiers import TableName, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg

    from .described import Described

__all__ = ["Cut", "KeyHashes", "KeyRanges", "Leaf", "Piece", "leaves_below", "pieces_of"]

_LEAVES = """
WITH RECURSIVE below (oid) AS (
    SELECT %s::oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN below ON i.inhparent = below.oid
)
SELECT c.oid, n.nspname, c.relname, c.relkind::text,
       pg_relation_size(c.oid) / current_setting('block_size')::int, pg_table_size(c.oid),
       has_table_privilege(c.oid, 'SELECT') AND NOT c.relrowsecurity
FROM below JOIN pg_class c ON c.oid = below.oid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'f') ORDER BY n.nspname, c.relname
"""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A table with rows of its own: the one that is read, or a partition or child of it."""

    oid: int
    name: TableName
    kind: str
    """pg_class.relkind: `r`, `m`, or `f` for a foreign table."""
    blocks: int
    bytes: int
    """Blocks and out-of-line values (TOAST) together."""
    plain: bool
    """Whether the user may read it by itself, and sees by itself what it sees through its parent."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of the rows: what stands after FROM, and after WHERE if anything does."""

    origin: str
    where: str = ""


class Cut(Protocol):
    """A way to cut what has no pages of its own. Picklable."""

    def conditions(self, connection: psycopg.Connection[Any], described: Described) -> Sequence[str]:
        """Conditions of which each row meets exactly one, under the snapshot of the connection's transaction.

        Raises:
            ConfigurationError: it cannot be cut like this.

        """
        ...


@dataclass(frozen=True, slots=True)
class KeyHashes:
    """Cuts into pieces of about the same number of rows, by a hash of a column's text.

    Each piece costs the server a reading of all rows, of which it sends a part: good where sending is what takes long.
    """

    column: str
    pieces: int

    def __post_init__(self) -> None:
        _check_pieces(self)

    def conditions(self, connection: psycopg.Connection[Any], described: Described) -> Sequence[str]:  # noqa: ARG002 -- as any cut
        """One for each remainder of the hash; nulls are in the first."""
        _check_column(described, self.column)
        hashed = f"coalesce(hashtextextended({quoted(self.column)}::text, 0), 0)"
        return [f"mod(mod({hashed}, {self.pieces}) + {self.pieces}, {self.pieces}) = {n}" for n in range(self.pieces)]


@dataclass(frozen=True, slots=True)
class KeyRanges:
    """Cuts into ranges of a column of whole numbers, of one width between its least and its greatest value.

    Each piece reads only its own rows where an index knows the column; the pieces are alike where numbers are spread
    evenly.
    """

    column: str
    pieces: int

    def __post_init__(self) -> None:
        _check_pieces(self)

    def conditions(self, connection: psycopg.Connection[Any], described: Described) -> Sequence[str]:
        """The first range begins nowhere and has the nulls, the last one ends nowhere.

        Raises:
            ConfigurationError: there is no such column, or it is not one of whole numbers.

        """
        kind = _check_column(described, self.column)
        if kind not in {"smallint", "integer", "bigint"}:
            raise ConfigurationError(
                f"{described.subject}, KeyRanges({self.column!r})",
                f"the column is {kind}, not of whole numbers",
                "Cut it by KeyHashes, or by another column.",
            )
        name = quoted(self.column)
        row = connection.execute(f"SELECT min({name}), max({name}) FROM {described.origin}".encode()).fetchone()
        low, high = row if row and row[0] is not None else (0, 0)
        starts = sorted({low + (high - low + 1) * n // self.pieces for n in range(1, self.pieces)} - {low})
        return [
            f"({name} IS NULL OR {name} < {end})"
            if start is None and end is not None
            else " AND ".join([f"{name} >= {start}"] * (start is not None) + [f"{name} < {end}"] * (end is not None))
            for start, end in zip([None, *starts], [*starts, None], strict=True)
        ]


def leaves_below(connection: psycopg.Connection[Any], oid: int) -> list[Leaf]:
    """A table itself, if it has rows of its own, and its partitions and children, by name."""
    rows = connection.execute(_LEAVES, (oid,)).fetchall()
    return [Leaf(oid, TableName(schema, name), *others) for oid, schema, name, *others in rows]


def pieces_of(described: Described, split_bytes: int) -> list[Piece]:
    """Pieces of about so many bytes on disk, in the order of the leaves and their pages."""
    leaves = described.leaves
    if not described.has_pages:
        return [Piece(described.origin)]
    if len(leaves) == 1 and leaves[0].oid == getattr(described.table, "oid", None):
        return [Piece(described.origin, where) for where in _ranges(leaves[0], split_bytes)]
    pieces = []
    for together in _gathered(leaves, split_bytes):
        if len(together) == 1:
            origin = f"ONLY {together[0].name.sql}"
            pieces += [Piece(origin, where) for where in _ranges(together[0], split_bytes)]
        else:
            pieces.append(Piece(_united(described, together)))
    return pieces


def _ranges(leaf: Leaf, split_bytes: int) -> Iterator[str]:
    """Conditions that cut a leaf's pages; an empty one for all.

    The first range begins nowhere and the last one ends nowhere, so a wrong size costs time and not rows.
    """
    count = 1 if leaf.kind == "f" else max(1, min(leaf.blocks, -(-leaf.bytes // split_bytes)))
    starts = [leaf.blocks * n // count for n in range(1, count)]
    for low, high in zip([None, *starts], [*starts, None], strict=True):
        bounds = [f"ctid >= '({low},0)'"] * (low is not None) + [f"ctid < '({high},0)'"] * (high is not None)
        yield " AND ".join(bounds)


def _gathered(leaves: Sequence[Leaf], split_bytes: int) -> Iterator[list[Leaf]]:
    """Neighbours that are small enough to be one piece; a foreign table, which may lack a ctid, stays alone."""
    together: list[Leaf] = []
    for leaf in leaves:
        alone = leaf.kind == "f"
        if together and (alone or sum(one.bytes for one in together) + leaf.bytes > split_bytes):
            yield together
            together = []
        together.append(leaf)
        if alone:
            yield together
            together = []
    if together:
        yield together


def _united(described: Described, leaves: Sequence[Leaf]) -> str:
    """Several leaves as one origin, with what conditions and errors ask of a row besides its columns."""
    names = ", ".join(["ctid", "xmin", "tableoid", *(quoted(column.name) for column in described.columns)])
    return f"({' UNION ALL '.join(f'SELECT {names} FROM ONLY {leaf.name.sql}' for leaf in leaves)}) AS leaves"


def _check_pieces(cut: KeyHashes | KeyRanges) -> None:
    if isinstance(cut.pieces, bool) or not isinstance(cut.pieces, int) or cut.pieces < 1:
        raise ConfigurationError(repr(cut), "pieces must be a whole number above 0", "Give 4, or so.")


def _check_column(described: Described, name: str) -> str:
    for column in described.columns:
        if column.name == name:
            return column.type.base
    raise ConfigurationError(
        described.subject,
        f"it is to be cut by {name!r}, which it does not have",
        f"Choose from {', '.join(column.name for column in described.columns)}.",
    )


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.storage.postgres._doors.pieces")
