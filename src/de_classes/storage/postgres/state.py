"""What a destination remembers in the database: positions and epochs, what is staged, and which items are loaded.

`positions` has a row for each pipeline and stream that ever began: the epoch rises with every commit, so that a load
that was overtaken finds another one than it began with. `staged` is the ledger: a piece has a row there exactly if it
is completely written, since both come with one transaction; a piece's rejected records have a table beside it. A table
that pieces share has a row of its own.

Positions and receipts are kept as json and not as jsonb: text comes back as it was.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa

from de_classes.contracts import Item, Receipt

from ._waiting import STAGING_LOCK_SECONDS, not_for_long
from .identifiers import TableName, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from de_classes.contracts import Position

__all__ = ["State", "alive_of", "rejects_of"]

_LOCK = 0x64655F636C6173
"""The advisory lock under which the tables are created: the letters of de_clas as a number."""

_CREATE = """
SELECT pg_advisory_xact_lock({lock});
CREATE SCHEMA IF NOT EXISTS {schema};
CREATE TABLE IF NOT EXISTS {schema}.positions (
    pipeline text NOT NULL, stream text NOT NULL, target text NOT NULL,
    epoch bigint NOT NULL DEFAULT 0, position json, has_table boolean NOT NULL DEFAULT false,
    commit_id text, committed_at timestamptz,
    PRIMARY KEY (pipeline, stream, target));
CREATE TABLE IF NOT EXISTS {schema}.staged (
    table_name text PRIMARY KEY,
    pipeline text NOT NULL, stream text NOT NULL, target text NOT NULL,
    epoch bigint NOT NULL, split_id text NOT NULL, receipt json NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS {schema}.loaded (
    pipeline text NOT NULL, stream text NOT NULL, target text NOT NULL,
    item text NOT NULL, version text NOT NULL, loaded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, stream, target, item));
