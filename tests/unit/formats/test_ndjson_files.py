from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.errors import InvalidFile
from de_classes.formats import Ndjson

SCHEMA = pa.schema([("id", pa.int64()), ("x", pa.string())])


def aside(text: bytes, schema: pa.Schema | None = SCHEMA, *, size: int = 1 << 20, cut: int = 0) -> Any:
    """The rows, and what was set aside, as (record, path, place, row)."""
    pieces = iter([text[at : at + cut] for at in range(0, len(text), cut)] if cut else [text])
    rows, rejected = [], []
    for batch in Ndjson().batches(pieces, schema, size, table="t", where="f", misfits="quarantine"):
        rows += batch.records.to_pylist()
        rejected += batch.rejected.to_pylist() if batch.rejected is not None else []
    return rows, [(one["record"], one["path"], one["place"], one["row"]) for one in rejected]


def test_misfits_are_set_aside_with_their_line() -> None:
    """Lines that are no JSON, no objects, or have other values are kept as they came; the others are read."""
    text = b'{"id": 1}\n\n{"id": "two"}\n{"id": 3\n[4]\n{"id": 5, "x": "\xff"}\n{"id": 6, "y": 1}\n{"id": 7}\n'
    rows, rejected = aside(text)
    assert rows == [{"id": 1, "x": None}, {"id": 7, "x": None}]
    assert rejected == [
        ('{"id": "two"}', "id", "f, line 3", 1),
        ('{"id": 3', None, "f, line 4", 2),
        ("[4]", None, "f, line 5", 3),
        ('{"id": 5, "x": "\\xff"}', None, "f, line 6", 4),
        ('{"id": 6, "y": 1}', None, "f, line 7", 5),
    ]


@given(
    st.lists(st.sampled_from([b'{"id": 1}', b'{"id": "x"}', b"{", b"[1]", b"", b'{"id": 2, "x": "a"}']), max_size=20),
    st.integers(1, 9),
)
def test_are_the_same_however_the_file_is_cut(lines: list[bytes], cut: int) -> None:
    """What is set aside, and where it stood, depends neither on pieces nor on batches."""
    text = b"\n".join(lines)
    rows, rejected = aside(text)
    assert aside(text, size=24, cut=cut) == (rows, rejected)
    assert len(rows) + len(rejected) == sum(map(bool, lines))


def test_the_first_misfit_ends_the_reading_unless_told_otherwise() -> None:
    """A line that is no JSON is told by its number."""
    with pytest.raises(InvalidFile, match="line 2 is no JSON"):
        list(Ndjson().batches(iter([b'{"id": 1}\n{']), SCHEMA, 100, table="t", where="f"))
