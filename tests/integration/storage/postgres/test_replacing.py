"""What stands around a table stays when its rows are replaced, and rows of other tables are never taken along."""

from __future__ import annotations

import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Mode, Position, Stream
from de_classes.errors import ConfigurationError, CountMismatch, PostgresError
from de_classes.storage.postgres import PostgresClient, PostgresDestination

ORDERS = Stream("orders", ("id",))
AROUND = """
CREATE TABLE customers (id int PRIMARY KEY); INSERT INTO customers VALUES (1);
CREATE TABLE orders (id bigint PRIMARY KEY, status text UNIQUE, customer int DEFAULT 1 REFERENCES customers, note text,
                     place int GENERATED ALWAYS AS IDENTITY);
COMMENT ON TABLE orders IS 'what was ordered'; COMMENT ON COLUMN orders.status IS 'new or paid';
CREATE INDEX by_note ON orders (note) WHERE note IS NOT NULL;
CREATE VIEW paid AS SELECT id FROM orders WHERE status = 'paid';
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM orders;
GRANT SELECT ON orders TO PUBLIC; GRANT UPDATE (note) ON orders TO PUBLIC;
CREATE TABLE told (n int); CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN INSERT INTO told VALUES (1); RETURN NULL; END';
CREATE TRIGGER tell AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION tell();
ALTER TABLE orders ADD CONSTRAINT known CHECK (status <> 'odd'); ALTER TABLE orders REPLICA IDENTITY FULL;
INSERT INTO orders (id, status, note) VALUES (1, 'a', 'x'), (2, 'b', 'y'), (3, 'c', NULL);
"""
STANDING = """
SELECT c.relname, c.relacl::text, c.relreplident, obj_description(c.oid), col_description(c.oid, 2),
       ARRAY(SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = c.oid ORDER BY 1),
       ARRAY(SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = c.oid ORDER BY 1),
       ARRAY(SELECT tgname::text FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal), c.oid
FROM pg_class c WHERE c.relname IN ('orders', 'paid', 'counted', 'lines') ORDER BY 1
"""


def _orders(*rows: tuple[int, str]) -> pa.RecordBatch:
    ids, statuses = zip(*rows, strict=True) if rows else ((), ())
    return pa.record_batch({"id": pa.array(ids, pa.int64()), "status": pa.array(statuses, pa.string())})


def _replaced(destination: PostgresDestination, *pieces: pa.RecordBatch, position: Position | None = None) -> None:
    with destination.begin("p", ORDERS, Mode.REPLACE) as load:
        receipts = [load.write(f"split-{n}", iter([Batch(piece)])) for n, piece in enumerate(pieces)]
        load.commit(receipts, position)


@pytest.mark.parametrize("truncate", [False, True])
def test_what_stands_around_a_table_stays(client: PostgresClient, truncate: bool) -> None:
    """Views, grants, indexes, triggers, comments, constraints and the table's identity are what they were."""
    client.run(AROUND)
    before = client.fetch(STANDING)
    _replaced(PostgresDestination(client, truncate=truncate), _orders((2, "paid"), (9, "new")))
    assert client.fetch(STANDING) == before
    assert client.fetch("TABLE paid") == [(2,)]
    assert client.fetch("SELECT id, status, customer, note FROM orders ORDER BY 1") == [
        (2, "paid", 1, None),
        (9, "new", 1, None),
    ]
    assert len(client.fetch("TABLE told")) == 5


@pytest.mark.parametrize("truncate", [False, True])
@pytest.mark.parametrize("action", ["CASCADE", "RESTRICT", "SET NULL"])
def test_rows_that_refer_to_those_that_stay_are_left_alone(client: PostgresClient, action: str, truncate: bool) -> None:
    """Rows with a key that comes again are updated in place; one that is gone and referred to ends the load."""
    client.run(AROUND)
    client.run(f"CREATE TABLE lines (n int, order_id bigint REFERENCES orders ON DELETE {action})")
    client.run("INSERT INTO lines VALUES (1, 1), (2, 2)")
    before, destination = client.fetch(STANDING), PostgresDestination(client, truncate=truncate)
    # The value of a unique column moves from a row that goes to one that comes.
    _replaced(destination, _orders((1, "a"), (2, "paid")), _orders((4, "c")), position={"day": 1})
    assert client.fetch(STANDING) == before
    assert client.fetch("SELECT id, status, note FROM orders ORDER BY 1") == [
        (1, "a", None),
        (2, "paid", None),
        (4, "c", None),
    ]
    assert client.fetch("TABLE lines ORDER BY 1") == [(1, 1), (2, 2)]
    error = PostgresError if action == "RESTRICT" else ConfigurationError
    told = r"lines.*\n.*load them in their order" if action == "RESTRICT" else rf"1 rows of lines.*ON DELETE {action}"
    with pytest.raises(error, match=told):
        _replaced(destination, _orders((1, "a")), position={"day": 2})
    assert destination.position("p", ORDERS) == {"day": 1}
    assert client.fetch("TABLE lines ORDER BY 1") == [(1, 1), (2, 2)]
    client.run("DELETE FROM lines WHERE order_id = 2")
    _replaced(destination, _orders((1, "a")), position={"day": 2})
    assert client.fetch("TABLE lines") == [(1, 1)]
    assert client.fetch("SELECT id FROM orders") == [(1,)]


