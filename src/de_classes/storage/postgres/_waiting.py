"""How long a commit waits for a lock behind which everybody else would queue up."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

__all__ = ["DDL_LOCK_SECONDS", "STAGING_LOCK_SECONDS", "not_for_long"]

DDL_LOCK_SECONDS = 30
"""Whoever comes after one that waits for an exclusive lock waits as well, readers included."""
STAGING_LOCK_SECONDS = 3
"""For a table that nobody has business with but a worker that was given up: longer than autovacuum holds anybody up."""


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
