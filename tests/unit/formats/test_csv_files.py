from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.errors import ConfigurationError, InvalidFile, SchemaMismatch, ValueNotHeld
from de_classes.formats import Csv


def rows(
    text: bytes | str, how: Csv | None = None, schema: pa.Schema | None = None, *, size: int = 1 << 20, cut: int = 0
) -> list[dict[str, Any]]:
    """The rows of a file that comes in pieces of so many bytes."""
    whole = text.encode() if isinstance(text, str) else text
    pieces = iter([whole[at : at + cut] for at in range(0, len(whole), cut)] if cut else [whole])
    batches = (how or Csv()).batches(pieces, schema, size, table="t", where="the file")
    return [row for batch in batches for row in batch.records.to_pylist()]


def aside(text: bytes | str, schema: pa.Schema | None, how: Csv | None = None, *, size: int = 1 << 20) -> Any:
    """The rows, and what was set aside, as (record, path, line, row)."""
    whole = text.encode() if isinstance(text, str) else text
    given, rejected = [], []
    for batch in (how or Csv()).batches(iter([whole]), schema, size, table="t", where="f", misfits="quarantine"):
        given += batch.records.to_pylist()
        rejected += batch.rejected.to_pylist() if batch.rejected is not None else []
    return given, [(one["record"], one["path"], one["place"], one["row"]) for one in rejected]


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8) | st.sampled_from(
    ['"', '""', "\r", "\n", "\r\n", ",", "NULL", "\ufeff", " x "]
)


def written(record: list[str], *, all_quoted: bool) -> str:
    return ",".join(
        '"' + cell.replace('"', '""') + '"' if all_quoted or set(cell) & set('",\r\n') else cell for cell in record
    )


@given(
    st.integers(1, 3).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=12)),
    st.integers(1, 50),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
def test_gives_what_was_written_however_it_is_cut(table: list[list[str]], cut: int, end: str, all_quoted: bool) -> None:
    """Texts that are written by RFC 4180 are read as they were, in pieces of any size and small batches."""
    names = [f"c{n}" for n in range(len(table[0]) if table else 1)]
    text = "".join(written(record, all_quoted=all_quoted) + end for record in [names, *table])
    assert rows(text, cut=cut, size=200) == [dict(zip(names, record, strict=True)) for record in table]


@given(st.binary(max_size=60), st.integers(1, 7))
def test_any_bytes_give_the_same_in_one_piece_and_in_many(noise: bytes, cut: int) -> None:
    """Where pieces end changes neither rows nor errors."""

    def outcome(cut: int) -> Any:
        try:
            return rows(b"a,b\n" + noise, cut=cut, size=24)
        except (InvalidFile, SchemaMismatch) as error:
            return str(error)

    assert outcome(cut) == outcome(0)


def test_columns_without_a_schema_are_text() -> None:
    """Nothing is guessed: numbers, dates and leading zeros stay the texts that they are."""
    assert rows("n,zip,at,x\n1,007,2024-01-01,\n") == [{"n": "1", "zip": "007", "at": "2024-01-01", "x": ""}]