def test_rows_that_cannot_stay_in_place_are_refused(client: PostgresClient) -> None:
    """Without a key nobody can tell which rows stay, and a key that comes twice is no replacement."""
    client.run("CREATE TABLE orders (id bigint PRIMARY KEY, status text); INSERT INTO orders VALUES (1, 'a')")
    client.run("CREATE TABLE lines (order_id bigint CONSTRAINT of_order REFERENCES orders ON DELETE CASCADE)")
    client.run("INSERT INTO lines VALUES (1)")
    destination = PostgresDestination(client)
    with destination.begin("p", Stream("orders"), Mode.REPLACE) as load:
        receipt = load.write("split", iter([Batch(_orders((2, "b")))]))
        with pytest.raises(ConfigurationError, match=r"of_order of lines.*\n.*primary key"):
            load.commit([receipt], None)
    with pytest.raises(CountMismatch, match="2 rows were to replace"):
        _replaced(destination, _orders((1, "b"), (1, "c")))
    assert client.fetch("TABLE lines") == [(1,)]
    assert client.fetch("TABLE orders") == [(1, "a")]


def test_foreign_keys_to_and_of_partitions_count(client: PostgresClient) -> None:
    """Rows of a partition may be referred to by themselves, and by partitions of other tables."""
    client.run("CREATE TABLE orders (id bigint PRIMARY KEY, status text) PARTITION BY RANGE (id)")
    client.run("CREATE TABLE first PARTITION OF orders FOR VALUES FROM (0) TO (10)")
    client.run("INSERT INTO orders VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    client.run("CREATE TABLE direct (r bigint REFERENCES first ON DELETE CASCADE); INSERT INTO direct VALUES (1)")
    client.run("CREATE TABLE parted (r bigint REFERENCES orders ON DELETE SET DEFAULT) PARTITION BY LIST (r)")
    client.run("CREATE TABLE part PARTITION OF parted DEFAULT; INSERT INTO parted VALUES (2)")
    destination = PostgresDestination(client)
    with pytest.raises(ConfigurationError, match=r"1 rows of direct .*ON DELETE CASCADE"):
        _replaced(destination, _orders((2, "b")))
    with pytest.raises(ConfigurationError, match=r"1 rows of parted .*ON DELETE SET DEFAULT"):
        _replaced(destination, _orders((1, "a")))
    _replaced(destination, _orders((1, "a"), (2, "new")))
    assert client.fetch("TABLE orders ORDER BY 1") == [(1, "a"), (2, "new")]
    assert client.fetch("TABLE direct UNION ALL TABLE parted") == [(1,), (2,)]


def test_rows_that_swap_unique_values_need_a_deferrable_constraint(client: PostgresClient) -> None:
    """In place, one row has the other's value for a moment: the error says what helps, and that does."""
    client.run("CREATE TABLE orders (id bigint PRIMARY KEY, status text CONSTRAINT one UNIQUE)")
    client.run("INSERT INTO orders VALUES (1, 'a'), (2, 'b')")
    client.run("CREATE TABLE lines (id bigint REFERENCES orders); INSERT INTO lines VALUES (1), (2)")
    destination = PostgresDestination(client)
    with pytest.raises(PostgresError, match=r"(?s)one lets only one have: Key \(status\)=.*DEFERRABLE") as told:
        _replaced(destination, _orders((1, "b"), (2, "a")))
    assert told.value.sqlstate == "23505"
    client.run("ALTER TABLE orders DROP CONSTRAINT one, ADD CONSTRAINT one UNIQUE (status) DEFERRABLE")
    _replaced(destination, _orders((1, "b"), (2, "a")))
    assert client.fetch("SELECT id, status FROM orders ORDER BY id") == [(1, "b"), (2, "a")]
