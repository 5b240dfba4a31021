from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from functools import partial
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from de_classes.contracts import Batch, Mode, Stream
from de_classes.errors import CountMismatch, PostgresError, SchemaMismatch, ValueNotHeld
from de_classes.storage.postgres import Check, PostgresClient, PostgresDestination
from de_classes.utils.schemas import fitted, united, within_floats
from tests.integration.storage.postgres.test_destination import wait_until, waits_for_a_lock


@pytest.fixture
def destination(client: PostgresClient) -> PostgresDestination:
    return PostgresDestination(client, schema_changes="evolve")


def load(
    destination: PostgresDestination,
    *pieces: pa.RecordBatch,
    mode: Mode = Mode.APPEND,
    key: tuple[str, ...] = (),
    stream: str = "t",
    pipeline: str = "test",
) -> None:
    with destination.begin(pipeline, Stream(stream, key), mode) as open_load:
        receipts = [open_load.write(f"split {n}", iter([Batch(piece)])) for n, piece in enumerate(pieces)]
        open_load.commit(receipts, None)


def columns(client: PostgresClient) -> dict[str, str]:
    found = client.fetch(
        "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = 't'::regclass AND attnum > 0"
    )
    return dict(found)


# --- Properties -------------------------------------------------------------------------------------------------------

INTS: list[tuple[Any, list[Any]]] = [
    (pa.null(), [None]),
    (pa.int16(), [-(2**15), None]),
    (pa.uint32(), [2**32 - 1]),
    (pa.int64(), [2**63 - 1]),
    (pa.uint64(), [2**64 - 1]),
    (pa.decimal128(5, 2), [Decimal("-999.99")]),
    (pa.decimal128(38, 0), [10**37]),
]
FLOATS: list[tuple[Any, list[Any]]] = [
    (pa.int16(), [-7]),
    (pa.float32(), [0.1, None]),
    (pa.int32(), [2**31 - 1]),
    (pa.float64(), [0.1, -1e300]),
]
LISTS: list[tuple[Any, list[Any]]] = [
    (pa.null(), [None]),
    (pa.list_(pa.null()), [[], [None], None]),
    (pa.list_(pa.int16()), [[1, None]]),
    (pa.large_list(pa.int64()), [[2**40]]),
]
NESTED: list[tuple[Any, list[Any]]] = [
    (pa.list_(pa.null()), [[], [None]]),
    (pa.list_(pa.struct({"a": pa.int8()})), [[{"a": 1}, None], []]),
    (pa.list_(pa.struct({"a": pa.int64(), "b": pa.list_(pa.null())})), [[{"a": None, "b": []}]]),
    (pa.list_(pa.struct({"b": pa.list_(pa.string()), "c": pa.null()})), [[{"b": ["x"], "c": None}]]),
]
STRUCTS: list[tuple[Any, list[Any]]] = [
    (pa.null(), [None]),
    (pa.struct({"a": pa.int8()}), [{"a": 1}, None]),
    (pa.struct({"b": pa.struct({"c": pa.string()})}), [{"b": {"c": "x"}}]),
]
TEXTS: list[tuple[Any, list[Any]]] = [
    (pa.null(), [None]),
    (pa.string(), ["", "{}"]),
    (pa.large_string(), ["NULL"]),
]
WITHIN: list[tuple[Any, list[Any]]] = [(pa.int64(), [2**53, -(2**53)]), (pa.float64(), [0.5])]
CHAINS = {
    "ints": INTS,
    "floats": FLOATS,
    "lists": LISTS,
    "nested": NESTED,
    "structs": STRUCTS,
    "texts": TEXTS,
    "within": WITHIN,
}

JSON = {"nested", "structs"}


@st.composite
def pieces(draw: st.DrawFn) -> list[pa.RecordBatch]:
    """Batches whose columns come and go, in types that grow into one whatever their order."""
    made = []
    for number in range(draw(st.integers(1, 4))):
        arrays, fields = [pa.array([number * 2, number * 2 + 1])], [pa.field("n", pa.int64())]
        for name in draw(st.lists(st.sampled_from(sorted(CHAINS)), unique=True, max_size=4)):
            kind, values = draw(st.sampled_from(CHAINS[name]))
            arrays.append(pa.array([draw(st.sampled_from(values)) for _ in range(2)], kind))
            field = pa.field(name, kind)
            fields.append(within_floats(field) if (name, kind) == ("within", pa.int64()) else field)
        made.append(pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields)))
    return made


