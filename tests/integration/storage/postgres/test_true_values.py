"""Every type that a user's table can have, by every path, from the nastiest values known and from random ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from de_classes.contracts import Batch, Mode, Stream
from de_classes.errors import ValueNotHeld
from de_classes.pipelines import ObjectStoreToPostgres, Pipeline, PostgresToObjectStore
from de_classes.storage.objects import LocalStore
from de_classes.storage.postgres import KeyHashes, PostgresClient, PostgresDestination, PostgresSource
from de_classes.storage.postgres.catalogue import columns_of
from de_classes.storage.postgres.copy_binary import CopyBinaryReader
from de_classes.storage.postgres.encode_binary import BinaryEncoder
from de_classes.storage.postgres.read import AdbcReader
from de_classes.storage.postgres.selection import Selection
from de_classes.storage.postgres.types import PgType, Unheld, as_read, columns_of_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MADE = """
CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"', 'ñ, {so} \\so');
CREATE DOMAIN price AS numeric(10,2) CHECK (value > 0);
CREATE DOMAIN felt AS mood;
CREATE DOMAIN ints AS integer[];
CREATE TYPE inner_pair AS (a interval(3), "b ""c" mood);
CREATE TYPE pair AS (n numeric(5,1), t text, p inner_pair, l integer[], d price);
CREATE DOMAIN pairs AS pair;
CREATE EXTENSION vector;
CREATE TYPE floatrange AS RANGE (subtype = double precision);
"""

PLAIN: dict[str, Sequence[str]] = {
    "smallint": ["-32768", "32767"],
    "integer": ["-2147483648", "2147483647"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "real": ["NaN", "-Infinity", "-0", "1e-45", "3.4028235e38", "0.1"],
    "double precision": ["NaN", "Infinity", "-0", "5e-324", "1.7976931348623157e308", "0.1", "1e22"],
    "numeric": ["NaN", "Infinity", "-Infinity", "0.000", "-1.50", "1" + "0" * 300 + ".5", "1e-400"],
    "numeric(12,2)": ["-9999999999.99", "0.01"],
    "numeric(2,5)": ["0.00099"],
    "numeric(5,-3)": ["99999000"],
    "numeric(50,20)": ["-123456789012345678901234567890.12345678901234567890"],
    "numeric(200,100)": ["1." + "0" * 99 + "1"],
    "money": ["-92233720368547758.08", "92233720368547758.07", "0.01"],
    "text": ["", " ", "\\.", "\\N", "NULL", '"', "\r\n", "\n", "{}", "é𝄞\u200b", "\x01\x7f"],
    "varchar(5)": ["a    ", ""],
    "char(5)": ["a", ""],
    "bpchar": ["a  "],
    '"char"': ["a", "", "\\"],
    "name": ["x" * 63, 'a"b'],
    "bytea": ["\\x", "\\x00ff5c27"],
    "boolean": ["t", "f"],
    "date": ["4713-01-01 BC", "5874897-12-31", "0001-01-01", "1582-10-10"],
    "timestamp": ["4714-11-24 00:00:00 BC", "294247-01-10 04:00:54.775807", "1969-12-31 23:59:59.999999"],
    "timestamp(3)": ["2026-01-01 00:00:00.999"],
    "timestamptz": ["4714-11-24 00:00:00+00 BC", "2026-03-29 02:30:00+05:30"],
    "time": ["00:00", "23:59:59.999999"],
    "time(0)": ["12:00:01"],
    "timetz": ["24:00:00-15:59", "00:00:00+15:59:59", "12:34:56.789012+05:30"],
    "timetz(2)": ["01:02:03.45-08"],
    "interval": [
        "1 mon", "30 days", "-1 mons 2 days -03:00:00.000001", "0", "178956970 years 7 mons 2147483647 days",
        "-178956970 years -8 mons -2147483648 days -2562047788:00:54.775807", "1 year -1 day", "-00:00:00.1",
        "infinity", "-infinity",
    ],
    "interval year to month": ["-1 year -1 mon"],
    "interval day to second(3)": ["-1 day 00:00:00.123"],
    "interval(0)": ["1 mon 2 days 00:00:03"],
    "interval hour": ["13 hours"],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "json": ['{"b": 1e400, "a" : 1, "a":"\\u0000"}', "null", '"\\ud834\\udd1e"', "1.0"],
    "jsonb": ['{"a": 123456789012345678901234567890.10, "b": 1e-300}', "null", '""', '"\\u0001"'],
    "bit": ["1"],
    "bit(5)": ["01011"],
    "varbit": ["", "0" * 65, "1"],
    "varbit(9)": ["", "101"],
    "inet": ["10.0.0.1", "10.0.0.1/8", "::1/128", "fe80::1%0/64".replace("%0", ""), "0.0.0.0/0"],
    "cidr": ["10.0.0.0/8", "::/0", "1.2.3.4/32"],
    "macaddr": ["08:00:2b:01:02:03"],
    "macaddr8": ["08:00:2b:01:02:03:04:05"],
    "point": ["(NaN,-Infinity)", "(0.1,-0)", "(1e-300,3e300)"],
    "line": ["{1,-0.1,3}"],
    "lseg": ["[(0,0),(0.1,1e300)]"],
    "box": ["(1,1),(0.1,-0)"],
    "path": ["[(0,0),(1,1)]", "((0,0),(1,1))"],
    "polygon": ["((0,0),(1,1),(0.1,2))"],
    "circle": ["<(0.1,2),3>"],
    "int4range": ["empty", "[1,5)", "(,)", "[,3)"],
    "int8range": ["[-9223372036854775808,9223372036854775807)"],
    "numrange": ["(-Infinity,NaN]", "[0.10,)"],
    "daterange": ["[-infinity,infinity]", "[2026-01-01,2026-02-01)"],
    "tsrange": ['["4714-11-24 00:00:00 BC",infinity]'],
    "tstzrange": ['["2026-01-01 00:00:00+05",)'],
    "int4multirange": ["{}", "{[1,2),(4,)}"],
    "int8multirange": ["{[1,2)}"],
    "nummultirange": ["{[0.10,0.2]}"],
    "datemultirange": ["{[2026-01-01,2026-02-01)}"],
    "tsmultirange": ['{["2026-01-01 00:00:00",)}'],
    "tstzmultirange": ['{["2026-01-01 00:00:00+05",)}'],
    "tsvector": ["'a''b':1A,2 'c d'", ""],
    "tsquery": ["'a' & !'b c':*A <-> 'd'", ""],
    "jsonpath": ['$."a b"[*] ? (@ > 1e-10)', "strict $"],
    "oid": ["4294967295", "0"],
    "xid": ["4294967295", "3"],
    "cid": ["4294967295"],
    "xid8": ["18446744073709551615", "0"],
    "tid": ["(4294967295,65535)"],
    "pg_lsn": ["FFFFFFFF/FFFFFFFF", "0/0"],
    "pg_snapshot": ["10:20:10,14,15"],
    "txid_snapshot": ["10:20:10,14,15"],
    "refcursor": ["a b"],
    "int2vector": ["1 -2", ""],
    "oidvector": ["1 4294967295"],
    "aclitem": ["postgres=arwd/postgres"],
    "regclass": ["pg_class", "public.original", "-"],
    "regtype": ["integer", "public.mood", "character varying"],
    "regproc": ["now"],
    "regprocedure": ["lower(text)"],
    "regoper": ["pg_catalog.||/"],
    "regoperator": ["+(integer,integer)"],
    "regcollation": ['"C"'],
    "regconfig": ["english"],
    "regdictionary": ["simple"],
    "regrole": ["postgres"],
    "regnamespace": ["public"],
    "public.mood": ["sad", 'it\'s "ok"', "ñ, {so} \\so"],
    "public.price": ["1.50"],
    "public.felt": ["sad"],
    "public.ints": ["{1,NULL,-3}", "{}"],
    "public.pair": ['(1.5,"a ""b"", (c)","(""1 mon 00:00:00.5"",sad)","{1,NULL}",2)', "(,,,,)", '(,"","(,)",{},)'],
    "public.pairs": ["(1,x,,,3)"],
    "public.vector(3)": ["[1,0.1,-0]"],
    "public.floatrange": ["[0.1,Infinity)", "empty"],
}  # fmt: skip
ROWS = 1 + max(map(len, PLAIN.values()))
NO_ARRAYS = {"int2vector", "oidvector"}
"""Their arrays cannot be told from arrays of theirs by everyone; PostgreSQL itself makes none."""
WITHOUT_INPUT = {
    "gtsvector", "pg_brin_bloom_summary", "pg_brin_minmax_multi_summary", "pg_dependencies", "pg_mcv_list",
    "pg_ndistinct", "pg_node_tree",
}  # fmt: skip
"""The server's own types, whose values nobody may write."""
SETTINGS = {
    "DateStyle": "'SQL, DMY'", "IntervalStyle": "'iso_8601'", "TimeZone": "'Asia/Kolkata'", "bytea_output": "'escape'",
    "extra_float_digits": "-10", "array_nulls": "off", "xmloption": "document", "quote_all_identifiers": "on",
    "lc_monetary": "'C'",
}  # fmt: skip


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def columns(declared: Sequence[str], *, arrays: bool = True) -> dict[str, str]:
    """Names and types: each type, and an array of each."""
    found = {f"c{n}": type_ for n, type_ in enumerate(declared)}
    if arrays:
        found |= {f"a{n}": f"{type_}[]" for n, type_ in enumerate(declared) if type_ not in NO_ARRAYS}
    return found


