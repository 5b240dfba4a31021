from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from de_classes.errors import ConfigurationError
from de_classes.storage.postgres.identifiers import MAX_BYTES, TableName, quoted, shortened

names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=120)


@given(names)
@example("ü" * 31 + "x")
@example("𝄞" * 16)
def test_a_short_name_stays_and_a_long_one_fits(name: str) -> None:
    """Names of up to 63 bytes stay as they are; longer ones become whole characters of at most 63 bytes."""
    short = shortened(name)
    if len(name.encode()) <= MAX_BYTES:
        assert short == name
    else:
        assert len(short.encode()) <= MAX_BYTES
        assert short[: short.rindex("_")] == name[: short.rindex("_")]
    assert shortened(short) == short


@given(names, names)
@example("x" * 80 + "a", "x" * 80 + "b")
def test_different_names_stay_different(one: str, other: str) -> None:
    """Names that differ only after the 63rd byte do not become one."""
    assert (shortened(one) == shortened(other)) == (one == other)


def test_a_long_name_is_shortened_the_same_for_ever() -> None:
    """The shortened name is part of what is stored, so it must never change."""
    assert shortened("x" * 64) == "x" * 52 + "_7ce100971f"


@given(names)
def test_quoting_can_be_read_back(name: str) -> None:
    """Within the quotes stands the name, with quotes doubled."""
    sql = quoted(name)
    assert (sql[0], sql[-1]) == ('"', '"')
    assert sql[1:-1].replace('""', '"') == shortened(name)


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_names_that_postgres_cannot_have_are_refused(name: str) -> None:
    """An empty name and one with NUL are the user's mistake."""
    with pytest.raises(ConfigurationError):
        quoted(name)


@pytest.mark.parametrize(
    ("text", "schema", "table"),
    [
        ("orders", "public", "orders"),
        ("shop.Orders", "shop", "Orders"),
        (' shop . "a.b ""c""" ', "shop", 'a.b "c"'),
        ('"Odd.Schema"."Table"', "Odd.Schema", "Table"),
        ("daily revenue", "public", "daily revenue"),
    ],
)
def test_table_names_are_read(text: str, schema: str, table: str) -> None:
    """A name is a table, or a schema and a table, in quotes where it must be."""
    assert TableName.parse(text) == TableName(schema, table)


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a.b.c", 'a"b', '"a', '""', "a..b"])
def test_other_names_are_refused(text: str) -> None:
    """What is no name of a table is told so, and not guessed at."""
    with pytest.raises(ConfigurationError, match="no name of a table"):
        TableName.parse(text)


@given(names, names)
def test_a_table_name_can_be_written_and_read_back(schema: str, table: str) -> None:
    """What str() gives is what parse() takes."""
    name = TableName(schema, table)
    assert TableName.parse(str(name)) == name
