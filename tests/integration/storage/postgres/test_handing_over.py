"""Between two PostgreSQL the bytes of COPY are handed on, where the types agree; otherwise rows become batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from de_classes.contracts import Batch, Mode, Stream
from de_classes.errors import CountMismatch, DeClassesError, ValueNotHeld
from de_classes.pipelines import Pipeline, Route
from de_classes.storage.postgres import PostgresClient, PostgresDestination, PostgresSource
from de_classes.storage.postgres.read import Selection
from de_classes.storage.postgres.splitting import PostgresSplit
from de_classes.transforms import Rename

BUILT_IN = r"""
CREATE TABLE t (id int PRIMARY KEY, n numeric, m numeric(12, 3), at timestamptz, day date, span interval, list int[],
                texts text[], data jsonb, plain json, raw bytea, word varchar(9), pad char(4), ok boolean, f real,
                d float8, ip inet, net cidr, mac macaddr, bits bit varying, u uuid, r int4range,
                rs nummultirange, p point,
                late timetz, vector tsvector);
INSERT INTO t (id, n, m, at, day, span, list, texts, data, word, pad, f, d, bits, r, rs, p, late, vector) VALUES
    (1, 'NaN', -0.001, 'infinity', '4713-01-01 BC', '1 mon -3 days 00:00:00.000001', '[-1:1]={1,NULL,3}',
     '{{a,"b,\""},{NULL,""}}', '{"a": 1e400}', 'żółć', 'a', '-0', 'NaN', '101', 'empty', '{[1,2),[5,)}', '(1,-0)',
     '24:00:00+15:59', 'a:1A b'),
    (2, '-Infinity', NULL, '294276-12-31 23:59:59.999999+00', 'infinity', NULL, '{}', '{}', 'null', '', '    ', '1e-45',
     5e-324, '', '[1,5)', '{}', NULL, NULL, NULL);
INSERT INTO t (id, raw, u, ip, net, mac, ok)
    SELECT n, sha256(n::text::bytea), gen_random_uuid(), '10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03', n % 2 = 0
    FROM generate_series(3, 400) n;
"""

ENDS = """
SELECT CASE n WHEN 90000 THEN pg_terminate_backend(pg_backend_pid())::int ELSE n END AS n
FROM generate_series(1, 100000) n
"""


class Refusing:
    """A reader that must not be asked."""

    def read(self, client: PostgresClient, selection: Selection) -> Iterator[Batch]:
        raise AssertionError(f"{selection.subject} was read as batches by {client}")


def _same(client: PostgresClient, schema: str) -> bool:
    ours, theirs = (client.fetch(f"SELECT t::text FROM {name}.t AS t ORDER BY id") for name in (schema, "public"))
    return ours == theirs


def _types(client: PostgresClient, schema: str) -> list[Any]:
    return client.fetch(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s::regclass"
        " AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        (f"{schema}.t",),
    )


@pytest.mark.parametrize("mode", ["append", "replace", "merge", "history"])
def test_every_built_in_type_travels_untouched(client: PostgresClient, mode: str) -> None:
    """Without a single batch, and with values that Arrow has no place for, the copy is the table."""
    client.run(BUILT_IN)
    source = PostgresSource(client, tables=["t"], split_bytes=8192, strategy=Refusing())
    report = Pipeline("p", source, PostgresDestination(client, schema="copies"), mode=mode).run()
    assert report.rows == 400
    assert report.bytes > 20_000
    if mode == "history":
        client.run("ALTER TABLE copies.t DROP COLUMN valid_from, DROP COLUMN valid_to")
    assert _same(client, "copies")
    assert _types(client, "copies") == _types(client, "public")


@pytest.mark.parametrize(
    ("change", "options"),
    [
        ("CREATE TYPE mood AS ENUM ('sad'); ALTER TABLE t ADD feeling mood DEFAULT 'sad'", {}),
        ("CREATE DOMAIN few AS int CHECK (VALUE < 1000); ALTER TABLE t ADD k few DEFAULT 7", {}),
        ("CREATE SCHEMA copies; CREATE TABLE copies.t (id bigint PRIMARY KEY, word text NOT NULL)", {}),
        ("CREATE TABLE u (); ALTER TABLE t ADD c regclass DEFAULT 'u'; ALTER TABLE t ADD r regrole[] DEFAULT '{}'", {}),
        ("ALTER TABLE t ADD a aclitem DEFAULT '=r/postgres'", {}),
        ("SELECT 1", {"unheld": "text"}),
    ],
)
def test_where_types_differ_rows_become_batches(client: PostgresClient, change: str, options: Any) -> None:
    """Types or numbers that each database has for itself, a wider target, and a policy for values go the other way."""
    client.run(
        "CREATE TABLE t (id int PRIMARY KEY, word text); INSERT INTO t SELECT n, 'x' FROM generate_series(1, 9) n"
    )
    client.run(change)
    source, destination = PostgresSource(client, tables=["t"], **options), PostgresDestination(client, schema="copies")
    with source.plan(Stream("t"), None) as plan, destination.begin("p", Stream("t"), Mode.APPEND) as load:
        assert [load.take(split.id, split) for split in plan.splits] == [None]
    assert Pipeline("p", source, destination).run().rows == 9
    assert _same(client, "copies")


def test_transforms_and_several_targets_need_batches(client: PostgresClient) -> None:
    """Rows that are changed on the way, or go to several tables, are read once as batches."""
    client.run("CREATE TABLE t (id int, word text); INSERT INTO t SELECT n, 'x' FROM generate_series(1, 9) n")
    routes = [Route("t", into="one"), Route("t", into="two", transforms=(Rename({"word": "text"}),))]
    destination = PostgresDestination(client, schema="copies")
    Pipeline("p", PostgresSource(client, tables=["t"]), destination, routes=routes).run()
    assert client.fetch("SELECT count(word) FROM copies.one") == client.fetch("SELECT count(text) FROM copies.two")


def test_a_null_where_none_may_be_is_named(client: PostgresClient) -> None:
    """What the target refuses is refused with column and row, as by any other way."""
    client.run("CREATE TABLE t (id int, word text); INSERT INTO t VALUES (1, 'x'), (2, NULL)")
    client.run("CREATE SCHEMA copies; CREATE TABLE copies.t (id int, word text NOT NULL)")
    with pytest.raises(ValueNotHeld, match=r"'word' is given NULL in row 1"):
        Pipeline("p", PostgresSource(client, tables=["t"]), PostgresDestination(client, schema="copies")).run()


def test_a_character_that_the_target_lacks_is_named(client: PostgresClient, latin_client: PostgresClient) -> None:
    """Text that a database in another encoding cannot hold is refused with column and row, or set aside."""
    client.run("CREATE TABLE t (id int, word text); INSERT INTO t VALUES (1, 'é'), (2, '€')")
    source = PostgresSource(client, tables=["t"])
    with pytest.raises(ValueNotHeld, match="column 'word', row 1: character with byte sequence"):
        Pipeline("p", source, PostgresDestination(latin_client)).run()
    report = Pipeline("p", source, PostgresDestination(latin_client, unfit="null")).run()
    assert (report.rows, report.rejected) == (2, 1)
    assert latin_client.fetch("SELECT id, word FROM t ORDER BY id") == [(1, "é"), (2, None)]


def test_both_servers_count(client: PostgresClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one says another number than the other, nothing is staged."""
    client.run("CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 9)")
    copied = PostgresSplit.copied
    monkeypatch.setattr(PostgresSplit, "copied", lambda split, hand_on: copied(split, hand_on) + 1)
    with pytest.raises(CountMismatch, match=r"gave 10 rows.*took 9"):
        Pipeline("p", PostgresSource(client, tables=["t"]), PostgresDestination(client, schema="copies")).run()
    assert client.fetch("SELECT count(*) FROM de_classes.staged") == [(0,)]