def create(client: PostgresClient, table: str, values: dict[str, Sequence[str]]) -> None:
    """A table with a column for each type and one for its arrays, which hold all values of it and NULL."""
    types = list(values)
    named = columns(types)
    client.run(f"CREATE TABLE {table} (n integer PRIMARY KEY, {', '.join(f'{c} {t}' for c, t in named.items())})")
    lines = []
    for row in range(1 + max(map(len, values.values()))):
        line = [str(row)]
        for column, type_ in named.items():
            texts = values[types[int(column[1:])]]
            plain = f"{quoted(texts[row])}::{type_}" if row < len(texts) and column[0] == "c" else "NULL"
            if column[0] == "a":
                elements = ",".join(f"{quoted(text)}::{type_.removesuffix('[]')}" for text in texts)
                plain = {0: f"ARRAY[{elements},NULL]::{type_}", 1: f"'{{}}'::{type_}"}.get(row, "NULL")
            line.append(plain)
        lines.append(f"({', '.join(line)})")
    client.run(f"INSERT INTO {table} VALUES {', '.join(lines)}".replace("%", "%%"))


def selection(client: PostgresClient, origin: str, unheld: Unheld = "fail", key: tuple[str, ...] = ()) -> Selection:
    with client.connect() as connection:
        return Selection(
            origin, tuple(columns_of(connection, f"SELECT * FROM {origin}")), origin, "", None, unheld, key
        )