@settings(max_examples=10)
@given(coming=pieces())
def test_growing_step_by_step_gives_the_rows_of_one_load(
    module_client: PostgresClient, coming: list[pa.RecordBatch]
) -> None:
    """A commit for each piece, one commit of all, and one of their united schema: the tables hold the same rows."""
    module_client.run("DROP TABLE IF EXISTS steps, once, whole")
    growing = PostgresDestination(module_client, schema_changes="evolve")
    for piece in coming:
        load(growing, piece, stream="steps")
    load(growing, *coming, stream="once")
    schema = united([piece.schema for piece in coming], "t")
    load(PostgresDestination(module_client), *(fitted(piece, schema) for piece in coming), stream="whole")
    steps, once, whole = (rows(module_client, table, schema.names) for table in ("steps", "once", "whole"))
    assert steps == whole
    assert once == whole
    assert len(whole) == 2 * len(coming)


def rows(client: PostgresClient, table: str, names: Sequence[str]) -> list[tuple[Any, ...]]:
    """The rows in their order; a field of JSON that is null is as one that is not there."""
    listed = ", ".join(f'jsonb_strip_nulls(to_jsonb("{name}"))' if name in JSON else f'"{name}"' for name in names)
    return client.fetch(f"SELECT {listed} FROM {table} ORDER BY n")


# --- What grows -------------------------------------------------------------------------------------------------------


