from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.errors import SchemaMismatch
from de_classes.storage.postgres import TableName
from de_classes.storage.postgres.catalogue import Table
from de_classes.storage.postgres.growing import (
    Change,
    altering,
    changes,
    coming_columns,
    converted,
    together,
    wider,
)
from de_classes.storage.postgres.types import Column, PgType, holds

ORDERS = TableName("public", "orders")


def type_of(text: str) -> PgType:
    return PgType("null", array=text.endswith("[]")) if text.startswith("null") else PgType.parse(text) or PgType(text)


def column(name: str, type_: str) -> Column:
    return Column(name, type_of(type_))


def table(**columns: str) -> Table:
    return Table(1, "r", 0, 0, False, (), tuple(column(*item) for item in columns.items()), frozenset())  # noqa: FBT003 -- no children


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("smallint", "bigint", "bigint"),
        ("integer", "numeric(5,0)", "numeric(10,0)"),
        ("bigint", "numeric(5,2)", "numeric(21,2)"),
        ("bigint", "numeric(999,2)", "numeric(999,2)"),
        ("bigint", "numeric(1000,990)", "numeric"),
        ("numeric(5,2)", "numeric(4,3)", "numeric(6,3)"),
        ("numeric(2,-3)", "numeric(3,0)", "numeric(5,0)"),
        ("numeric(2,5)", "numeric(2,6)", "numeric(3,6)"),
        ("numeric(5,2)", "numeric", "numeric"),
        ("real", "double precision", "double precision"),
        ("real", "smallint", "real"),
        ("real", "integer", "double precision"),
        ("double precision", "bigint", "double precision"),
        ("varchar(3)", "varchar(5)", "varchar(5)"),
        ("varchar(3)", "text", "text"),
        ("timestamp(0)", "timestamp", "timestamp"),
        ("timetz(0)", "timetz(3)", "timetz(3)"),
        ("integer[]", "bigint[]", "bigint[]"),
        ("null", "date", "date"),
        ("null", "null[]", "null[]"),
        ("null[]", "date[]", "date[]"),
        ("null[]", "jsonb", "jsonb"),
        ("null[]", "text", None),
        ("double precision", "numeric(5,2)", None),
        ("timestamp", "timestamptz", None),
        ("date", "timestamp", None),
        ("text", "bigint", None),
        ("integer[]", "integer", None),
        ("boolean", "integer", None),
        ("uuid", "text", None),
    ],
)
def test_the_type_that_holds_both(one: str, other: str, both: str | None) -> None:
    """Types grow only where no value is lost, whichever is there first."""
    expected = None if both is None else type_of(both)
    assert wider(type_of(one), type_of(other)) == expected
    assert wider(type_of(other), type_of(one)) == expected


@pytest.mark.parametrize(
    ("known", "coming", "becomes"),
    [
        ('domain "price" (numeric(5,2))', "integer", None),
        ('domain "price" (numeric(12,2))', "integer", 'domain "price" (numeric(12,2))'),
        ('domain "price" (numeric(5,2))[]', "numeric(4,2)[]", 'domain "price" (numeric(5,2))[]'),
        ('domain "ints" (integer[])', "smallint[]", 'domain "ints" (integer[])'),
        ("numeric(5,2)", 'domain "price" (numeric(5,2))', "numeric(5,2)"),
        ("integer", 'domain "price" (numeric(5,2))', "numeric(12,2)"),
    ],
)
def test_a_domain_stays_or_nothing_grows(known: str, coming: str, becomes: str | None) -> None:
    """A column of a domain keeps it, with its constraints; one without does not get any."""
    assert wider(type_of(known), type_of(coming)) == (None if becomes is None else type_of(becomes))


scalars = st.one_of(
    st.sampled_from(["smallint", "integer", "bigint", "real", "double precision", "text", "varchar", "date"]).map(
        PgType
    ),
    st.builds(lambda p, s: PgType("numeric", (p, s)), st.integers(1, 1000), st.integers(-20, 20)),
    st.builds(lambda n: PgType("varchar", (n,)), st.integers(1, 9)),
    st.builds(lambda n: PgType("timestamp", (n,)), st.integers(0, 6)),
)
types = st.builds(lambda type_, array: PgType(type_.base, type_.arguments, array), scalars, st.booleans())


@given(types, types)
def test_what_a_type_becomes_takes_the_values_of_both(one: PgType, other: PgType) -> None:
    """A grown column takes what both do, and does not grow for either again; floats, that which lies within them."""
    both = wider(one, other)
    if both is not None:
        assert wider(both, one) == wider(both, other) == both
        assert all(holds(both, each) or each.element.base == "bigint" for each in (one, other))


