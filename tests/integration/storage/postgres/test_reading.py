from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import psycopg
import pyarrow as pa
import pytest
from psycopg.conninfo import make_conninfo

from de_classes.contracts import Event, SplitFinished, Stream
from de_classes.errors import ConfigurationError, PlanLost, PostgresError, TableNotFound, UnknownType, ValueNotHeld
from de_classes.pipelines import Pipeline
from de_classes.storage.postgres import KeyHashes, KeyRanges, PostgresClient, PostgresSource
from de_classes.testing.memory import MemoryDestination

Strategy = Literal["adbc", "copy_binary"]
strategies = pytest.mark.parametrize("strategy", ["adbc", "copy_binary"])


def read(source: PostgresSource, name: str) -> pa.Table:
    stream = next(stream for stream in source.streams() if stream.name == name)
    with source.plan(stream, None) as plan:
        return pa.Table.from_batches([batch.records for split in plan.splits for batch in split.read()])


@strategies
@pytest.mark.parametrize(
    ("declared", "good", "bad"),
    [
        ("date", "5874897-12-31", "infinity"),
        ("date", "4714-11-24 BC", "-infinity"),
        ("timestamp", "294247-01-10 04:00:54.775807", "294247-01-10 04:00:54.775808"),
        ("timestamp", "4714-11-24 BC", "infinity"),
        ("timestamptz", "2026-01-01", "-infinity"),
        ("timestamptz", "2026-01-01", "294276-12-31 23:59:59.999999"),
        ("time", "23:59:59.999999", "24:00"),
        ("numeric(5,2)", "999.99", "NaN"),
        ("numeric(60,2)", "999.99", "NaN"),
        ("int[]", "{1,NULL,2}", "{{1,2},{3,4}}"),
        ("int[]", "{}", "[0:1]={1,2}"),
        ("int[]", "[1:2]={1,2}", "[5:6]={1,2}"),
        ("date[]", "{2026-01-01,NULL}", "{2026-01-01,infinity}"),
        ("time[]", "{00:00,NULL}", "{00:00,24:00}"),
        ("numeric(5,2)[]", "{1,NULL}", "{NULL,NaN}"),
    ],
)
def test_values_that_arrow_cannot_hold_name_their_row(
    client: PostgresClient, strategy: Strategy, declared: str, good: str, bad: str
) -> None:
    """Neither way of reading wraps, flattens or drops a value: it names table, column and row."""
    client.run(f"CREATE TABLE t (before int[], x {declared})")
    client.run(
        f"INSERT INTO t SELECT '{{1}}', x::{declared} FROM unnest(%s::text[]) x", ([good, None, good, bad, good],)
    )
    source = PostgresSource(client, tables=["t"], strategy=strategy)
    with pytest.raises(ValueNotHeld, match="row 3") as told:
        read(source, "t")
    assert (told.value.table, told.value.column, told.value.row) == ("public.t", "x", 3)
    client.run(f"DELETE FROM t WHERE x::text = '{bad}'::{declared}::text")
    assert read(source, "t").num_rows == 4


def test_a_late_row_is_counted_from_the_beginning_of_its_split(client: PostgresClient) -> None:
    """The row in the error counts all batches before."""
    day = "CASE WHEN n = 30000 THEN 'infinity' ELSE '2026-01-01' END::date"
    client.run(f"CREATE TABLE t AS SELECT repeat('x', 1000) AS filler, {day} AS day FROM generate_series(0, 30500) n")
    source = PostgresSource(client, tables=["t"], split_bytes=2**40)
    with pytest.raises(ValueNotHeld) as told:
        read(source, "t")
    assert told.value.row == 30_000


@pytest.mark.parametrize(("split_bytes", "splits"), [(16_384, 48), (65_536, 12), (2**40, 1)])
def test_every_row_is_in_exactly_one_split(client: PostgresClient, split_bytes: int, splits: int) -> None:
    """Ranges of pages hold each row once, in a table with holes, out-of-line values and a last page half full."""
    client.run("CREATE TABLE t (n int PRIMARY KEY, big text)")
    big = "CASE WHEN n % 500 = 0 THEN repeat(md5(n::text), 3000) END"
    client.run(f"INSERT INTO t SELECT n, {big} FROM generate_series(1, 20001) n")
    client.run("DELETE FROM t WHERE n % 3 = 0")
    whole = client.fetch("SELECT count(*), sum(n) FROM t")[0]
    source = PostgresSource(client, tables=["t"], split_bytes=split_bytes)
    (stream,) = source.streams()
    with source.plan(stream, None) as plan:
        assert abs(len(plan.splits) - splits) <= splits // 5
        numbers = [n for split in plan.splits for batch in split.read() for n in batch.records["n"].to_pylist()]
    assert (len(numbers), sum(numbers)) == whole
    assert len(set(numbers)) == len(numbers)


