"""PostgreSQL to PostgreSQL: the bytes of COPY go from one server to the other, and nobody looks into them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from de_classes.contracts import Receipt
from de_classes.errors import CountMismatch
from de_classes.utils.faults import reach

from ._errors import postgres_errors
from .catalogue import checks_of, column_list, has_all_characters, table_in_catalogue
from .identifiers import TableName
from .placing import place
from .sharing import new_name
from .splitting import PostgresSplit

if TYPE_CHECKING:
    import psycopg

    from .placing import Placing
    from .staging import Staging

__all__ = ["HandingOver"]

_OF_ONE_DATABASE = {
    "aclitem", "regclass", "regcollation", "regconfig", "regdictionary", "regnamespace", "regoper", "regoperator",
    "regproc", "regprocedure", "regrole", "regtype",
}  # fmt: skip
"""Types whose binary form is the number of an object, which is another object elsewhere, or that have none."""

_INFINITE_INTERVALS = 170_000
"""From here on the greatest and the least interval are infinite: the same bytes mean something else before."""


@dataclass(frozen=True, slots=True)
class HandingOver:
    """Takes the rows of a split of PostgreSQL as COPY BINARY has them, where both sides have the very same types.

    That is so for all built-in types; what is made in each database (enums, domains, composites) or belongs to an
    extension has numbers of its own there, and so have the objects that a `regclass` and its like name. Values that
    Arrow has no place for, such as a date of `infinity`, travel as they are. A database that lacks some characters gets
    rows, of which the one with such a character can be named.

    Servers of different versions may be at the two ends: what the types in question send has been the same since
    PostgreSQL 10, or is refused aloud by an older one (an infinite numeric, before 14). Intervals are the exception.
    """

    staging: Staging

    def take(self, connection: psycopg.Connection[Any], split_id: str, split: object) -> Receipt | None:
        """Stage a split, and commit that together with its line in the ledger; None where its rows must be batches.

        Raises:
            CountMismatch: the servers do not agree about how many rows there were.
            PlanLost: the snapshot that the split is read under is gone.

        """
        placing = self._placing(connection, split) if has_all_characters(connection) else None
        if placing is None or not isinstance(split, PostgresSplit):
            return None
        reach("postgres.write.before_copy")
        staging, label = self.staging, new_name(self.staging.state).table
        there = table_in_catalogue(connection, staging.target)
        details = staging.room(connection, label, split.selection.schema, placing, there)
        name = TableName(staging.state.schema, details["table"])
        reach("postgres.write.after_create")
        statement = f"COPY {name.sql} ({column_list(placing.columns)}) FROM STDIN WITH (FORMAT binary)"
        size = 0
        with connection.cursor() as cursor:
            with cursor.copy(statement.encode()) as copy:

                def hand_on(piece: bytes) -> None:
                    nonlocal size
                    size += len(piece)
                    with postgres_errors(f"table {staging.target}"):
                        copy.write(piece)
                    reach("postgres.write.in_copy")

                given = split.copied(hand_on)
            taken = cursor.rowcount
        if given != taken:
            fact = f"one server gave {given} rows of split {split.id!r}, and the other took {taken}"
            raise CountMismatch(f"table {staging.target}", fact, "Run it again.", promised=given, found=taken)
        receipt = Receipt(split_id, taken, size, split.selection.schema, details=details)
        reach("postgres.write.after_copy")
        staging.enter(connection, label, receipt)
        return receipt

    def _placing(self, connection: psycopg.Connection[Any], split: object) -> Placing | None:
        """Where the columns go; None unless every one of them goes into its very type."""
        if not isinstance(split, PostgresSplit) or split.tells_keys or split.selection.unheld != "fail":
            return None
        staging, selection = self.staging, split.selection
        there = table_in_catalogue(connection, staging.target)
        if staging.sieve(selection.schema, there).refused:
            return None
        placing = place(str(staging.target), selection.schema, there, staging.primary_key, staging.schema_changes)
        nullable = {column.name for column in selection.columns if column.nullable}
        alike = all(
            to.type == column.type and not column.type.is_made and column.type.base not in {"type", *_OF_ONE_DATABASE}
            for to, column in zip(placing.columns, selection.columns, strict=True)
        )
        if not alike or placing.required & nullable:
            return None
        own = [column.name for column in placing.columns]
        if there is not None and staging.unfit != "fail" and checks_of(connection, there, own):
            return None  # of rows, those that a check refuses can be set aside
        intervals = any(column.type.element.base.startswith("interval") for column in selection.columns)
        if intervals and not _same_intervals(connection.info.server_version, split.server_version()):
            return None
        return placing


def _same_intervals(one: int, other: int) -> bool:
    """Whether the bytes of an interval mean the same to servers of these versions."""
    return (one >= _INFINITE_INTERVALS) == (other >= _INFINITE_INTERVALS)
