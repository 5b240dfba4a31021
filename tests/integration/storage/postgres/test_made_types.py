"""What is created in the destination for types that are a database's own, and what is used as it is."""

from __future__ import annotations

import pytest

from de_classes.contracts import Mode
from de_classes.errors import PostgresError, SchemaMismatch, ValueNotHeld
from de_classes.pipelines import Pipeline
from de_classes.storage.postgres import PostgresClient, PostgresDestination, PostgresSource


def copy(client: PostgresClient, table: str, schema: str) -> None:
    destination = PostgresDestination(client, schema=schema)
    Pipeline("copy", PostgresSource(client, tables=[table]), destination, mode=Mode.REPLACE).run()


def types(client: PostgresClient, table: str) -> list[str]:
    found = client.fetch(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
        " ORDER BY attnum",
        (table,),
    )
    return [type_ for (type_,) in found]


def test_computed_and_numbered_columns_keep_their_values(client: PostgresClient) -> None:
    """Generated and identity columns are read as any other; the table that is made has plain columns."""
    client.run(
        "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY, n int,"
        " twice int GENERATED ALWAYS AS (n * 2) STORED, thrice int GENERATED ALWAYS AS (n * 3) VIRTUAL)"
    )
    client.run("INSERT INTO t (n) VALUES (1), (2)")
    copy(client, "t", "other")
    assert client.fetch("SELECT * FROM other.t ORDER BY id") == [(1, 1, 2, 3), (2, 2, 4, 6)]
    assert client.fetch(
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'other.t'::regclass AND attnum > 0"
        " AND attgenerated = '' AND attidentity = ''"
    ) == [(4,)]


def test_names_of_objects_are_read_from_columns_of_any_name(client: PostgresClient) -> None:
    """A column that is called as one of the server's catalogue is the table's own, in arrays as well."""
    kinds = ["regclass", "regproc", "regoper", "regtype", "regconfig", "regcollation", "regclass[]", "regoper[]"]
    names = ["oid", "relname", "proname", "oprname", "typname", "nspname", "cfgname", "collname", "n", "o", "e", "v"]
    columns = [(f"{name}{n or ''}", kind) for n, kind in enumerate(kinds) for name in names]
    declared = ", ".join(f"{name} {kind}" for name, kind in columns)
    client.run(f"CREATE TABLE odd (id int PRIMARY KEY, {declared})")
    values = {"regclass": "pg_am", "regproc": "now", "regoper": "||/", "regtype": "int4", "regconfig": "simple"}
    values |= {"regcollation": '"C"', "regclass[]": "{pg_am,NULL,0}", "regoper[]": "{||/}"}
    given = ", ".join(f"'{values[kind]}'" for _, kind in columns)
    client.run(f"INSERT INTO odd VALUES (1, {given}), (2{', NULL' * len(columns)})")
    source, destination = PostgresSource(client, tables=["odd"]), PostgresDestination(client, schema="copies")
    assert Pipeline("p", source, destination).run().rows == 2
    assert client.fetch("SELECT count(*) FROM odd JOIN copies.odd AS copy USING (id) WHERE odd::text = copy::text") == [
        (2,)
    ]


def test_types_within_types_are_made_in_order(client: PostgresClient) -> None:
    """A domain over a composite with an enum in an array: each is made once, before what needs it."""
    client.run("CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN felt AS mood")
    client.run("CREATE TYPE pair AS (m mood[], f felt, n numeric(5,2)); CREATE DOMAIN pairs AS pair[]")
    client.run("CREATE TABLE t (m mood, p pairs, f felt[])")
    client.run("""INSERT INTO t VALUES ('ok', ARRAY['("{sad,ok}",ok,1.50)']::pair[], '{ok,NULL}')""")
    copy(client, "t", "other")
    assert types(client, "other.t") == ["other.mood", "other.pairs", "other.felt[]"]
    assert client.fetch("SELECT m::text, p::text, f::text FROM other.t") == client.fetch(
        "SELECT m::text, p::text, f::text FROM t"
    )
    copy(client, "t", "other")  # what is there is used
    assert client.fetch("SELECT count(*) FROM other.t") == [(1,)]


def test_a_domain_that_is_there_keeps_its_constraints(client: PostgresClient) -> None:
    """Constraints of a domain do not travel; those of the one in the destination hold, and name the row."""
    client.run("CREATE DOMAIN price AS numeric(10,2); CREATE SCHEMA other")
    client.run("CREATE DOMAIN other.price AS numeric(10,2) CHECK (value > 0)")
    client.run("CREATE TABLE t (p price); INSERT INTO t VALUES (1)")
    copy(client, "t", "other")
    assert types(client, "other.t") == ["other.price"]
    client.run("INSERT INTO t VALUES (-1)")
    with pytest.raises((ValueNotHeld, PostgresError), match="price_check"):
        copy(client, "t", "other")
    assert client.fetch("SELECT p FROM other.t") == client.fetch("SELECT 1.00")


@pytest.mark.parametrize(
    "there",
    [
        "CREATE DOMAIN other.price AS numeric(10,3)",
        "CREATE TYPE other.price AS (a int)",
        "CREATE TYPE other.price AS ENUM ('a')",
    ],
)
def test_another_type_of_that_name_is_no_surprise(client: PostgresClient, there: str) -> None:
    """A type of the same name with other values is a mismatch that names both."""
    client.run(f"CREATE DOMAIN price AS numeric(10,2); CREATE SCHEMA other; {there}")
    client.run("CREATE TABLE t (p price)")
    with pytest.raises(SchemaMismatch, match=r"type other\.price: it is there as .* comes"):
        copy(client, "t", "other")


def test_a_type_of_an_extension_must_be_there(client: PostgresClient) -> None:
    """Types that an extension brought are not made: the server says which is missing."""
    client.run("CREATE SCHEMA mine; CREATE TYPE mine.span AS RANGE (subtype = float8)")
    client.run("CREATE TABLE t (s mine.span, many mine.span[])")
    client.run("INSERT INTO t VALUES ('[0.1,2)', '{\"[1,2)\",empty}')")
    copy(client, "t", "other")
    assert types(client, "other.t") == ["mine.span", "mine.span[]"]
    assert client.fetch("SELECT s::text, many::text FROM other.t") == [("[0.1,2)", '{"[1,2)",empty}')]
