from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.errors import UnknownType
from de_classes.storage.postgres.types import (
    TYPE_KEY,
    Column,
    Entry,
    PgType,
    Use,
    arrow_type,
    columns_of_schema,
    holds,
    natural_type,
    refuse_unknown,
    type_of,
)

plain_types = st.sampled_from(["smallint", "double precision", "text", "bpchar", "timestamptz", "jsonb", "uuid"]).map(
    PgType
)
numerics = st.builds(lambda p, s: PgType("numeric", (p, s)), st.integers(1, 1000), st.integers(-1000, 1000))
lengths = st.builds(
    lambda base, n: PgType(base, (n,)), st.sampled_from(["varchar", "char", "timestamp", "time"]), st.integers(0, 99)
)
words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
enums = st.builds(
    lambda name, labels: PgType("enum", enum=name, labels=tuple(labels)), words, st.lists(words, min_size=1)
)
tagged = st.sampled_from(
    [PgType("inet"), PgType('"char"'), PgType('"bit"'), PgType("bit", (3,)), PgType("interval day to second", (3,))]
)
extensions = st.builds(lambda *own: PgType("type", own=own), words, words, st.sampled_from(["", "(3)", "(Point,4326)"]))
simple = plain_types | numerics | lengths | enums | tagged | extensions
composites = st.builds(
    lambda name, attributes: PgType("composite", composite=name, attributes=tuple(attributes)),
    words,
    st.lists(st.tuples(words, simple), max_size=3),
)
arrays_too = st.builds(lambda type_, array: replace(type_, array=array), simple | composites, st.booleans())
domains = st.builds(lambda name, below: replace(below, domain=name, domain_of_array=below.array), words, arrays_too)
types = arrays_too | domains | domains.map(lambda type_: type_ if type_.array else replace(type_, array=True))


@given(types)
def test_a_type_can_be_written_and_read_back(type_: PgType) -> None:
    """What travels in the metadata is read as the type that it was."""
    assert PgType.parse(str(type_)) == type_


@given(types)
def test_a_type_comes_back_from_its_arrow_field(type_: PgType) -> None:
    """A field made of a column gives back the type, whatever Arrow type stands for it."""
    assert natural_type(Column("x", type_).field) == type_


@given(types)
def test_a_type_holds_its_own_values(type_: PgType) -> None:
    """A column of a type takes what comes from a column of the same type."""
    assert holds(type_, type_)


@pytest.mark.parametrize(
    "text", ["", "numeric(1,2", "enum", "pg_node_tree", "text[][]", 'enum "x" (\'a', "drop table t"]
)
def test_other_texts_are_no_types(text: str) -> None:
    """Metadata that somebody else wrote is not taken for a type."""
    assert PgType.parse(text) is None
    assert natural_type(pa.field("x", pa.int64(), metadata={TYPE_KEY: text.encode()})) == PgType("bigint")


@pytest.mark.parametrize(
    "text",
    [
        'type "a"."b"; DROP TABLE t',
        'type "a"."b"(1); DROP TABLE t; --)',
        "type a.b",
        'type "a"."b"(\'x\')',
        'domain "d" (integer) CHECK (pg_sleep(9) IS NULL)',
        'composite "c" ("a" integer, "b" text); DROP TABLE t',
        'domain "d" (domain "e" (integer))',
        'domain "d" (' * 50 + "integer" + ")" * 50,
        "interval '1 day'",
        "enum",
        "composite",
        "type",
    ],
)
def test_metadata_is_no_sql(text: str) -> None:
    """Text that somebody wrote into a file never reaches a statement, but for names, which are quoted."""
    assert PgType.parse(text) is None


def test_names_of_types_are_quoted_in_ddl() -> None:
    """A name may be anything, and stays a name."""
    type_ = PgType("type", own=('a".b', 'c"; DROP TABLE t; --', "(3)"))
    assert type_.ddl("x") == '"a"".b"."c""; DROP TABLE t; --"(3)'
    assert PgType("enum", enum='m"', domain='d"', array=True).ddl('s"') == '"s"""."d"""[]'


def test_metadata_counts_only_while_the_arrow_type_agrees() -> None:
    """A column that a transform has cast is of its new type."""
    field = Column("x", PgType("numeric", (12, 2))).field
    assert natural_type(field) == PgType("numeric", (12, 2))
    assert natural_type(field.with_type(pa.string())) == PgType("text")
    assert natural_type(Column("x", PgType("jsonb")).field.with_type(pa.large_string())) == PgType("jsonb")