def test_declared_columns_hold_the_exact_values() -> None:
    """Whole numbers, decimals and moments are what the text says, not what a float makes of it."""
    schema = pa.schema(
        [
            ("big", pa.uint64()),
            ("price", pa.decimal128(38, 20)),
            ("at", pa.timestamp("us", "UTC")),
            ("day", pa.date32()),
            ("time", pa.time64("us")),
            ("ok", pa.bool_()),
            ("share", pa.float64()),
        ]
    )
    text = (
        "share,big,price,at,day,time,ok\n"
        "0.1,18446744073709551615,123456789012345678.12345678901234567890,2024-02-29T23:59:59.123456+01:00,"
        "2024-02-29,23:59:59.5,t\n"
    )
    assert rows(text, schema=schema) == [
        {
            "big": 2**64 - 1,
            "price": Decimal("123456789012345678.12345678901234567890"),
            "at": dt.datetime(2024, 2, 29, 22, 59, 59, 123456, dt.UTC),
            "day": dt.date(2024, 2, 29),
            "time": dt.time(23, 59, 59, 500000),
            "ok": True,
            "share": 0.1,
        }
    ]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0x10", pa.int64()),
        ("1.0", pa.int64()),
        (" 5", pa.int64()),
        ("256", pa.uint8()),
        ("", pa.int64()),
        ("1.239", pa.decimal128(5, 2)),
        ("1234.00", pa.decimal128(5, 2)),
        ("1e999", pa.float64()),
        ("one", pa.float64()),
        ("yes", pa.bool_()),
        ("2024-01-01T00:00:00", pa.timestamp("us", "UTC")),
        ("2024-01-01T00:00:00Z", pa.timestamp("us")),
        ("2024-01-01T00:00:00.1234567Z", pa.timestamp("us", "UTC")),
        ("2024-02-30", pa.date32()),
        ("24:00", pa.time32("s")),
    ],
)
def test_a_text_that_is_no_value_of_its_column_is_told(text: str, kind: pa.DataType) -> None:
    """Nothing is rounded, wrapped or guessed: the error names column, row and text."""
    schema = pa.schema([("n", kind), ("x", pa.string())])
    good = f"n,x\n{text},a"
    with pytest.raises(ValueNotHeld, match="record 0") as caught:
        rows(good, schema=schema)
    assert (caught.value.column, caught.value.row) == ("n", 0)


def test_rows_are_counted_over_the_whole_file() -> None:
    """The row in an error is the one of the file, also in a later batch."""
    text = "n,x\n" + "1,abcdefgh\n" * 20 + "one,a\n"
    with pytest.raises(ValueNotHeld, match=r"record 20 .*line 22: .*'one' does not fit int64") as caught:
        rows(text, schema=pa.schema([("n", pa.int64()), ("x", pa.string())]), size=64)
    assert caught.value.row == 20


class TestNulls:
    def test_nothing_is_null_unless_said(self) -> None:
        """An empty text is an empty text, and NULL a word."""
        assert rows('a,b\n,NULL\n"",x\n') == [{"a": "", "b": "NULL"}, {"a": "", "b": "x"}]

    def test_what_is_null_is_said(self) -> None:
        """The texts that stand for null do so outside quotes, and within where that is said."""
        text = 'a,b\n,NULL\n"","NULL"\n'
        assert rows(text, Csv(null_values=("", "NULL"))) == [{"a": None, "b": None}, {"a": "", "b": "NULL"}]
        assert rows(text, Csv(null_values=("", "NULL"), quoted_nulls=True)) == [{"a": None, "b": None}] * 2

    def test_a_column_that_may_not_be_null_is_not(self) -> None:
        """A null in a column that is declared without is an error."""
        schema = pa.schema([pa.field("a", pa.int64(), nullable=False), pa.field("b", pa.int64())])
        assert rows("a,b\n1,\n", Csv(null_values=("",)), schema) == [{"a": 1, "b": None}]
        with pytest.raises(ValueNotHeld, match="may not be"):
            rows("a,b\n,1\n", Csv(null_values=("",)), schema)


class TestColumns:
    SCHEMA = pa.schema([("a", pa.int64()), ("b", pa.string())])

    def test_are_found_by_name(self) -> None:
        """The order in the file is not the order of the schema."""
        assert rows("b,a\nx,1\n", schema=self.SCHEMA) == [{"a": 1, "b": "x"}]

    def test_all_differences_are_told_at_once(self) -> None:
        """What is lacking, what is too many and what comes twice stands in one error."""
        with pytest.raises(SchemaMismatch) as caught:
            rows("a,c,c,d\n1,2,3,4\n", schema=self.SCHEMA)
        assert "'c' more than once; it lacks 'b'; it has 'c', 'c', 'd', not declared" in str(caught.value)

    def test_those_that_are_not_wanted_may_be_left_out(self) -> None:
        """With extra_columns="ignore" the file may have more."""
        assert rows("z,b,a\n0,x,1\n", Csv(extra_columns="ignore"), self.SCHEMA) == [{"a": 1, "b": "x"}]

    def test_may_be_counted_where_there_is_no_header(self) -> None:
        """Without a header the schema names the columns in their order."""
        assert rows("1,x\n2,y", Csv(header=False), self.SCHEMA) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