@pytest.mark.parametrize(
    ("known", "coming", "action", "obstacle"),
    [
        (None, "null", 'ADD COLUMN "a" text', ""),
        (None, "null[]", 'ADD COLUMN "a" text[]', ""),
        ("integer", "bigint", 'ALTER COLUMN "a" TYPE bigint USING "a"::bigint', ""),
        (
            "bigint",
            "real",
            'ALTER COLUMN "a" TYPE double precision USING "a"::double precision',
            'SELECT 1 FROM "public"."orders" WHERE NOT "a" BETWEEN -9007199254740992 AND 9007199254740992 LIMIT 1',
        ),
        (
            "text",
            "date",
            'ALTER COLUMN "a" TYPE date USING "a"::text::date',
            'SELECT 1 FROM "public"."orders" WHERE "a" IS NOT NULL LIMIT 1',
        ),
        (
            "text[]",
            "jsonb",
            'ALTER COLUMN "a" TYPE jsonb USING to_jsonb("a")',
            (
                'SELECT 1 FROM "public"."orders" WHERE EXISTS'
                ' (SELECT FROM unnest("a") AS element (value) WHERE value IS NOT NULL) LIMIT 1'
            ),
        ),
    ],
)
def test_the_ddl_of_a_change(known: str | None, coming: str, action: str, obstacle: str) -> None:
    """A change says what it does, and which rows would keep it from being done."""
    change = Change.of("a", type_of(coming), type_of(known) if known else None)
    assert change.action("public") == action
    assert change.obstacle(ORDERS) == obstacle


def test_a_table_is_altered_once() -> None:
    """All that a table needs for several pieces is one statement; what it takes as it is, it keeps."""
    there = table(id="bigint", amount="numeric(10,2)", ref="uuid", note="text")
    pieces = [
        [column("id", "integer"), column("amount", "bigint"), column("ref", "text")],
        [column("id", "smallint"), column("note", "null"), column("New", "null")],
        [column("New", "date")],
    ]
    assert altering(ORDERS, changes("t", pieces, there)) == (
        'ALTER TABLE "public"."orders"'
        ' ALTER COLUMN "amount" TYPE numeric(21,2) USING "amount"::numeric(21,2), ADD COLUMN "New" date'
    )


def test_pieces_that_no_type_holds_are_told_at_once() -> None:
    """All columns that come apart are named, whether there is a table or not, unless the table takes each as it is."""
    pieces = [[column("a", "date"), column("b", "numeric(3,1)")], [column("a", "bigint"), column("b", "text")]]
    with pytest.raises(SchemaMismatch) as told:
        together("t", pieces)
    assert told.value.differences == [
        "a comes as date and as bigint",
        "b comes as numeric(3,1) and as text",
    ]
    with pytest.raises(SchemaMismatch) as told:
        changes("t", pieces, table(b="text"))
    assert told.value.differences == ["a comes as date and as bigint"]


def test_a_new_table_holds_all_pieces() -> None:
    """Columns come in the order in which they first come, and must have values only where every piece says so."""
    one = pa.schema([pa.field("id", pa.int32(), nullable=False), pa.field("tags", pa.list_(pa.null()))])
    other = pa.schema(
        [
            pa.field("new", pa.null()),
            pa.field("tags", pa.list_(pa.date32())),
            pa.field("id", pa.int64(), nullable=False),
        ]
    )
    made = together("t", [coming_columns("t", schema) for schema in (one, other)])
    assert [(each.name, str(each.type), each.nullable) for each in made] == [
        ("id", "bigint", False),
        ("tags", "date[]", True),
        ("new", "text", True),
    ]


@pytest.mark.parametrize(
    ("written", "wanted", "sql"),
    [
        ("text", "text", '"a"'),
        ("integer", "bigint", '"a"::bigint'),
        ("text", "uuid", '"a"::uuid'),
        ("varchar(2)", "varchar(3)", '"a"::varchar(3)'),
        ("text", "varchar(3)", None),
        ("varchar(4)", "char(3)", None),
        ("text[]", "varchar(3)[]", None),
        ("double precision", "real", None),
        ("numeric(5,3)", "numeric(5,2)", None),
    ],
)
def test_what_is_staged_is_cast_without_a_loss(written: str, wanted: str, sql: str | None) -> None:
    """A cast that would cut or round is none."""
    assert converted("a", type_of(written), type_of(wanted), type_of(written), "public") == sql