def read(client: PostgresClient, chosen: Selection, reader: Any) -> pa.Table:
    return pa.Table.from_batches([batch.records for batch in reader.read(client, chosen)]).sort_by("n")


def load(client: PostgresClient, table: pa.Table, schema: str) -> None:
    destination = PostgresDestination(client, schema=schema)
    with destination.begin("copy", Stream("copied", ("n",)), Mode.REPLACE) as open_load:
        open_load.commit([open_load.write("all", (Batch(batch) for batch in table.to_batches()))], None)


def same(client: PostgresClient, table: str, schema: str) -> None:
    """See that a copy has the same DDL and, by the server's own word, the same values."""
    declared = (
        "SELECT attname::text, replace(format_type(atttypid, atttypmod), %s, ''), attnotnull FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum"
    )
    original = client.fetch(declared, ("", table))
    assert client.fetch(declared, (f"{schema}.", f"{schema}.copied")) == original
    differences = ", ".join(
        f"count(*) FILTER (WHERE o.{name}::text IS DISTINCT FROM c.{name}::text)" for name, _, _ in original
    )
    ((rows, *counts),) = client.fetch(
        f"SELECT count(*), {differences} FROM {table} o FULL JOIN {schema}.copied c ON c.n = o.n"
    )
    wrong = {f"{name} {type_}": n for (name, type_, _), n in zip(original, counts, strict=True) if n}
    assert not wrong
    assert client.fetch(f"SELECT count(*) FROM {table}") == [(rows,)]