def test_long_rows_travel_and_failures_on_the_way_are_told(client: PostgresClient) -> None:
    """A row may be longer than what is handed on at once; a COPY that fails in the middle leaves nothing staged."""
    client.run("CREATE TABLE t AS SELECT n, repeat(chr(96 + n), 3000000) AS long FROM generate_series(1, 3) n")
    destination = PostgresDestination(client, schema="copies")
    source, stream = PostgresSource(client, tables=["t"]), Stream("t")
    with source.plan(stream, None) as plan, destination.begin("p", stream, Mode.APPEND) as load:
        receipts = [load.take(split.id, split) for split in plan.splits]
        load.commit([receipt for receipt in receipts if receipt is not None], None)
    assert client.fetch("SELECT count(*) FROM (TABLE t EXCEPT TABLE copies.t) AS other") == [(0,)]
    told = "SELECT n / (90000 - n) AS n FROM generate_series(1, 100000) n"
    for wrong, error in ((told, "division by zero"), (ENDS, "terminating connection")):
        with pytest.raises(DeClassesError, match=error):
            Pipeline("q", PostgresSource(client, queries={"u": wrong}), destination).run()
    assert client.fetch("SELECT count(*) FROM de_classes.staged") == [(0,)]


class Elsewhere(PostgresSplit):
    """A split of a server on the other side of PostgreSQL 17, where intervals became infinite."""

    def server_version(self) -> int:
        return 160_000 if super().server_version() >= 170_000 else 170_000


def test_intervals_are_bytes_only_between_servers_that_mean_the_same_by_them(client: PostgresClient) -> None:
    """The bytes of the greatest interval are those of `infinity` from PostgreSQL 17 on, so such rows become batches."""
    client.run("CREATE TABLE spans (id int, span interval[]); CREATE TABLE days (id int, day date)")
    source, destination = (
        PostgresSource(client, tables=["spans", "days"]),
        PostgresDestination(client, schema="copies"),
    )
    taken = {}
    for stream in source.streams():
        with source.plan(stream, None) as plan, destination.begin("p", stream, Mode.REPLACE) as load:
            (split,) = plan.splits
            assert isinstance(split, PostgresSplit)
            far = Elsewhere(split.id, split.client, split.selection, split.reader, split.slots)
            taken[stream.name] = [load.take(n, one) is not None for n, one in (("near", split), ("far", far))]
    assert taken == {"spans": [True, False], "days": [True, True]}