def test_all_splits_see_one_snapshot(client: PostgresClient) -> None:
    """What is written, deleted or truncated while a plan is open is not seen, or has to wait."""
    client.run("CREATE TABLE t AS SELECT n FROM generate_series(1, 5000) n")
    source = PostgresSource(client, tables=["t"], split_bytes=20_000)
    (stream,) = source.streams()
    with source.plan(stream, None) as plan:
        ids = [split.id for split in plan.splits]
        client.run("INSERT INTO t SELECT 1 FROM generate_series(1, 5000)")
        client.run("DELETE FROM t WHERE n > 2500")
        impatient = PostgresClient(client.conninfo, lock_timeout_seconds=0.05)
        with pytest.raises(PostgresError, match="lock") as told:
            impatient.run("TRUNCATE t")
        assert told.value.sqlstate == "55P03"
        numbers = [n for split in plan.splits for batch in split.read() for n in batch.records["n"].to_pylist()]
    assert sorted(numbers) == list(range(1, 5001))
    with source.plan(stream, None) as plan:
        assert not set(ids) & {split.id for split in plan.splits}


@pytest.mark.parametrize("made", ["SELECT n FROM t", "SELECT n FROM v"], ids=["a table", "a view"])
def test_what_a_query_reads_is_not_emptied_under_it(client: PostgresClient, made: str) -> None:
    """TRUNCATE, which empties a table for older snapshots too, waits until a query over the table has been read."""
    client.run("CREATE TABLE t AS SELECT 1 AS n; CREATE VIEW v AS SELECT n FROM t")
    source = PostgresSource(client, queries={"q": made})
    with source.plan(source.streams()[0], None) as plan:
        impatient = PostgresClient(client.conninfo, lock_timeout_seconds=0.05)
        with pytest.raises(PostgresError, match="lock"):
            impatient.run("TRUNCATE t")
        (split,) = plan.splits
        assert [batch.records["n"].to_pylist() for batch in split.read()] == [[1]]


def test_a_split_keeps_its_name_while_nothing_changes(client: PostgresClient) -> None:
    """Two plans of an unchanged table give the same ids, for an interrupted load to be taken over; queries do not."""
    client.run("CREATE TABLE t AS SELECT 1 AS n")
    source = PostgresSource(client, tables=["t"], queries={"q": "SELECT now() AS n"})
    ids: dict[str, set[str]] = {}
    for stream in [*source.streams(), *source.streams()]:
        with source.plan(stream, None) as plan:
            ids.setdefault(stream.name, set()).update(split.id for split in plan.splits)
    assert {name: len(found) for name, found in ids.items()} == {"t": 1, "q": 2}


def test_a_split_outlives_its_plan_as_a_clear_error(client: PostgresClient) -> None:
    """A split that is read after its plan has ended says that its snapshot is gone."""
    client.run("CREATE TABLE t AS SELECT 1 AS n")
    for strategy in ("adbc", "copy_binary"):
        source = PostgresSource(client, tables=["t"], strategy=strategy)  # type: ignore[arg-type]
        with source.plan(source.streams()[0], None) as plan:
            (split,) = plan.splits
        with pytest.raises(PlanLost, match="snapshot"):
            list(split.read())


def test_a_run_whose_snapshot_is_lost_plans_again(client: PostgresClient) -> None:
    """Where the session that keeps the snapshot is ended in the middle, the run plans anew, and nothing is lost."""
    client.run("CREATE TABLE t AS SELECT n, repeat('x', 1000) AS x FROM generate_series(1, 200) n")
    source, destination = PostgresSource(client, tables=["t"], split_bytes=40_000), MemoryDestination()
    ended: list[Any] = []

    def end_the_session(event: Event) -> None:
        if isinstance(event, SplitFinished) and not ended:
            ended.extend(
                client.fetch(
                    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND state = 'idle in transaction'"
                )
            )

    with ThreadPoolExecutor(1) as one:
        report = Pipeline("p", source, destination, mode="replace").run(executor=one, observers=[end_the_session])
    assert ended == [(True,)]
    table = destination.table("t")
    assert table is not None
    assert (report.rows, sorted(table["n"].to_pylist())) == (200, list(range(1, 201)))