@pytest.fixture(scope="module")
def made(module_client: PostgresClient) -> Iterator[PostgresClient]:
    """A database with the settings that change how values are spelled, and with a table of everything."""
    (name,) = module_client.fetch("SELECT current_database()")[0]
    for setting, value in SETTINGS.items():
        module_client.run(f'ALTER DATABASE "{name}" SET {setting} TO {value}')
    module_client.run(MADE)
    module_client.run("CREATE TABLE original ()")
    create(module_client, "everything", PLAIN)
    return module_client


def test_every_type_of_the_server_has_a_form(made: PostgresClient) -> None:
    """No type of pg_catalog that a value can be written of is missing in the table, nor in these tests."""
    names = made.fetch(
        "SELECT format_type(oid, NULL), typname::text FROM pg_type t WHERE typnamespace = 'pg_catalog'::regnamespace"
        " AND typtype IN ('b', 'r', 'm') AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)"
    )
    query = "SELECT " + ", ".join(f'NULL::{name} AS "{typname}"' for name, typname in names)
    with made.connect() as connection:
        found = columns_of(connection, query)
    assert {column.name for column in found if not column.type.known} == WITHOUT_INPUT
    tested = {base for name in PLAIN if (type_ := PgType.parse(name.replace("public.", ""))) for base in [type_.base]}
    assert {c.type.base for c in found if c.type.known} - tested == {"xml"}  # needs a server that was built with it


def test_both_readers_give_the_same(made: PostgresClient) -> None:
    """The fast decoder and the plain one agree on every type, to the last bit and in the schema."""
    chosen = selection(made, "everything")
    fast, plain = (read(made, chosen, reader) for reader in (AdbcReader(), CopyBinaryReader()))
    fast.validate(full=True)
    assert fast.schema.equals(plain.schema, check_metadata=True)
    # As text, which tells NaN from null and one zero from the other.
    assert [str(column) for column in fast.columns] == [str(column) for column in plain.columns]
    assert fast.num_rows == ROWS


@pytest.mark.parametrize("unheld", ["fail", "text"])
def test_every_type_comes_back_through_arrow_and_parquet(made: PostgresClient, tmp_path: Any, unheld: Unheld) -> None:
    """PostgreSQL -> Arrow -> PostgreSQL and through a Parquet file: the same DDL and the same values."""
    table = read(made, selection(made, "everything", unheld), AdbcReader())
    pq.write_table(table, tmp_path / "t.parquet")
    load(made, table, f"by_arrow_{unheld}")
    same(made, "everything", f"by_arrow_{unheld}")
    load(made, pq.read_table(tmp_path / "t.parquet"), f"by_parquet_{unheld}")
    same(made, "everything", f"by_parquet_{unheld}")


def test_what_can_be_comes_back_by_copy_binary(made: PostgresClient) -> None:
    """Where no column needs to be read from text, the same values come back by the faster form, into old tables too."""
    table = read(made, selection(made, "everything"), AdbcReader()).combine_chunks()
    (records,) = table.to_batches()
    types = {column.name: column.type.staged for column in columns_of_schema("everything", table.schema)}
    fitting = [
        name
        for name, type_ in types.items()
        if BinaryEncoder.fitting([type_.plain], records.select([name])) is not None
    ]
    assert len(fitting) > 40
    made.run(f"CREATE TABLE faster AS SELECT {', '.join(fitting)} FROM everything")
    made.run("ALTER TABLE faster ADD PRIMARY KEY (n)")
    table = read(made, selection(made, "faster"), AdbcReader())
    for _ in range(2):
        load(made, table, "by_binary")
        same(made, "faster", "by_binary")