class TestSpelling:
    def test_byte_order_marks_are_no_part_of_a_name(self) -> None:
        """A mark at the front is taken off, and one that begins a value stays."""
        assert rows("\ufeffa,b\n1,2\n", cut=1) == [{"a": "1", "b": "2"}]
        text = "a,b\n" + "\ufeff1,2\n" * 5
        assert rows(text, size=16) == [{"a": "\ufeff1", "b": "2"}] * 5

    @pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "cp1252"])
    def test_other_encodings_are_read_when_declared(self, encoding: str) -> None:
        """The text is what it was in the encoding that is named, wherever pieces end."""
        assert rows("naïve,b\nçé,2\n".encode(encoding), Csv(encoding=encoding), cut=1) == [{"naïve": "çé", "b": "2"}]

    def test_bytes_that_are_no_text_in_the_encoding_are_an_error(self) -> None:
        """No byte is replaced."""
        with pytest.raises(InvalidFile, match="UTF8"):
            rows(b"a,b\n\xff,1\n")
        with pytest.raises(InvalidFile, match="ascii"):
            rows(b"a,b\n\xff,1\n", Csv(encoding="ascii"))

    def test_delimiter_and_quote_may_be_others(self) -> None:
        """Tabs without quotes are a spelling, too."""
        assert rows('a\tb\n"1\t2"\n', Csv(delimiter="\t", quote=None)) == [{"a": '"1', "b": '2"'}]
        assert rows("a;b\n'x;''y';2\n", Csv(delimiter=";", quote="'")) == [{"a": "x;'y", "b": "2"}]

    @pytest.mark.parametrize("record", ['1,"x', '1,"x"y', '1,"x" ', '"x""', '1,"a\n2,b'])
    def test_broken_quotes_are_an_error(self, record: str) -> None:
        """A quote that is not closed, or closed before the value's end, is not read as something else."""
        with pytest.raises(InvalidFile, match="quote"):
            rows(f"a,b\n{record}\n3,z\n")

    @pytest.mark.parametrize("record", ["1", "1,2,3"])
    def test_records_have_as_many_values_as_there_are_columns(self, record: str) -> None:
        """Short records are not padded, and long ones not cut."""
        with pytest.raises(InvalidFile, match="where there are 2 columns"):
            rows(f"a,b\n{record}\n")

    def test_a_record_that_is_too_long_is_an_error(self) -> None:
        """What could not be held in memory is refused with the remedy."""
        with pytest.raises(InvalidFile, match="batch_bytes"):
            rows('a,b\n1,"' + "x" * 500 + '"\n', size=100, cut=10)

    def test_empty_lines_are_values_only_of_a_single_column(self) -> None:
        """Where a line has one value, an empty line has an empty one; elsewhere it has none."""
        assert rows("a\n\nx\n") == [{"a": ""}, {"a": "x"}]
        assert rows("a,b\n\n1,2\n\n") == [{"a": "1", "b": "2"}]

    def test_files_without_records_have_no_rows(self) -> None:
        """A header alone has no rows, nor has an empty file that needs none."""
        assert rows("", Csv(header=False), pa.schema([("a", pa.string())])) == []
        assert rows("a,b") == rows("a,b\n") == []

    @pytest.mark.parametrize("text", ["", "\ufeff"])
    def test_a_file_without_its_header_is_none(self, text: str) -> None:
        """Nothing at all is a broken download, and replaces no table by nothing."""
        with pytest.raises(InvalidFile, match="has no header"):
            rows(text)