@strategies
def test_views_partitions_and_children_are_read_whole(client: PostgresClient, strategy: Strategy) -> None:
    """What has no pages of its own, or only those of its leaves, gives all its rows; keys are the catalogue's."""
    client.run("CREATE TABLE parts (n int PRIMARY KEY, x text NOT NULL) PARTITION BY RANGE (n)")
    client.run("CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (0) TO (10)")
    client.run("CREATE TABLE part_2 PARTITION OF parts FOR VALUES FROM (10) TO (20)")
    client.run("INSERT INTO parts SELECT n, 'x' FROM generate_series(0, 19) n")
    client.run("CREATE VIEW evens AS SELECT * FROM parts WHERE n % 2 = 0")
    client.run("CREATE MATERIALIZED VIEW kept AS SELECT * FROM evens")
    client.run("CREATE TABLE mother (n int); CREATE TABLE child () INHERITS (mother)")
    client.run("INSERT INTO mother VALUES (1); INSERT INTO child SELECT n FROM generate_series(2, 3000) n")
    tables = ["parts", "evens", "kept", "mother"]
    source = PostgresSource(client, tables=tables, split_bytes=8192, strategy=strategy)
    assert [read(source, name).num_rows for name in tables] == [20, 10, 10, 3000]
    streams = {stream.name: stream for stream in source.streams()}
    assert streams["parts"].primary_key == ("n",)
    assert streams["parts"].schema is not None
    assert not streams["parts"].schema.field("x").nullable


def _splits_of(source: PostgresSource, name: str) -> int:
    with source.plan(Stream(name), None) as plan:
        return len(plan.splits)


def test_partitions_are_read_leaf_by_leaf(client: PostgresClient) -> None:
    """Large leaves are cut, small ones share a piece, columns are found by name, and each row comes once."""
    client.run("CREATE TABLE parts (n int, x text) PARTITION BY RANGE (n)")
    client.run("CREATE TABLE odd (x text, gone int, n int); ALTER TABLE odd DROP COLUMN gone")
    client.run("ALTER TABLE parts ATTACH PARTITION odd FOR VALUES FROM (0) TO (1000)")
    client.run("CREATE TABLE sub PARTITION OF parts FOR VALUES FROM (1000) TO (2000) PARTITION BY RANGE (n)")
    for low in range(1000, 2000, 250):
        client.run(f'CREATE TABLE "sub {low}" PARTITION OF sub FOR VALUES FROM ({low}) TO ({low + 250})')
    client.run("INSERT INTO parts SELECT n, repeat('x', 100) FROM generate_series(0, 1999) n")
    source = PostgresSource(client, tables=["parts", "odd"], split_bytes=64_000)
    assert sorted(read(source, "parts")["n"].to_pylist()) == list(range(2000))
    assert _splits_of(source, "parts") > 5
    assert _splits_of(PostgresSource(client, tables=["parts"]), "parts") == 1
    mother = "CREATE TABLE mother (n int); CREATE TABLE child (m int) INHERITS (mother)"
    client.run(
        f"{mother}; INSERT INTO mother VALUES (1); INSERT INTO child SELECT n, n FROM generate_series(2, 3000) n"
    )
    source = PostgresSource(client, tables=["mother"], split_bytes=8192)
    assert sorted(read(source, "mother")["n"].to_pylist()) == list(range(1, 3001))
    assert _splits_of(source, "mother") > 10


