"""COPY as a server sends it, many rows at a time.

psycopg waits anew for each row, which costs more than to read and write it. libpq itself gives every row that has
arrived without waiting.
"""

from __future__ import annotations

import selectors
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import ExecStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.pq.abc import PGresult

__all__ = ["copy_out"]

_CHUNK_BYTES = 128 * 2**10


def copy_out(connection: psycopg.Connection[Any], statement: str, hand_on: Callable[[bytes], None]) -> int:
    """Run COPY ... TO STDOUT and hand its bytes on; how many rows the server says that they are.

    Memory holds a chunk, or one row where that is longer. Errors are psycopg's.
    """
    pgconn = connection.pgconn
    _expect(ExecStatus.COPY_OUT, pgconn.exec_(statement.encode()))
    rows: list[Any] = []
    length, waiting = 0, 0
    with selectors.DefaultSelector() as arrivals:
        arrivals.register(pgconn.socket, selectors.EVENT_READ)
        while length >= 0:
            length, row = pgconn.get_copy_data(1)
            if length > 0:
                rows.append(row)
                waiting += length
            elif length == 0:
                arrivals.select()
                pgconn.consume_input()
            if rows and (length < 0 or waiting >= _CHUNK_BYTES):
                hand_on(b"".join(rows))
                rows, waiting = [], 0
    result = _expect(ExecStatus.COMMAND_OK, pgconn.get_result())
    return result.command_tuples or 0


def _expect(status: ExecStatus, result: PGresult | None) -> PGresult:
    if result is None:
        raise psycopg.OperationalError("the connection is lost")
    if result.status != status:
        raise psycopg.errors.error_from_result(result)
    return result