def test_what_the_table_takes_stays_as_it_is(destination: PostgresDestination) -> None:
    """Wider columns, and those that take text in a form of their own, keep their types."""
    client = destination.client
    client.run("CREATE TYPE mood AS ENUM ('ok'); CREATE TABLE t (n numeric(20,4), u uuid, m mood, j jsonb, i inet)")
    before = columns(client)
    text = {"u": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"], "m": ["ok"], "i": ["::1"]}
    load(destination, pa.record_batch({"n": pa.array([1], pa.int32()), "j": [{"a": 1}], **text}))
    load(destination, pa.record_batch({"j": [{"a": 1, "b": {"c": []}}]}))
    assert columns(client) == before
    assert client.fetch("SELECT j::text FROM t") == [('{"a": 1}',), ('{"a": 1, "b": {"c": []}}',)]


@pytest.mark.parametrize(
    ("held", "becomes"),
    [
        ("NULL", ["jsonb", "numeric(5,1)", "numeric(5,1)[]"]),
        ("'x'", ["text", "text", "text[]"]),
        ("", ["text", "text", "text[]"]),
    ],
    ids=["null", "text", "no row"],
)
def test_text_that_has_had_no_value_becomes_what_comes(
    destination: PostgresDestination, held: str, becomes: list[str]
) -> None:
    """Columns that are null in every row do not take numbers and structs as text; others, as they were made, do."""
    client = destination.client
    client.run("CREATE TABLE t (s text, d text, l text[])")
    if held:
        client.run(f"INSERT INTO t VALUES ({held}, {held}, ARRAY[{held}])")
    numbers = pa.array([Decimal("1.0")], pa.decimal128(5, 1))
    load(
        destination,
        pa.record_batch({"s": [{"a": 1}], "d": numbers, "l": pa.array([[Decimal("1.0")]], pa.list_(numbers.type))}),
    )
    assert list(columns(client).values()) == becomes
    assert client.fetch("SELECT replace(s::text, ' ', ''), d::text, l::text FROM t WHERE l[1]::text = '1.0'") == [
        ('{"a":1}', "1.0", "{1.0}")
    ]


@pytest.mark.parametrize(
    ("told", "values"),
    [("char(3)", pa.array(["longer"])), ("numeric(2,-3)", pa.array([Decimal(12345)], pa.decimal128(5, 0)))],
)
def test_what_metadata_claims_cuts_no_value(destination: PostgresDestination, told: str, values: pa.Array[Any]) -> None:
    """Text that has had no value stays, where the type that is claimed would not give back what comes."""
    client = destination.client
    client.run("CREATE TABLE t (a text); INSERT INTO t VALUES (NULL)")
    claims = pa.schema([pa.field("a", values.type, metadata={"de_classes.postgres_type": told})])
    load(destination, pa.RecordBatch.from_arrays([values], schema=claims))
    assert client.fetch("SELECT a FROM t WHERE a IS NOT NULL") == [(str(values[0].as_py()),)]


def test_new_columns_are_filled_where_the_piece_has_them(destination: PostgresDestination) -> None:
    """A piece without a column gives NULL, or the column's default; enums that a new column needs are made."""
    client = destination.client
    client.run("CREATE TABLE t (a bigint, note text DEFAULT 'none')")
    mood = pa.field("mood", pa.string(), metadata={"de_classes.postgres_type": "enum \"mood\" ('ok', 'bad')"})
    moods = pa.RecordBatch.from_arrays([pa.array([2]), pa.array(["ok"])], schema=pa.schema([("a", pa.int64()), mood]))
    load(destination, pa.record_batch({"a": [1]}), moods)
    assert client.fetch("SELECT a, note, mood::text FROM t ORDER BY a") == [(1, "none", None), (2, "none", "ok")]
    assert columns(client)["mood"] == "mood"


def test_a_merge_leaves_columns_that_do_not_come(destination: PostgresDestination) -> None:
    """A key grows as any column does; of a row that is there, a piece changes the columns it has."""
    load(destination, pa.record_batch({"id": pa.array([1], pa.int16()), "a": ["x"]}), mode=Mode.MERGE, key=("id",))
    narrow = pa.record_batch({"id": pa.array([1], pa.int32()), "b": ["new"]})
    wide = pa.record_batch({"id": [2**40, 1], "a": ["y", "z"]})
    load(destination, narrow, wide, mode=Mode.MERGE, key=("id",))
    assert destination.client.fetch("SELECT id, a, b FROM t ORDER BY id") == [(1, "z", "new"), (2**40, "y", None)]


@pytest.mark.parametrize("truncate", [False, True], ids=["delete", "truncate"])
def test_a_replacement_may_bring_any_type(client: PostgresClient, truncate: bool) -> None:
    """Where the rows go, a column that does not take what comes becomes that; views over others live on."""
    destination = PostgresDestination(client, schema_changes="evolve", truncate=truncate)
    load(destination, pa.record_batch({"a": ["x"], "b": [1]}))
    client.run("CREATE VIEW v AS SELECT b FROM t")
    load(destination, pa.record_batch({"a": [1.5], "b": pa.array([2], pa.int16())}), mode=Mode.REPLACE)
    assert client.fetch("SELECT a, t.b, v.b FROM t, v") == [(1.5, 2, 2)]
    assert columns(client) == {"a": "double precision", "b": "bigint"}


def test_rows_that_a_replacement_leaves_keep_their_values(destination: PostgresDestination) -> None:
    """Tables that inherit keep their rows, so a type that these do not fit is refused."""
    client = destination.client
    client.run("CREATE TABLE t (a text); CREATE TABLE child () INHERITS (t); INSERT INTO child VALUES ('x')")
    with pytest.raises(SchemaMismatch, match="a text has values"):
        load(destination, pa.record_batch({"a": [1]}), mode=Mode.REPLACE)
    assert client.fetch("SELECT a FROM t") == [("x",)]


# --- What does not ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "held", "coming"),
    [
        ("text", "'7'", pa.array([7])),
        ("bigint", "9007199254740993", pa.array([0.5])),
        ("bigint[]", "'{NULL,9007199254740993}'", pa.array([[0.5]])),
        ("double precision", "0.5", pa.array([2**53 + 1])),
        ("text[]", "'{}'", pa.array(["x"])),
        ("text[]", "'{x}'", pa.array([[{"a": 1}]])),
        ("date", "'2026-01-01'", pa.array([0], pa.timestamp("us"))),
        ("numeric(5,2)", "1.25", pa.array([0.5])),
        ("timestamp", "'2026-01-01'", pa.array([0], pa.timestamp("us", "UTC"))),
    ],
)
def test_what_would_change_a_value_is_refused(
    destination: PostgresDestination, declared: str, held: str, coming: pa.Array[Any]
) -> None:
    """A column with values that the other type does not hold stays, and so does all else; the column is named."""
    client = destination.client
    client.run(f"CREATE TABLE t (v {declared}); INSERT INTO t VALUES ({held})")
    before = columns(client), client.fetch("SELECT v::text FROM t")
    with pytest.raises(SchemaMismatch, match="v ") as told:
        load(destination, pa.record_batch({"v": coming, "new": [1]}))
    assert [wrong.split()[0] for wrong in told.value.differences] == ["v"]
    assert (columns(client), client.fetch("SELECT v::text FROM t")) == before