"""

_MINE = "pipeline = %s AND stream = %s AND target = %s"
_OPENED_BY = "(receipt -> 'details' ->> 'opened_by')"
"""The run that has made a table for pieces to share, in the line of the table; NULL in that of a piece."""


@dataclass(frozen=True, slots=True)
class State:
    """The memory of one pipeline about one stream on its way into one table."""

    schema: str
    pipeline: str
    stream: str
    target: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What its rows are found by."""
        return self.pipeline, self.stream, self.target

    @property
    def _positions(self) -> str:
        return TableName(self.schema, "positions").sql

    @property
    def _staged(self) -> str:
        return TableName(self.schema, "staged").sql

    def exists(self, connection: psycopg.Connection[Any]) -> bool:
        """Whether anything was ever remembered in this schema."""
        found = _one(
            connection,
            "SELECT to_regclass(%s) IS NOT NULL AND to_regclass(%s) IS NOT NULL",
            (self._positions, self._staged),
        )
        return bool(found)

    def has_loaded(self, connection: psycopg.Connection[Any]) -> bool:
        """Whether there is a table for the items that are loaded."""
        return bool(_one(connection, "SELECT to_regclass(%s) IS NOT NULL", (TableName(self.schema, "loaded").sql,)))

    def ensure(self, connection: psycopg.Connection[Any]) -> None:
        """Create the tables on first use, and those that an earlier version did not make; many may try at once."""
        if not self.exists(connection) or not self.has_loaded(connection):
            connection.execute(_CREATE.format(lock=_LOCK, schema=quoted(self.schema)).encode())
        connection.execute(
            f"INSERT INTO {self._positions} (pipeline, stream, target) VALUES (%s, %s, %s)"
            " ON CONFLICT DO NOTHING".encode(),
            self.key,
        )

    def position(self, connection: psycopg.Connection[Any], *, has_table: bool) -> Position | None:
        """The position of the last commit; None when it had a target table and now there is none.

        A load that gave no rows, and whose columns nobody knew, reaches a position without making a table.
        """
        told = _one(
            connection,
            f"SELECT position::text FROM {self._positions} WHERE {_MINE} AND (%s OR NOT has_table)",
            (*self.key, has_table),
        )
        return None if told is None else json.loads(told)

    def has_table(self, connection: psycopg.Connection[Any]) -> bool:
        """Whether the last commit left a target table behind."""
        return bool(_one(connection, f"SELECT has_table FROM {self._positions} WHERE {_MINE}", self.key))

    def epoch(self, connection: psycopg.Connection[Any], *, lock: bool = False) -> int | None:
        """How many commits there were; `lock` holds off others until the transaction ends. None: the row is gone."""
        told = _one(
            connection, f"SELECT epoch FROM {self._positions} WHERE {_MINE}{' FOR UPDATE' if lock else ''}", self.key
        )
        return None if told is None else int(told)

    def was_committed(self, connection: psycopg.Connection[Any], epoch: int, commit_id: str) -> bool | None:
        """Whether it is this commit that ended the epoch; None where others have followed, and nobody knows.

        Waits for a transaction that is about to say so.
        """
        sql = f"SELECT epoch, commit_id FROM {self._positions} WHERE {_MINE} FOR UPDATE"
        now, last = connection.execute(sql.encode(), self.key).fetchone() or (epoch, None)
        return True if last == commit_id else None if now > epoch + 1 else False

    def advance(
        self, connection: psycopg.Connection[Any], position: Position | None, commit_id: str, *, has_table: bool
    ) -> None:
        """Write the position of a commit, and whether it leaves a target table behind."""
        connection.execute(
            f"UPDATE {self._positions} SET epoch = epoch + 1, position = %s, has_table = %s,"
            f" commit_id = %s, committed_at = now() WHERE {_MINE}".encode(),
            (None if position is None else json.dumps(position), has_table, commit_id, *self.key),
        )

    # --- the ledger ---

    def enter(self, connection: psycopg.Connection[Any], epoch: int, table: str, receipt: Receipt) -> None:
        """Say that a split is completely staged, in this table and in that of its rejected records."""
        connection.execute(
            f"INSERT INTO {self._staged} (table_name, pipeline, stream, target, epoch, split_id, receipt)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)".encode(),
            (table, *self.key, epoch, receipt.split_id, _receipt_to_json(receipt)),
        )

    def open(self, connection: psycopg.Connection[Any], epoch: int, table: str, run: str, schema: pa.Schema) -> None:
        """Say that a run has made a table for pieces with this schema: the line of a split without rows."""
        self.enter(connection, epoch, table, Receipt("", 0, 0, schema, details={"table": table, "opened_by": run}))

    def opened(
        self, connection: psycopg.Connection[Any], epoch: int, run: str | None = None
    ) -> Sequence[tuple[str, pa.Schema]]:
        """The tables that this run, or any, has made for pieces to share, oldest first, and the schema of those."""
        rows = connection.execute(
            f"SELECT table_name, receipt::text FROM {self._staged} WHERE {_MINE} AND epoch = %s"
            f" AND {_OPENED_BY} = coalesce(%s, {_OPENED_BY}) ORDER BY written_at, table_name".encode(),
            (*self.key, epoch, run),
        )
        receipts = [(table, _receipt_from_json(text)) for table, text in rows]
        return [(table, receipt.schema) for table, receipt in receipts if receipt.schema is not None]

    def pieces_in(self, connection: psycopg.Connection[Any], table: str) -> int:
        """How many pieces are in a staging table."""
        sql = (
            f"SELECT count(*) FROM {self._staged} WHERE receipt -> 'details' ->> 'table' = %s AND {_OPENED_BY} IS NULL"
        )
        return int(_one(connection, sql, (table,)))

    def entered(self, connection: psycopg.Connection[Any], epoch: int) -> Sequence[tuple[str, Receipt]]:
        """What loads of this epoch have staged, oldest first, each by its table's name."""
        rows = connection.execute(
            f"SELECT table_name, receipt::text FROM {self._staged} WHERE {_MINE} AND epoch = %s"
            f" AND {_OPENED_BY} IS NULL ORDER BY written_at, table_name".encode(),
            (*self.key, epoch),
        )
        return [(table, _receipt_from_json(text)) for table, text in rows]

    def forget(self, connection: psycopg.Connection[Any], tables: Sequence[str]) -> None:
        """Drop staging tables together with their lines; what somebody still writes to stays for a later run."""
        held = [table for table in tables if not self._dropped(connection, table)]
        connection.execute(
            f"DELETE FROM {self._staged} WHERE table_name = ANY(%(tables)s) AND table_name <> ALL(%(held)s)"
            " AND coalesce(receipt -> 'details' ->> 'table', table_name) <> ALL(%(held)s)".encode(),
            {"tables": list(tables), "held": held},
        )

    def _dropped(self, connection: psycopg.Connection[Any], table: str) -> bool:
        names = (TableName(self.schema, name).sql for name in (table, rejects_of(table), alive_of(table)))
        try:
            with connection.transaction(), not_for_long(connection, STAGING_LOCK_SECONDS):
                connection.execute(f"DROP TABLE IF EXISTS {', '.join(names)}".encode())
        except psycopg.errors.LockNotAvailable:
            return False
        return True

    def forget_up_to(self, connection: psycopg.Connection[Any], epoch: int) -> None:
        """Drop everything that was staged in this epoch and before."""
        rows = connection.execute(
            f"SELECT table_name FROM {self._staged} WHERE {_MINE} AND epoch <= %s".encode(), (*self.key, epoch)
        )
        self.forget(connection, [table for (table,) in rows])


def rejects_of(table: str) -> str:
    """The staging table of a piece's rejected records, by that of its rows: they come and go together."""
    return f"{table}_rejected"


def alive_of(table: str) -> str:
    """The staging table of the keys that a piece tells to be alive, likewise."""
    return f"{table}_alive"


def _one(connection: psycopg.Connection[Any], sql: str, parameters: Sequence[Any]) -> Any:
    row = connection.execute(sql.encode(), parameters).fetchone()
    return None if row is None else row[0]


def _receipt_to_json(receipt: Receipt) -> str:
    schema = None
    if receipt.schema is not None:
        schema = base64.b64encode(receipt.schema.serialize().to_pybytes()).decode()
    return json.dumps(
        {
            "split_id": receipt.split_id,
            "rows": receipt.rows,
            "bytes": receipt.bytes,
            "schema": schema,
            "position": receipt.position,
            "details": dict(receipt.details),
            "rejected": receipt.rejected,
            "alive": receipt.alive,
            "checksum": receipt.checksum,
            "left_out": receipt.left_out,
            "replaced": receipt.replaced,
            "items": [[item.name, item.version, item.column, item.place] for item in receipt.items],
        }
    )


def _receipt_from_json(text: str) -> Receipt:
    told = json.loads(text)
    if told["schema"] is not None:
        told["schema"] = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(told["schema"])))
    told["items"] = tuple(Item(*item) for item in told.get("items", ()))
    return Receipt(**told)
