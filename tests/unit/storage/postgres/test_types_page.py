"""The page about types says what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from de_classes.storage.postgres.types import Column, PgType, natural_type, told_of, unheld_condition
from de_classes.storage.postgres.types._table import TABLE

PAGE = Path(__file__).parents[4] / "docs" / "types.md"
KINDS = {"enum", "composite", "type"}
NATIVE_TEXT = {"text", "varchar", "char", "bpchar"}


def rows(columns: int) -> list[list[str]]:
    """The rows of the page's table with so many columns."""
    lines = [line.strip("|\n") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    return [row for row in cells if len(row) == columns and row[0] not in {"PostgreSQL", "Arrow"}]


def stored(field: pa.Field[Any]) -> str:
    """The Parquet type of a column, as its file says it."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.schema([field]).empty_table(), sink)
    column = pq.ParquetFile(sink.getvalue()).schema.column(0)
    told = str(column.logical_type).partition("(")[0].replace("String", "STRING").upper()
    kind = {"NONE": "", "INT": column.converted_type}.get(told, told)
    return f"{column.physical_type} {kind}".strip()


TYPES = [(name, *row[1:]) for row in rows(5) for name in re.findall(r"`([^`]+)`", row[0])]


@pytest.mark.parametrize(("name", "arrow", "parquet", "form", "unheld"), TYPES, ids=[name for name, *_ in TYPES])
def test_a_row_says_what_becomes_of_the_type(name: str, arrow: str, parquet: str, form: str, unheld: str) -> None:
    """Arrow type, type in the file, whether it is PostgreSQL's text, and the values without a place are as told."""
    type_ = PgType.parse(name)
    assert type_ is not None
    field = Column("x", type_).field
    assert str(field.type) == arrow
    assert stored(field) == parquet
    inner = field.type.value_type if pa.types.is_list(field.type) else field.type
    assert (form == "text") == (pa.types.is_string(inner) and type_.base not in NATIVE_TEXT)
    assert told_of(type_) * bool(unheld_condition(type_)) == unheld


def test_every_type_of_the_table_is_on_the_page() -> None:
    """Nothing that the table has is missing on the page."""
    told = {type_.base for name, *_ in TYPES if (type_ := PgType.parse(name))}
    assert told == {*TABLE, "numeric"}


ARROW: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "halffloat": pa.float16(),
    "float": pa.float32(),
    "double": pa.float64(),
    "decimal128(38, 10)": pa.decimal128(38, 10),
    "decimal128(5, -2)": pa.decimal128(5, -2),
    "fixed_size_binary[3]": pa.binary(3),
    "date32[day]": pa.date32(),
    "date64[ms]": pa.date64(),
    "timestamp[us]": pa.timestamp("us"),
    "timestamp[ns]": pa.timestamp("ns"),
    "timestamp[us, tz=Asia/Tokyo]": pa.timestamp("us", "Asia/Tokyo"),
    "time32[s]": pa.time32("s"),
    "time64[ns]": pa.time64("ns"),
    "duration[us]": pa.duration("us"),
    "list<item: int64>": pa.list_(pa.int64()),
    "large_list<item: int64>": pa.large_list(pa.int64()),
    "list_view<item: int64>": pa.list_view(pa.int64()),
    "list<item: list<item: int64>>": pa.list_(pa.list_(pa.int64())),
    "struct<a: int64>": pa.struct({"a": pa.int64()}),
    "map<string, int64>": pa.map_(pa.string(), pa.int64()),
    "extension<arrow.uuid>": pa.uuid(),
    "extension<arrow.json>": pa.json_(),
    "extension<arrow.bool8>": pa.bool8(),
    "dictionary<values=string, indices=int32, ordered=0>": pa.dictionary(pa.int32(), pa.string()),
}


@pytest.mark.parametrize(("arrow", "postgres"), rows(2))
def test_a_row_says_what_arrow_becomes(arrow: str, postgres: str) -> None:
    """The type that an Arrow type without metadata gets is as told."""
    for name in re.split(r", (?![^<(\[]*[>)\]])", arrow):
        type_ = ARROW[name] if name in ARROW else getattr(pa, name)()
        assert str(natural_type(pa.field("x", type_))) == postgres, name
