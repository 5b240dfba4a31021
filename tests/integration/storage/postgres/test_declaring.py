"""Indexes and constraints that are declared are made with the table or later, once, and hold."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Mode, Stream
from de_classes.errors import ConfigurationError, PostgresError
from de_classes.storage.postgres import Check, ForeignKey, Index, PostgresClient, PostgresDestination

SCHEMA = pa.schema([("id", pa.int64()), ("code", pa.string()), ("customer", pa.int32())])
ORDERS = Stream("orders", ("id",), SCHEMA)
DECLARED = (
    Index(["code"], unique=True),
    Index(["customer", "code"]),
    Index(["customer"], where="code <> 'old'"),
    Index(["customer"], method="hash"),
    ForeignKey(["customer"], "customers"),
    Check("id > 0"),
    Check("code <> ''"),
)
MADE = """
SELECT ARRAY(SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'orders'::regclass ORDER BY 1),
       ARRAY(SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'orders'::regclass
             AND contype IN ('c', 'f', 'p') ORDER BY 1)
"""


def _destination(client: PostgresClient, declared: Sequence[Any] = DECLARED) -> PostgresDestination:
    return PostgresDestination(client, declared={"orders": declared})


def _load(to: PostgresDestination, *rows: tuple[int, str, int], mode: Mode = Mode.APPEND) -> None:
    records = pa.RecordBatch.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in rows], SCHEMA)
    with to.begin("p", ORDERS, mode) as load:
        load.commit([load.write("split", iter([Batch(records)]))], {"rows": len(rows)})


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("mode", ["append", "replace", "merge"])
def test_what_is_declared_is_made_once(client: PostgresClient, before: bool, mode: str) -> None:
    """A new table gets all of it, one that is there what it lacks, and the next load nothing more."""
    client.run("CREATE TABLE customers (id int PRIMARY KEY); INSERT INTO customers VALUES (7)")
    if before:
        _load(PostgresDestination(client), (3, "z", 7))
        client.run("CREATE UNIQUE INDEX mine ON orders (code)")
    destination = _destination(client)
    told = destination.preview(ORDERS, Mode(mode))
    assert len(told) == (6 if before else 8)
    _load(destination, (1, "x", 7), mode=Mode(mode))
    made = client.fetch(MADE)
    assert len(made[0][0]) == 5
    assert made[0][1] == [
        "CHECK ((code <> ''::text))",
        "CHECK ((id > 0))",
        "FOREIGN KEY (customer) REFERENCES customers(id)",
        "PRIMARY KEY (id)",
    ]
    _load(destination, (2, "y", 7), mode=Mode(mode))
    assert client.fetch(MADE) == made
    assert destination.preview(ORDERS, Mode(mode)) == []
    with pytest.raises(PostgresError, match=r"unique|lets only one have"):
        _load(destination, (8, "same", 7), (9, "same", 7), mode=Mode(mode))


@pytest.mark.parametrize(
    ("declared", "error", "told"),
    [
        (Index(["code"], unique=True), PostgresError, r"not as declared.*\(code\)=\(x\) is duplicated"),
        (Check("id > 1"), PostgresError, r"not as declared.*is violated by some row"),
        (ForeignKey(["customer"], "customers"), PostgresError, r"\(customer\)=\(8\) is not present"),
        (ForeignKey(["customer"], "nobody"), ConfigurationError, r"public.nobody.*does not exist"),
        (Index(["colour"]), ConfigurationError, r"colour"),
        (Index(["code"]), ConfigurationError, r"orders_code_idx.*already exists"),
        (Index("code"), ConfigurationError, r"one text, not a list"),
    ],
)
def test_what_cannot_be_made_ends_the_load(client: PostgresClient, declared: Any, error: Any, told: str) -> None:
    """Rows, names and columns that are in the way are told, and neither rows nor position have changed."""
    client.run("CREATE TABLE customers (id int PRIMARY KEY); INSERT INTO customers VALUES (7)")
    client.run("CREATE INDEX orders_code_idx ON customers (id)")
    destination = _destination(client, [declared])
    with pytest.raises(error, match=told):
        _load(destination, (1, "x", 7), (2, "x", 8))
    assert client.fetch("SELECT to_regclass('orders')") == [(None,)]
    assert destination.position("p", ORDERS) is None


def test_two_that_declare_at_once_take_turns(client: PostgresClient) -> None:
    """Pipelines that find the same missing on one table do not wait for each other's rows for ever: both commit."""
    client.run("CREATE TABLE orders (id bigint PRIMARY KEY, code text, customer int)")
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = %s::oid"
    ((database,),) = client.fetch("SELECT oid FROM pg_database WHERE datname = current_database()")
    destination = _destination(client, [Index(["code"])])

    def commit(number: int) -> None:
        records = pa.RecordBatch.from_pylist([{"id": number, "code": "a", "customer": 1}], SCHEMA)
        with destination.begin(f"p{number}", ORDERS, Mode.APPEND) as load:
            load.commit([load.write("split", iter([Batch(records)]))], None)

    destination.client.lock_timeout_seconds = 20
    with ThreadPoolExecutor(2) as pool:
        with client.connect() as writer:  # both go as far as they can, and no farther
            writer.execute("LOCK TABLE orders IN ROW EXCLUSIVE MODE")
            both = [pool.submit(commit, number) for number in (1, 2)]
            deadline = time.monotonic() + 20
            while client.fetch(waiting, (database,)) != [(2,)] and time.monotonic() < deadline:
                pass
        for one in both:
            one.result()
    assert client.fetch("SELECT count(*) FROM orders") == [(2,)]