def test_pieces_of_different_kinds_are_refused(destination: PostgresDestination) -> None:
    """Columns of one commit that no type holds together are told, with the table that they were for."""
    with pytest.raises(SchemaMismatch, match="a comes as bigint and as text"):
        load(destination, pa.record_batch({"a": [1]}), pa.record_batch({"a": ["x"]}))
    assert destination.client.fetch("SELECT to_regclass('t')") == [(None,)]


def test_not_null_stays(destination: PostgresDestination) -> None:
    """A column that must have a value, and comes without any, fails the load; so does a key that does not come."""
    destination.client.run("CREATE TABLE t (a int PRIMARY KEY, b int NOT NULL)")
    with pytest.raises(SchemaMismatch, match="b must not be NULL and does not come"):
        load(destination, pa.record_batch({"a": [1], "new": [1]}))
    with pytest.raises(ValueNotHeld, match="'b' is given NULL"):
        load(destination, pa.record_batch({"a": [1], "b": pa.nulls(1)}))


@pytest.mark.parametrize(
    ("made", "named"),
    [
        ("CREATE VIEW totals AS SELECT sum(a) FROM t", "view totals"),
        ("ALTER TABLE t ADD twice int GENERATED ALWAYS AS (a * 2) STORED", "twice"),
        ("CREATE POLICY few ON t USING (a < 3)", "policy few"),
        ("CREATE TRIGGER same BEFORE UPDATE OF a ON t EXECUTE FUNCTION suppress_redundant_updates_trigger()", "same"),
        ("ALTER TABLE t ALTER a SET DEFAULT 1, ADD CONSTRAINT one CHECK (a > 0)", ""),
    ],
    ids=["view", "generated column", "policy", "trigger", "default and check"],
)
def test_what_depends_on_a_column_is_named(destination: PostgresDestination, made: str, named: str) -> None:
    """What keeps PostgreSQL from changing a type is told, with the remedy; what does not goes along."""
    client = destination.client
    client.run("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    client.run(made)
    coming = pa.record_batch({"a": [2**40]})
    if not named:
        load(destination, coming)
        assert client.fetch("SELECT a FROM t ORDER BY a") == [(1,), (2**40,)]
        return
    with pytest.raises(SchemaMismatch, match=f"a is to become bigint.*{named}") as told:
        load(destination, coming)
    assert "Drop what depends on the column" in told.value.remedy
    assert client.fetch("SELECT a FROM t") == [(1,)]
    load(destination, pa.record_batch({"a": pa.array([2], pa.int32()), "b": ["x"]}))
    assert client.fetch("SELECT a, b FROM t ORDER BY a") == [(1, None), (2, "x")]


def test_rows_that_a_policy_hides_are_not_overlooked(destination: PostgresDestination, postgres_url: str) -> None:
    """Whether a column has values is not asked of somebody who sees a part of them."""
    client = destination.client
    ((database,),) = client.fetch("SELECT current_database()::text")
    owner = f"owner_of_{database}"
    client.run(f"CREATE ROLE {owner} LOGIN; GRANT CREATE ON DATABASE {database} TO {owner}")
    try:
        client.run("CREATE TABLE t (a text); INSERT INTO t VALUES ('0x1F')")
        client.run(f"ALTER TABLE t OWNER TO {owner}; GRANT ALL ON SCHEMA public TO {owner}")
        client.run("ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        other = PostgresDestination(postgres_url.replace("postgres@", f"{owner}@"), schema_changes="evolve")
        with pytest.raises(PostgresError, match="row-level security"):
            load(other, pa.record_batch({"a": [1]}))
        assert client.fetch("SELECT a FROM t") == [("0x1F",)]
    finally:
        client.run(f"DROP OWNED BY {owner} CASCADE; DROP ROLE {owner}")


def test_frozen_columns_name_the_remedy_that_helps(client: PostgresClient) -> None:
    """Where growing would help, the error says how; where it would not, it does not."""
    client.run("CREATE TABLE t (a int, b date)")
    frozen = PostgresDestination(client)
    for helps, batch in [
        (True, pa.record_batch({"a": pa.array([Decimal(1)], pa.decimal128(9, 1))})),
        (True, pa.record_batch({"new": ["x"]})),
        (False, pa.record_batch({"b": ["x"], "new": ["x"]})),
    ]:
        with pytest.raises(SchemaMismatch) as told:
            load(frozen, batch)
        assert ('schema_changes="evolve"' in told.value.remedy) == helps
    with pytest.raises(SchemaMismatch, match='schema_changes="evolve"'):
        load(frozen, pa.record_batch({"a": [1]}), pa.record_batch({"a": [1], "b": ["x"]}), stream="other")


# --- Beforehand, afterwards, at once ----------------------------------------------------------------------------------


def test_the_ddl_can_be_seen_beforehand(destination: PostgresDestination) -> None:
    """What a commit would run is told without running it, for a table that is missing, that grows, that fits."""
    client, frozen = destination.client, PostgresDestination(destination.client)
    schema = pa.schema({"id": pa.int32(), "note": pa.null()})
    (create,) = frozen.changes("t", schema, ("id",))
    assert create == 'CREATE TABLE "public"."t" ("id" integer, "note" text, PRIMARY KEY ("id"))'
    elsewhere = PostgresDestination(client, schema="new").changes("t", schema)
    assert elsewhere == [
        'CREATE SCHEMA IF NOT EXISTS "new"',
        'CREATE TABLE "new"."t" ("id" integer, "note" text)',
    ]
    client.run(create)
    grown = pa.schema({"id": pa.int64(), "note": pa.date32(), "new": pa.string()})
    (alter,) = frozen.changes("t", grown)
    assert columns(client) == {"id": "integer", "note": "text"}
    client.run(alter)
    assert columns(client) == {"id": "bigint", "note": "date", "new": "text"}
    assert frozen.changes("t", grown) == []
    client.run("INSERT INTO t VALUES (1, '2026-01-01')")
    with pytest.raises(SchemaMismatch, match="note date has values"):
        frozen.changes("t", pa.schema({"id": pa.int64(), "note": pa.int64()}))


@pytest.mark.parametrize("kept", [True, False])
def test_what_is_staged_is_taken_over_while_the_table_can_grow_for_it(
    destination: PostgresDestination, kept: bool
) -> None:
    """Pieces with more and wider columns than the table are offered again, unless it has become another."""
    client = destination.client
    client.run("CREATE TABLE t (a int, u uuid)")
    uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    batch = pa.record_batch({"a": [2**40], "u": [uuid], "new": [[1]], "none": pa.nulls(1)})
    with destination.begin("test", Stream("t"), Mode.APPEND) as open_load:
        receipt = open_load.write("split", iter([Batch(batch)]))
    client.run("ALTER TABLE t ALTER a TYPE numeric(30,2)" if kept else "ALTER TABLE t ALTER u TYPE text")
    client.run("ALTER TABLE t ADD none date")
    with destination.begin("test", Stream("t"), Mode.APPEND) as open_load:
        assert dict(open_load.staged) == ({"split": receipt} if kept else {})
        again = open_load.staged.get("split") or open_load.write("split", iter([Batch(batch)]))
        open_load.commit([again], None)
    assert client.fetch("SELECT a, u::text, new, none FROM t") == [(2**40, uuid, [1], None)]


def test_rows_are_counted_where_the_table_grows(destination: PostgresDestination) -> None:
    """A table that grew, and whose trigger then drops a row, has not grown."""
    client = destination.client
    client.run("CREATE TABLE t (a int)")
    client.run("CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    client.run("CREATE TRIGGER swallows BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION swallow()")
    with pytest.raises(CountMismatch):
        load(destination, pa.record_batch({"a": [1], "b": [2]}))
    assert columns(client) == {"a": "integer"}


@pytest.mark.parametrize("there", ["nothing", "CREATE TABLE t (id int)"])
@pytest.mark.parametrize("mode", [Mode.APPEND, Mode.REPLACE])
def test_of_two_that_grow_a_table_at_once_one_waits(
    destination: PostgresDestination, monkeypatch: pytest.MonkeyPatch, there: str, mode: Mode
) -> None:
    """Both commit, and the table holds what either brought, made or grown for one and then for the other."""
    client = destination.client
    if there != "nothing":
        client.run(there)
    one = pa.record_batch({"id": pa.array([1], pa.int32()), "a": ["x"], "shared": pa.nulls(1)})
    two = pa.record_batch({"id": [2**40], "b": [1.5], "shared": [7]})
    failed: list[BaseException] = []
    others: list[threading.Thread] = []

    def second() -> None:
        try:
            load(destination, two, mode=mode, pipeline="two")
        except BaseException as error:  # noqa: BLE001 -- told by the test
            failed.append(error)

    monkeypatch.setattr("de_classes.storage.postgres.load.reach", once_before_commit(client, second, others))
    load(destination, one, mode=mode, pipeline="one")
    others[0].join(30)
    assert failed == []
    left = [(2**40, None, 7, 1.5)]
    expected = left if mode is Mode.REPLACE else [(1, "x", None, None), *left]
    assert client.fetch("SELECT id, a, shared, b FROM t ORDER BY id") == expected


@pytest.mark.parametrize("options", [{"schema_changes": "evolve"}, {"declared": {"t": [Check("id > 0")]}}], ids=str)
def test_of_those_that_find_a_table_lacking_at_once_none_gives_up(
    client: PostgresClient, postgres_url: str, options: dict[str, Any]
) -> None:
    """Three that wait to see a table, and then want it for themselves, get it one after the other."""
    client.run("CREATE TABLE t (id int, a int, b int, c int)")
    coming = [pa.record_batch({"id": pa.array([1], pa.int32()), name: pa.array([1], pa.int32())}) for name in "abc"]
    with ExitStack() as stack, psycopg.connect(postgres_url) as holding, ThreadPoolExecutor(3) as threads:
        commits = []
        for name, records in zip("abc", coming, strict=True):
            destination = PostgresDestination(client, **options)
            opened = stack.enter_context(destination.begin(f"pipeline {name}", Stream("t"), Mode.APPEND))
            commits.append(partial(opened.commit, [opened.write("split", iter([Batch(records)]))], None))
        if "schema_changes" in options:
            client.run("ALTER TABLE t DROP COLUMN a, DROP COLUMN b, DROP COLUMN c")
        holding.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        done = [threads.submit(commit) for commit in commits]
        wait_until(lambda: client.fetch(WAITING) == [(3,)])
        holding.rollback()
        assert [one.exception(30) for one in done] == [None] * 3
    assert client.fetch("SELECT count(*), sum(a), sum(b), sum(c) FROM t") == [(3, 1, 1, 1)]


WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()
"""


def once_before_commit(
    client: PostgresClient, second: Callable[[], None], others: list[threading.Thread]
) -> Callable[[str], None]:
    """At the first commit, begin a second load and wait until that waits."""

    def at(point: str) -> None:
        if point == "postgres.commit.before" and not others:
            others.append(threading.Thread(target=second))
            others[0].start()
            wait_until(lambda: waits_for_a_lock(client))

    return at