def test_partitions_that_only_the_parent_shows_are_one_piece(client: PostgresClient) -> None:
    """Whoever may read the parent and not its partitions reads them through it."""
    client.run("CREATE TABLE parts (n int) PARTITION BY RANGE (n)")
    client.run("CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (1000)")
    client.run("INSERT INTO parts SELECT generate_series(0, 999)")
    role = f"reader_{uuid.uuid4().hex[:8]}"
    client.run(f"CREATE ROLE {role} LOGIN; GRANT SELECT ON parts TO {role}")
    try:
        reader = PostgresClient(make_conninfo(client.conninfo, user=role))
        source = PostgresSource(reader, tables=["parts"], split_bytes=8192)
        assert _splits_of(source, "parts") == 1
        assert read(source, "parts").num_rows == 1000
    finally:
        client.run(f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.mark.parametrize("cut", [KeyHashes("n", 3), KeyHashes("x", 3), KeyRanges("n", 3), KeyRanges("n", 1)])
def test_views_and_queries_are_cut_by_a_key(client: PostgresClient, cut: KeyHashes | KeyRanges) -> None:
    """Hashes of any column and ranges of whole numbers leave no row out, nulls and extremes included."""
    client.run("CREATE TABLE t (n bigint, x text)")
    client.run("INSERT INTO t VALUES (NULL, NULL), (-9223372036854775808, ''), (9223372036854775807, 'x')")
    client.run("INSERT INTO t SELECT n, n::text FROM generate_series(-50, 50) n; CREATE VIEW v AS SELECT * FROM t")
    source = PostgresSource(client, tables=["v"], queries={"q": "SELECT * FROM t"}, splits={"v": cut, "q": cut})
    for name in ("v", "q"):
        assert _splits_of(source, name) == cut.pieces
        rows = read(source, name)["n"].to_pylist()
        assert sorted(rows, key=str) == sorted([None, -(2**63), 2**63 - 1, *range(-50, 51)], key=str)


def test_a_key_that_cannot_cut_is_the_users_mistake(client: PostgresClient) -> None:
    """A column that is not there, or one of no whole numbers for ranges, is told with what there is."""
    client.run("CREATE TABLE t (n bigint, x text)")
    for cut, told in ((KeyRanges("x", 2), "text"), (KeyHashes("y", 2), "Choose from n, x")):
        source = PostgresSource(client, tables=["t"], splits={"t": cut})
        with pytest.raises(ConfigurationError, match=told), source.plan(Stream("t"), None):
            pass


@strategies
def test_odd_names_are_read(client: PostgresClient, strategy: Strategy) -> None:
    """Schemas, tables and columns with capitals, quotes, dots and per cent signs are read as they are."""
    client.run(
        'CREATE SCHEMA "Odd.Schema"; CREATE TABLE "Odd.Schema"."Ta""ble %s" ("a""b" int, "100%%" int[], "Σ" text)'
    )
    client.run("""INSERT INTO "Odd.Schema"."Ta""ble %s" VALUES (1, '{2}', 'ς')""")
    source = PostgresSource(client, tables=['"Odd.Schema"."Ta""ble %s"'], strategy=strategy)
    assert read(source, 'Ta"ble %s').to_pylist() == [{'a"b': 1, "100%%": [2], "Σ": "ς"}]


@strategies
def test_an_empty_table_gives_its_columns(client: PostgresClient, strategy: Strategy) -> None:
    """A batch without rows still says what the columns are."""
    client.run("CREATE TABLE t (a int, b numeric(5,2)[])")
    assert read(PostgresSource(client, tables=["t"], strategy=strategy), "t").schema.names == ["a", "b"]


def test_queries_may_end_as_people_write_them(client: PostgresClient) -> None:
    """A semicolon and a comment at the end do no harm, and the order of the query is kept."""
    query = "SELECT n, '%s' AS x FROM generate_series(1, 3000) n ORDER BY n DESC  -- last first\n ; "
    source = PostgresSource(client, queries={"q": query})
    assert read(source, "q")["n"].to_pylist() == list(range(3000, 0, -1))


def test_unknown_types_are_told_all_at_once(client: PostgresClient) -> None:
    """Columns of types that are not read are named together, with what to do; a cast in a query reads them."""
    query = "SELECT 1 AS ok, ROW(1, 'a') AS r, 'x'::cstring AS c"
    with pytest.raises(UnknownType, match="SELECT column::text") as told:
        PostgresSource(client, queries={"q": query}).streams()
    assert told.value.columns == ["r record", "c cstring"]
    assert read(PostgresSource(client, queries={"q": "SELECT ROW(1, 'a')::text AS r"}), "q").to_pylist() == [
        {"r": "(1,a)"}
    ]


@strategies
def test_a_domain_is_read_as_what_it_is_made_of(client: PostgresClient, strategy: Strategy) -> None:
    """A domain has the values of its base type, and is read as that."""
    client.run("CREATE DOMAIN price AS numeric(10,2) CHECK (value > 0)")
    client.run("CREATE TABLE t (p price); INSERT INTO t VALUES (1.5)")
    table = read(PostgresSource(client, tables=["t"], strategy=strategy), "t")
    assert table["p"].type == pa.decimal128(10, 2)


@pytest.mark.parametrize("name", ["nowhere", "no_schema.t", "T"])
def test_a_missing_table_is_told(client: PostgresClient, name: str) -> None:
    """A table that is not there, or is written otherwise, is named."""
    client.run("CREATE TABLE t (a int)")
    with pytest.raises(TableNotFound, match=name) as told:
        PostgresSource(client, tables=[name]).streams()
    assert "Check the name" in str(told.value)


def test_a_missing_table_in_a_query_is_told(client: PostgresClient) -> None:
    """So is one that a query names."""
    with pytest.raises(TableNotFound, match="nowhere"):
        PostgresSource(client, queries={"q": "SELECT * FROM nowhere"}).streams()


def test_a_stream_that_is_not_offered_is_told(client: PostgresClient) -> None:
    """Planning another source's stream is the caller's mistake."""
    client.run("CREATE TABLE t (a int); CREATE TABLE u (a int)")
    (stream,) = PostgresSource(client, tables=["u"]).streams()
    with (
        pytest.raises(ConfigurationError, match="does not offer"),
        PostgresSource(client, tables=["t"]).plan(stream, None),
    ):
        pass


@strategies
def test_an_error_in_the_middle_is_short(client: PostgresClient, strategy: Strategy) -> None:
    """An error that the server finds while rows flow is told in a line, without a dump."""
    query = "SELECT 1 / (20000 - n) AS x, repeat('x', 1000) AS y FROM generate_series(1, 30000) n"
    source = PostgresSource(client, queries={"q": query}, strategy=strategy)
    with pytest.raises(PostgresError, match="division by zero") as told:
        read(source, "q")
    assert len(str(told.value).splitlines()) == 1
    assert "COPY" not in str(told.value)


@strategies
def test_a_server_that_leaves_in_the_middle_is_told(client: PostgresClient, strategy: Strategy) -> None:
    """A session that is ended while rows flow is an error of the connection."""
    from de_classes.errors import PostgresUnreachable

    query = "SELECT n, repeat('x', 1000) AS y FROM generate_series(1, 200000) n"
    source = PostgresSource(client, queries={"q": query}, strategy=strategy)
    with source.plan(source.streams()[0], None) as plan:
        batches = plan.splits[0].read()
        next(batches)
        client.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY %'")
        with pytest.raises(PostgresUnreachable):
            list(batches)


@strategies
def test_leaving_in_the_middle_frees_the_server(client: PostgresClient, strategy: Strategy) -> None:
    """Who reads only the first batch leaves no session behind."""
    client.run("CREATE TABLE t AS SELECT n, repeat('x', 1000) AS y FROM generate_series(1, 50000) n")
    source = PostgresSource(client, tables=["t"], strategy=strategy)
    with source.plan(source.streams()[0], None) as plan:
        batches = plan.splits[0].read()
        next(batches)
        batches.close()  # type: ignore[attr-defined]
    client.run("DROP TABLE t")


def test_who_reads_is_part_of_a_splits_name(client: PostgresClient) -> None:
    """What a row security policy shows to one user is never taken for what it shows to another, or at another time."""
    client.run("CREATE TABLE t AS SELECT 1 AS n; CREATE TABLE secured AS SELECT 1 AS n")
    client.run("ALTER TABLE secured ENABLE ROW LEVEL SECURITY")
    role = f"reader_{uuid.uuid4().hex[:8]}"
    client.run(f"CREATE ROLE {role} LOGIN SUPERUSER")
    try:
        other = PostgresClient(psycopg.conninfo.make_conninfo(client.conninfo, user=role))
        ids: dict[str, set[str]] = {"t": set(), "secured": set()}
        for reader in (client, client, other):
            source = PostgresSource(reader, tables=["t", "secured"])
            for stream in source.streams():
                with source.plan(stream, None) as plan:
                    ids[stream.name].update(split.id for split in plan.splits)
        assert {name: len(found) for name, found in ids.items()} == {"t": 2, "secured": 3}
    finally:
        client.run(f"DROP ROLE {role}")
