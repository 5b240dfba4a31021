"""What an interrupted load had staged: taken over where it is whole and can still be moved, dropped otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .catalogue import table_in_catalogue
from .growing import changes, coming_columns, is_void, wider
from .identifiers import TableName

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

    from de_classes.contracts import Receipt

    from .catalogue import Table
    from .state import State
    from .types import PgType

__all__ = ["complete", "fits"]


def complete(
    connection: psycopg.Connection[Any], state: State, epoch: int, target: Table | None, *, evolves: bool
) -> Mapping[str, Receipt]:
    """Take over what is staged, and drop what is good no more.

    A crash of the server empties unlogged tables; and a target that was altered since needs other staging tables.
    """
    staged: dict[str, Receipt] = {}
    for table, receipt in state.entered(connection, epoch):
        if _is_whole(connection, state, receipt, target, evolves=evolves):
            staged[receipt.split_id] = receipt
        else:
            state.forget(connection, [table])
    return staged


def _is_whole(
    connection: psycopg.Connection[Any], state: State, receipt: Receipt, target: Table | None, *, evolves: bool
) -> bool:
    for kind, rows in (("table", receipt.rows), ("rejected", receipt.rejected), ("alive", receipt.alive)):
        if kind not in receipt.details:
            continue
        name = TableName(state.schema, str(receipt.details[kind]))
        table = table_in_catalogue(connection, name)
        if table is None or (kind == "table" and not fits(table, target, receipt, evolves=evolves)):
            return False
        if connection.execute(f"SELECT count(*) FROM {name.sql}".encode()).fetchone() != (rows,):
            return False
    return True


def fits(staged: Table, target: Table | None, receipt: Receipt, *, evolves: bool) -> bool:
    """Whether a commit can move rows from a staging table into the target, as it is or as it grows for them.

    Only without any doubt about a value: what a column may refuse is copied again, so that the error names the row.
    """
    if target is None or receipt.schema is None:
        return True  # enums come into being with the target
    coming = coming_columns("staged", receipt.schema)
    becomes = {column.name: column.type for column in target.columns}
    if evolves:
        made = changes("staged", [coming], target)
        becomes |= {change.column: change.becomes for change in made if not change.optional}
    types = {column.name: column.type for column in coming}
    return all(_moves(becomes.get(c.name), c.type, types.get(c.name, c.type)) for c in staged.columns)


def _moves(wanted: PgType | None, written: PgType, coming: PgType) -> bool:
    if wanted is None:
        return False
    return wanted in {written, wider(wanted, written)} or wanted.staged == written or is_void(coming)