@pytest.mark.parametrize(
    ("declared", "arrow"),
    [
        ("numeric(38,0)", pa.decimal128(38, 0)),
        ("numeric(39,0)", pa.decimal256(39, 0)),
        ("numeric(76,76)", pa.decimal256(76, 76)),
        ("numeric(77,0)", pa.string()),
        ("numeric", pa.string()),
        ("numeric(2,5)", pa.decimal128(5, 5)),
        ("numeric(2,77)", pa.string()),
        ("numeric(5,-2)", pa.decimal128(7, 0)),
        ("numeric(40,-37)", pa.string()),
        ("numeric(10,2)[]", pa.list_(pa.decimal128(10, 2))),
        ("uuid[]", pa.list_(pa.string())),
        ("timestamptz(3)", pa.timestamp("us", "UTC")),
    ],
)
def test_every_declared_type_has_an_arrow_type_that_holds_it(declared: str, arrow: pa.DataType) -> None:
    """Precision and scale decide; what no decimal holds is text."""
    type_ = PgType.parse(declared)
    assert type_ is not None
    assert arrow_type(type_) == arrow


@pytest.mark.parametrize(
    ("name", "modifier", "expected"),
    [
        ("numeric", ((12 << 16) | 2) + 4, "numeric(12,2)"),
        ("numeric", ((5 << 16) | (-2 & 0x7FF)) + 4, "numeric(5,-2)"),
        ("numeric", -1, "numeric"),
        ("varchar", 44, "varchar(40)"),
        ("bpchar", 5, "char(1)"),
        ("bpchar", -1, "bpchar"),
        ("timestamptz", 3, "timestamptz(3)"),
        ("int4", -1, "integer"),
    ],
)
def test_the_catalogue_is_understood(name: str, modifier: int, expected: str) -> None:
    """Names and modifiers of pg_attribute become declared types."""
    assert str(type_of(Use(1, modifier, "?"), {1: Entry(name, "pg_catalog", "b")})) == expected


def test_a_type_of_the_same_name_elsewhere_is_another_type() -> None:
    """Only PostgreSQL's own types are known by their name alone; others travel with their schema, as text."""
    type_ = type_of(Use(1, -1, "mine.int4"), {1: Entry("int4", "mine", "b")})
    assert str(type_) == 'type "mine"."int4"'
    assert arrow_type(type_) == pa.string()


def test_types_that_are_not_read_are_told_all_at_once() -> None:
    """Pseudo-types, and those of the server's own statistics, have no form."""
    types = [type_of(Use(1, -1, name), {1: Entry(name, "pg_catalog", "b")}) for name in ("pg_node_tree", "gtsvector")]
    with pytest.raises(UnknownType, match="a pg_node_tree, b gtsvector") as told:
        refuse_unknown("public.t", [Column("a", types[0]), Column("ok", PgType("text")), Column("b", types[1])])
    assert told.value.columns == ["a pg_node_tree", "b gtsvector"]


@pytest.mark.parametrize(
    ("arrow", "expected"),
    [
        (pa.decimal128(5, -2), "numeric(7,0)"),
        (pa.uuid(), "uuid"),
        (pa.json_(), "jsonb"),
        (pa.dictionary(pa.int8(), pa.large_string()), "text"),
        (pa.run_end_encoded(pa.int32(), pa.int8()), "smallint"),
        (pa.list_(pa.list_(pa.int8())), "jsonb"),
        (pa.struct({"a": pa.list_(pa.struct({"b": pa.date32()}))}), "jsonb"),
        (pa.struct([]), "jsonb"),
        (pa.list_(pa.dictionary(pa.int8(), pa.string())), "text[]"),
        (pa.duration("ns"), "interval"),
        (pa.month_day_nano_interval(), "interval"),
        (pa.list_(pa.duration("s")), "interval[]"),
        (pa.list_view(pa.int8()), "smallint[]"),
        (pa.map_(pa.string(), pa.int8()), "jsonb"),
        (pa.bool8(), "boolean"),
        (pa.decimal32(5, 2), "numeric(5,2)"),
    ],
)
def test_arrow_types_find_their_place(arrow: pa.DataType, expected: str) -> None:
    """Layouts of Arrow do not matter; what is nested deeper than a list is JSON."""
    assert str(natural_type(pa.field("x", arrow))) == expected


@pytest.mark.parametrize(
    "arrow",
    [
        pa.struct({"a": pa.binary()}),
        pa.struct({"a": pa.duration("s")}),
        pa.map_(pa.string(), pa.binary()),
        pa.dense_union([pa.field("a", pa.int8())]),
        pa.opaque(pa.string(), "point", "somebody"),
        pa.struct([pa.field("a", pa.int8()), pa.field("a", pa.int8())]),
    ],
)
def test_arrow_types_without_a_place_are_refused(arrow: pa.DataType) -> None:
    """What would lose something is an error that names the column."""
    with pytest.raises(UnknownType, match="x "):
        columns_of_schema("t", pa.schema({"ok": pa.int8(), "x": arrow}))