def test_a_copy_stands_beside_the_types_that_are_there(made: PostgresClient) -> None:
    """A second load into a schema that has the types already uses them, and appends the same values."""
    table = read(made, selection(made, "everything"), AdbcReader())
    load(made, table, "twice")
    load(made, table, "twice")
    same(made, "everything", "twice")


# --- Values without a place -------------------------------------------------------------------------------------------

UNHELD: dict[str, Sequence[str]] = {
    "date": ["infinity", "2026-01-01", "-infinity"],
    "timestamp": ["-infinity", "294276-12-31 23:59:59.999999"],
    "timestamptz": ["infinity", "294276-12-31 23:59:59.999999+00"],
    "time": ["24:00"],
    "time(3)": ["24:00"],
    "numeric(5,2)": ["NaN", "1.50"],
    "integer": ["1"],
}
ODD_ARRAYS = ["'{{1,2},{3,NULL}}'", "'[0:1]={1,2}'", "'[5:5][-2:-1]={{1,2}}'", "'{}'", "'{1,NULL}'"]


@pytest.fixture(scope="module")
def unheld_values(made: PostgresClient) -> PostgresClient:
    create(made, "unheld", UNHELD)
    made.run("ALTER TABLE unheld ADD COLUMN odd integer[], ADD COLUMN fine text DEFAULT 'fine'")
    for n, odd in enumerate(ODD_ARRAYS):
        made.run(f"INSERT INTO unheld (n, odd) VALUES ({100 + n}, {odd})")
    return made


READERS = pytest.mark.parametrize("reader", [AdbcReader(), CopyBinaryReader()], ids=["adbc", "copy_binary"])


@READERS
def test_as_text_every_value_comes_back(unheld_values: PostgresClient, reader: Any) -> None:
    """Columns that may have values without a place are text, whatever values there are, and go back as they were."""
    chosen = selection(unheld_values, "unheld", "text")
    table = read(unheld_values, chosen, reader)
    assert {field.name for field in table.schema if field.type != pa.string()} == {"n", "c6"}
    assert table.schema == read(unheld_values, selection(unheld_values, "unheld", "text"), reader).slice(0, 0).schema
    load(unheld_values, table, f"as_text_{type(reader).__name__.lower()}")
    same(unheld_values, "unheld", f"as_text_{type(reader).__name__.lower()}")


@READERS
@pytest.mark.parametrize(("key", "named"), [(("n",), "(n=100)"), ((), "(ctid=(0,5))")], ids=["key", "ctid"])
def test_an_error_names_the_row_by_what_identifies_it(
    unheld_values: PostgresClient, reader: Any, key: tuple[str, ...], named: str
) -> None:
    """The row is told as its number, and by its key or its place in the table, so that a user finds it."""
    chosen = selection(unheld_values, "unheld", "fail", key)
    odd = Selection("unheld", chosen.columns[-2:], "unheld", "", None, "fail", key)
    with pytest.raises(ValueNotHeld) as told:
        list(reader.read(unheld_values, odd))
    assert named in str(told.value)
    assert (told.value.column, told.value.row) == ("odd", 4)


@READERS
def test_an_error_about_a_query_has_the_number_alone(unheld_values: PostgresClient, reader: Any) -> None:
    """Rows of a query have no place of their own."""
    origin = "(SELECT c0 FROM unheld ORDER BY n) AS q"
    with pytest.raises(ValueNotHeld, match="in row 0, which") as told:
        list(reader.read(unheld_values, selection(unheld_values, origin)))
    assert told.value.key == {}


