"""Bytes of a COPY that wait, in memory or in a file without a name, until their connection is free for them.

A connection does one COPY at a time, and what is staged of a split belongs to one transaction.
"""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import psycopg

__all__ = ["Spool"]

_MEMORY_BYTES = 4 * 2**20
_CHUNK_BYTES = 2**18


class Spool:
    """What is written comes back once, by `copy`; leaving the context forgets it."""

    def __init__(self) -> None:
        self.size = 0
        self._file = tempfile.SpooledTemporaryFile(_MEMORY_BYTES)  # noqa: SIM115 -- closed by __exit__

    def write(self, piece: bytes) -> None:
        """Keep some more."""
        self._file.write(piece)
        self.size += len(piece)

    def copy(self, connection: psycopg.Connection[Any], statement: str) -> None:
        """Send everything by a COPY ... FROM STDIN."""
        self._file.seek(0)
        with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            while chunk := self._file.read(_CHUNK_BYTES):
                copy.write(chunk)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
