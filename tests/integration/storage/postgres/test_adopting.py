"""Where the target is missing, a staging table becomes it, and nobody can tell."""

from __future__ import annotations

from typing import Any

import psycopg
import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Mode, Receipt, Stream
from de_classes.errors import CountMismatch, DeClassesError
from de_classes.storage.postgres import PostgresClient, PostgresDestination
from de_classes.storage.postgres.load import PostgresLoad

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("total", pa.decimal128(10, 2)),
        pa.field("name", pa.string()),
    ]
)
ORDERS = Stream("orders", ("id",), SCHEMA)


def rows(*ids: int, name: str = "x") -> list[Batch]:
    return [Batch(pa.RecordBatch.from_pylist([{"id": n, "total": None, "name": name} for n in ids], SCHEMA))]


def written(load: PostgresLoad, *pieces: list[Batch]) -> list[Receipt]:
    return [load.write(f"split {n}", iter(piece)) for n, piece in enumerate(pieces)]


def committed(client: PostgresClient, mode: Mode, *pieces: list[Batch], schema: str = "public") -> None:
    with PostgresDestination(client, schema=schema).begin("test", ORDERS, mode) as load:
        load.commit(written(load, *pieces), {"at": 1})


def filenode(client: PostgresClient, table: str) -> Any:
    return client.fetch(f"SELECT pg_relation_filenode('{table}')")


@pytest.mark.parametrize("mode", list(Mode)[:3])
def test_the_largest_piece_becomes_the_table(client: PostgresClient, mode: Mode) -> None:
    """Its file is the table's, the others are moved into it, and there is the table that would have been made."""
    with PostgresDestination(client).begin("test", ORDERS, mode) as load:
        receipts = written(load, rows(1, 2, 3), rows(4))
        file = filenode(client, f"de_classes.{receipts[0].details['table']}")
        load.commit(receipts, {"at": 1})
    assert filenode(client, "orders") == file
    assert client.fetch("SELECT array_agg(id ORDER BY id) FROM orders") == [([1, 2, 3, 4],)]
    columns = "SELECT attname::text, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute"
    assert client.fetch(f"{columns} WHERE attrelid = 'orders'::regclass AND attnum > 0 ORDER BY attnum") == [
        ("id", "bigint", True),
        ("total", "numeric(10,2)", False),
        ("name", "text", False),
    ]
    assert client.fetch(
        "SELECT pg_get_constraintdef(oid), conname::text FROM pg_constraint WHERE contype = 'p'"
        " AND conrelid = 'orders'::regclass"
    ) == [("PRIMARY KEY (id)", "orders_pkey")]
    assert client.fetch("SELECT count(*) FROM pg_constraint WHERE contype = 'c' AND conrelid > 0") == [(0,)]
    assert client.fetch("SELECT relpersistence::text FROM pg_class WHERE oid = 'orders'::regclass") == [("p",)]
    assert client.fetch("SELECT count(*) FROM pg_class WHERE relname LIKE 'staged\\_%' AND relkind = 'r'") == [(0,)]


def test_what_becomes_the_table_leaves_nothing_to_vacuum(client: PostgresClient) -> None:
    """Its rows are frozen as they are written: all of its pages are known to be visible to everybody."""
    committed(client, Mode.APPEND, rows(*range(1000)))
    client.run("ANALYZE orders")
    visible = "SELECT relpages > 1 AND relallvisible = relpages FROM pg_class WHERE oid = 'orders'::regclass"
    assert client.fetch(visible) == [(True,)]


def test_a_second_load_finds_its_table(client: PostgresClient) -> None:
    """The table is one like any other: what comes later is appended, merged, and replaces."""
    for mode, ids, there in (
        (Mode.APPEND, (1, 2), [1, 2]),
        (Mode.MERGE, (2, 3), [1, 2, 3]),
        (Mode.REPLACE, (9,), [9]),
        (Mode.APPEND, (10,), [9, 10]),
    ):
        committed(client, mode, rows(*ids))
        assert client.fetch("SELECT array_agg(id ORDER BY id) FROM orders") == [(there,)]


def test_keys_that_come_twice_are_merged(client: PostgresClient) -> None:
    """A first merge with a key that is in its piece twice, or in two pieces, keeps the last row of each."""
    committed(client, Mode.MERGE, [*rows(1, 2, name="old"), *rows(1, name="new")], rows(2, name="newest"))
    assert client.fetch("SELECT id, name FROM orders ORDER BY id") == [(1, "new"), (2, "newest")]


def test_a_merge_keeps_the_order_of_its_pieces(client: PostgresClient) -> None:
    """The last piece wins, also where a later one is larger than the first."""
    committed(client, Mode.MERGE, rows(1, name="old"), rows(1, 2, 3, name="new"))
    assert client.fetch("SELECT DISTINCT name FROM orders") == [("new",)]


def test_keys_that_come_twice_are_not_appended(client: PostgresClient) -> None:
    """An append of a key twice fails as ever, and leaves no table."""
    with pytest.raises(DeClassesError, match="duplicate key"):
        committed(client, Mode.APPEND, rows(1, 2, 1))
    assert client.fetch("SELECT to_regclass('orders')") == [(None,)]


def test_rows_that_are_missing_are_seen(client: PostgresClient) -> None:
    """A piece that lost a row since it was written is not made visible."""
    with PostgresDestination(client).begin("test", ORDERS, Mode.APPEND) as load:
        receipts = written(load, rows(1, 2, 3))
        client.run(f"DELETE FROM de_classes.{receipts[0].details['table']} WHERE id = 2")
        with pytest.raises(CountMismatch, match="promised 3 rows and 2"):
            load.commit(receipts, {"at": 1})
    assert client.fetch("SELECT to_regclass('orders')") == [(None,)]


@pytest.mark.parametrize(
    "watching",
    [
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC",
        "CREATE PUBLICATION everything FOR ALL TABLES",
        """CREATE FUNCTION seen() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
           CREATE EVENT TRIGGER seen ON ddl_command_end EXECUTE FUNCTION seen()""",
    ],
    ids=["default privileges", "of the schema", "publication", "event trigger"],
)
def test_where_somebody_could_tell_the_table_is_made_anew(
    postgres_url: str, client: PostgresClient, watching: str
) -> None:
    """Privileges by default, replication and event triggers go by where a table is made: there, rows are moved."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(watching.encode())
    with PostgresDestination(client).begin("test", ORDERS, Mode.APPEND) as load:
        receipts = written(load, rows(1, 2, 3))
        staged = f"de_classes.{receipts[0].details['table']}"
        assert client.fetch(f"SELECT relpersistence::text FROM pg_class WHERE oid = '{staged}'::regclass") == [("u",)]
        load.commit(receipts, {"at": 1})
    assert client.fetch(
        "SELECT count(*), (SELECT relacl IS NULL FROM pg_class WHERE oid = 'orders'::regclass) FROM orders"
    ) == [(3, "DEFAULT" not in watching)]


def test_a_table_that_came_meanwhile_is_loaded_into(client: PostgresClient) -> None:
    """Somebody makes the table between the writing and the commit: the rows are moved into that one."""
    with PostgresDestination(client).begin("test", ORDERS, Mode.APPEND) as load:
        receipts = written(load, rows(1, 2, 3))
        client.run("CREATE TABLE orders (id bigint PRIMARY KEY, total numeric(10,2), name text, more int DEFAULT 7)")
        load.commit(receipts, {"at": 1})
    assert client.fetch("SELECT count(*), min(more) FROM orders") == [(3, 7)]