class TestMisfits:
    SCHEMA = pa.schema([("n", pa.int64()), ("x", pa.string())])

    def test_are_set_aside_with_their_line(self) -> None:
        """Rows of too few or too many values, odd values and odd quotes are kept as they came; the others are read."""
        text = 'n,x\n1,a\n\ntwo,b\n3\n4,"c\nd"\n5,e,f\n6,"g"h\n7,i\n'
        assert aside(text, self.SCHEMA) == (
            [{"n": 1, "x": "a"}, {"n": 4, "x": "c\nd"}, {"n": 7, "x": "i"}],
            [
                ("two,b", "n", "f, line 4", 1),
                ("3", None, "f, line 5", 2),
                ("5,e,f", None, "f, line 8", 4),
                ('6,"g"h', None, "f, line 9", 5),
            ],
        )

    def test_bytes_that_are_no_text_are_set_aside(self) -> None:
        """The row is kept with the bytes in hexadecimal digits."""
        assert aside(b"n,x\n1,\xff\n2,b\n", self.SCHEMA)[1] == [("1,\\xff", None, "f, line 2", 0)]

    @given(st.lists(st.sampled_from(["1,a", "x,b", "2", '3,"c\n"', '4,"d"d', "5,e,f", '"6",""']), max_size=30))
    def test_are_the_same_whatever_the_size_of_batches(self, records: list[str]) -> None:
        """What is set aside, and where it stood, does not depend on how the file is cut."""
        text = "\n".join(["n,x", *records])
        given, rejected = aside(text, self.SCHEMA)
        assert aside(text, self.SCHEMA, size=24) == (given, rejected)
        assert len(given) + len(rejected) == len(records)

    def test_a_quote_without_an_end_is_no_misfit(self) -> None:
        """Nobody knows what such a file was to say behind the quote, so that none of it is read."""
        with pytest.raises(InvalidFile, match="line 3 has no end"):
            aside('n,x\n1,a\n2,"b\n3,c\n', self.SCHEMA)


class TestDialects:
    def test_escapes(self) -> None:
        """A character may escape quotes, delimiters and itself, within quotes and without."""
        text = 'a,b\n"x\\"y,",1\\,5\n"\\\\",z\n'
        assert rows(text, Csv(escape="\\"), size=16) == [{"a": 'x"y,', "b": "1,5"}, {"a": "\\", "b": "z"}]

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("cut", [1, 3, 0])
    def test_lines_are_left_out_whatever_they_end_with(self, end: str, cut: int) -> None:
        """A title that ends as the records do takes none of them along."""
        text = end.join(["a title", "", "1", "2", ""])
        assert rows(text, Csv(skip_lines=2, header=False), pa.schema({"a": pa.int64()}), cut=cut) == [
            {"a": 1},
            {"a": 2},
        ]

    def test_lines_at_the_front_may_be_skipped(self) -> None:
        """A title is left out, and lines are counted with it."""
        how = Csv(skip_lines=2)
        assert rows("A title\n\na,b\n1,2\n", how, cut=3) == [{"a": "1", "b": "2"}]
        with pytest.raises(InvalidFile, match="line 4:"):
            rows("A title\n\na,b\n1\n", how)


def test_settings_that_mean_nothing_are_refused_all_at_once() -> None:
    """Every problem is told before anything is asked for."""
    with pytest.raises(ConfigurationError) as caught:
        Csv(delimiter="||", quote="é", encoding="klingon", header=False).check("t", None)
    assert str(caught.value).count(";") == 3
    with pytest.raises(ConfigurationError, match="encoding='base64' is not known"):
        Csv(encoding="base64").check("t", None)
    with pytest.raises(ConfigurationError, match="'b' is binary"):
        Csv().check("t", pa.schema([("a", pa.int64()), ("b", pa.binary())]))