@READERS
@pytest.mark.parametrize("unheld", ["null", "quarantine"])
def test_values_are_set_aside_and_counted(
    unheld_values: PostgresClient, reader: Any, unheld: Literal["null", "quarantine"]
) -> None:
    """Null takes the value's place, or the row is left out; what was there is kept as text, with the reason."""
    batches = list(reader.read(unheld_values, selection(unheld_values, "unheld", unheld)))
    rows = [row for batch in batches for row in batch.records.to_pylist()]
    aside = [row for batch in batches if batch.rejected for row in batch.rejected.to_pylist()]
    assert [row["row"] for row in aside] == [0, 1, 2, 4, 5, 6]
    assert '"c0":"infinity"' in aside[0]["record"]
    assert '"odd":"[0:1]={1,2}"' in aside[4]["record"]
    assert "column 'c0' has infinity" in aside[0]["reason"]
    assert aside[0]["place"] == "unheld"
    kept = [0, 1, 2, 3, 100, 101, 102, 103, 104] if unheld == "null" else [3, 103, 104]
    assert sorted(row["n"] for row in rows) == kept
    by_n = {row["n"]: row for row in rows}
    assert (by_n[104]["odd"], by_n[103]["odd"]) == ([1, None], [])
    if unheld == "null":
        assert (by_n[0]["c0"], by_n[0]["c6"], by_n[100]["odd"]) == (None, 1, None)


def test_the_source_hands_the_policy_on(unheld_values: PostgresClient) -> None:
    """Types decide what a policy does to the schema."""
    chosen = selection(unheld_values, "unheld")
    texts = {column.name for column in as_read(chosen.columns, "text") if column.as_text}
    assert {"c0", "c1", "c2", "c3", "c4", "c5", "a6", "odd"} <= texts
    assert not {"n", "c6", "fine"} & texts


@pytest.mark.parametrize(("unheld", "rows"), [("null", 9), ("quarantine", 3)])
def test_a_run_reports_what_it_set_aside(unheld_values: PostgresClient, unheld: Unheld, rows: int) -> None:
    """The report counts them, and the quarantine of the stream has them, in the commit of the other rows."""
    source = PostgresSource(unheld_values, tables=["unheld"], unheld=unheld)
    destination = PostgresDestination(unheld_values, schema=f"aside_{unheld}")
    report = Pipeline("aside", source, destination, mode=Mode.REPLACE).run()
    assert (report.rows, report.rejected) == (rows, 6)
    kept = unheld_values.fetch(f"SELECT count(*), min(place) FROM aside_{unheld}.unheld_quarantine")
    assert kept == [(6, "public.unheld")]


def test_a_dataset_brings_everything_back(made: PostgresClient, tmp_path: Any) -> None:
    """PostgreSQL -> files of a dataset -> PostgreSQL, with the public classes: the same DDL and the same values."""
    store = LocalStore(tmp_path / "store")
    PostgresToObjectStore(made, store, tables={"copied": "everything"}, prefix="lake").run()
    ObjectStoreToPostgres(store, made, prefix="lake", schema="by_dataset", mode="replace").run()
    same(made, "everything", "by_dataset")


def test_the_named_pipelines_hand_on_how_to_read_and_write(client: PostgresClient, tmp_path: Any) -> None:
    """Patterns, cuts, the policy for values and evolving are the sources' and destinations' own."""
    client.run(
        "CREATE SCHEMA sales; CREATE TABLE sales.days (id int PRIMARY KEY, day date); CREATE TABLE sales.tmp (n int)"
    )
    client.run("INSERT INTO sales.days SELECT n, date '2026-01-01' + n FROM generate_series(1, 9) n")
    client.run("UPDATE sales.days SET day = 'infinity' WHERE id = 5")
    store = LocalStore(tmp_path / "store")
    options: Any = {"include": ["sales.*"], "exclude": ["sales.tmp"], "unheld": "quarantine", "max_connections": 3}
    out = PostgresToObjectStore(client, store, splits={"days": KeyHashes("id", 4)}, **options)
    assert (out.plan().streams[0].splits, out.run().rejected) == (4, 1)
    back = ObjectStoreToPostgres(store, client, schema="back", schema_changes="evolve")
    assert back.run().rows == 8
    client.run("ALTER TABLE sales.days ADD note text DEFAULT 'x'")
    out = PostgresToObjectStore(client, store, schema_changes="evolve", **options)
    out.run()
    ObjectStoreToPostgres(store, client, schema="back", schema_changes="evolve", mode="replace", truncate=True).run()
    assert client.fetch("SELECT count(*), min(note) FROM back.days") == [(8, "x")]


