"""Waiting for others: for a turn that loads take, and how long for a lock behind which everybody would queue up."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

__all__ = ["DDL_LOCK_SECONDS", "STAGING_LOCK_SECONDS", "not_for_long", "wait_for_turn"]

DDL_LOCK_SECONDS = 30
"""Whoever comes after one that waits for an exclusive lock waits as well, readers included."""
STAGING_LOCK_SECONDS = 3
"""For a table that nobody has business with but a worker that was given up: longer than autovacuum holds anybody up."""


def wait_for_turn(connection: psycopg.Connection[Any], doing: str) -> None:
    """Wait until no other load does this, such as to make a table; none does until this transaction ends."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"de_classes {doing}",))


@contextmanager
def not_for_long(connection: psycopg.Connection[Any], seconds: float = DDL_LOCK_SECONDS) -> Iterator[None]:
    """Wait for each lock so long at most, unless the session has a lock_timeout of its own.

    Raises psycopg's LockNotAvailable; the transaction is then over.
    """
    set_by_us = connection.execute(
        "SELECT set_config('lock_timeout', %s, true) WHERE current_setting('lock_timeout') = '0'",
        (f"{seconds}s",),
    ).fetchone()
    yield
    if set_by_us:
        connection.execute("SET LOCAL lock_timeout TO 0")