# --- Random values ----------------------------------------------------------------------------------------------------

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
whole = st.integers(-(2**31), 2**31 - 1)
floats = st.floats().map(lambda number: repr(number).replace("inf", "Infinity").replace("nan", "NaN"))
spans = st.builds(
    lambda months, days, micros: f"{months} mons {days} days {micros} microseconds",
    whole, whole, st.integers(1 - 2**63, 2**63 - 1),
)  # fmt: skip
element = st.none() | text


def literal(values: Sequence[str | None]) -> str:
    escaped = ("NULL" if v is None else '"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for v in values)
    return "{" + ",".join(escaped) + "}"


def composite(values: Sequence[str | None]) -> str:
    escaped = ("" if v is None else '"' + v.replace("\\", "\\\\").replace('"', '""') + '"' for v in values)
    return "(" + ",".join(escaped) + ")"


RANDOM: dict[str, st.SearchStrategy[str]] = {
    "interval": spans,
    "interval(2)": st.builds(lambda days, cents: f"{days} days {cents * 10_000} microseconds", whole, whole),
    "timetz": st.builds(
        lambda hour, micros, zone: f"{hour:02}:00:{micros // 10**6:02}.{micros % 10**6:06}{zone:+03}:30",
        st.integers(0, 23), st.integers(0, 59_999_999), st.integers(-15, 15),
    ),
    "money": st.integers(-(2**63), 2**63 - 1).map(lambda n: f"{'-' * (n < 0)}{abs(n) // 100}.{abs(n) % 100:02}"),
    "varbit": st.text("01", max_size=70),
    "inet": st.ip_addresses().map(str) | st.ip_addresses(v=4).map(lambda ip: f"{ip}/9"),
    "point": st.tuples(floats, floats).map(lambda pair: f"({pair[0]},{pair[1]})"),
    "int8range": st.tuples(whole, whole).map(lambda pair: f"[{min(pair)},{max(pair)}]"),
    "xid8": st.integers(0, 2**64 - 1).map(str),
    "oid": st.integers(0, 2**32 - 1).map(str),
    "text[]": st.lists(element, max_size=4).map(literal),
    "words": st.tuples(element, element).map(composite),
    "words[]": st.lists(st.none() | st.tuples(element, element).map(composite), max_size=3).map(literal),
    "jsonb": st.decimals(allow_nan=False, allow_infinity=False).map(str),
}  # fmt: skip


def test_random_values_come_back(made: PostgresClient, tmp_path: Any) -> None:
    """Whatever values the types have, both readers agree on them and they come back from Parquet."""
    made.run("CREATE TYPE words AS (a text, b text)")
    made.run(f"CREATE TABLE random (n integer PRIMARY KEY, {', '.join(f'c{n} {t}' for n, t in enumerate(RANDOM))})")
    places = ", ".join(f"%s::{type_}" for type_ in RANDOM)
    drawn = st.lists(st.tuples(*RANDOM.values()), min_size=5, max_size=40)

    @settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
    @given(drawn)
    def come_back(rows: list[tuple[str, ...]]) -> None:
        made.run("TRUNCATE random")
        with made.connect() as connection, connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO random VALUES (%s, {places})".encode(), [(n, *row) for n, row in enumerate(rows)]
            )
        chosen = selection(made, "random")
        fast, plain = (read(made, chosen, reader) for reader in (AdbcReader(), CopyBinaryReader()))
        assert fast.equals(plain, check_metadata=True)
        pq.write_table(fast, tmp_path / "random.parquet")
        load(made, pq.read_table(tmp_path / "random.parquet"), "by_chance")
        same(made, "random", "by_chance")

    come_back()
