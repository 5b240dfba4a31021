"""Any JSON, in any order of pages."""

from __future__ import annotations

import itertools
import json
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from de_classes.api import Resource
from de_classes.errors import DeClassesError, SchemaMismatch
from de_classes.formats.json_columns.converting import Converter
from de_classes.formats.json_columns.pages import Records
from de_classes.utils.schemas import fitted, united

EXACT = msgspec.json.Decoder(float_hook=Decimal)
KINDS: list[list[str]] = [
    ["true", "false"],
    ["0", "-1", "7", str(2**53), str(-(2**53))],
    ["3", str(2**53 + 1), str(-(2**63)), str(2**63 - 1)],
    ["2", str(2**63), str(10**38 - 1), str(1 - 10**38)],
    ["1", "1.0", "-0.5", "1e3", "1e22", "0.1", "4.9e-324"],
    ['""', '"x"', '"1"', '"2026-01-02T03:04:05Z"', '"\\u0000"', '"\\ud83d\\ude00"'],
    ['"2026-01-02T03:04:05Z"', '"2026-01-02T03:04:05.123456+02:00"'],
    ["{}"],
    ["[]"],
]
ODD = ["0.1234567890123456789", str(10**38), "1e400", '"text"', "9007199254740993.0", "[1]", "[[]]", '{"a": 1}', "null"]
PAGE = "http://api.example/page"
NAMES = ["a", "b", "ü", 'q"', "x.y"]


@st.composite
def _shapes(draw: st.DrawFn, depth: int = 2) -> Any:
    """What a column mostly holds: one of KINDS, a list of a shape, or an object of shapes."""
    kind = draw(st.sampled_from(["leaf", "leaf", "list", "object"])) if depth else "leaf"
    if kind == "list":
        return [draw(_shapes(depth - 1))]
    if kind == "object":
        return draw(st.dictionaries(st.sampled_from(NAMES), _shapes(depth - 1), min_size=1, max_size=3))
    return draw(st.sampled_from(range(len(KINDS))))


def _text(draw: st.DrawFn, shape: Any, odd: int) -> str:
    """JSON of a shape; one value in `odd` is anything else (none if it is 0)."""
    if odd and draw(st.integers(1, odd)) == 1:
        return draw(st.sampled_from(ODD))
    if isinstance(shape, list):
        return f"[{', '.join(_text(draw, shape[0], odd) for _ in range(draw(st.integers(0, 2))))}]"
    if isinstance(shape, dict):
        return _object(draw, shape, odd)
    return draw(st.sampled_from([*KINDS[shape], "null"]))


def _object(draw: st.DrawFn, shape: dict[str, Any], odd: int) -> str:
    there = [name for name in shape if draw(st.integers(0, 5))]
    members = [f"{json.dumps(name)}: {_text(draw, shape[name], odd)}" for name in draw(st.permutations(there))]
    return "{" + ",\n".join(members) + "}"


@st.composite
def _pages(draw: st.DrawFn, pages: int = 3, odd: tuple[int, ...] = (0, 0, 40, 8)) -> list[list[str]]:
    """The records of some pages, as texts."""
    often = draw(st.sampled_from(odd))
    shape = draw(st.dictionaries(st.sampled_from(NAMES), _shapes(), min_size=1, max_size=3))
    records = st.integers(0, 3)
    texts = [[_object(draw, {"id": 1, **shape}, often) for _ in range(draw(records))] for _ in range(pages)]
    if often and draw(st.integers(0, 9)) == 0:
        texts[draw(st.integers(0, pages - 1))].append(draw(st.sampled_from(["{}", "7", "null", '["a"]'])))
    return texts


def _records(texts: list[str]) -> Records:
    return Records([msgspec.Raw(text.encode()) for text in texts])


def _read(resource: Resource, pages: list[list[str]]) -> list[tuple[pa.RecordBatch, pa.RecordBatch | None]]:
    converter = Converter(resource.shaping)
    return [converter.batch(_records(texts), PAGE) for texts in pages]


def _table(batches: list[pa.RecordBatch]) -> Any:
    """Rows and columns, in an order of their own."""
    there = [batch for batch in batches if batch.num_columns]
    if not there:
        return None
    schema = united([batch.schema for batch in there], "t")
    rows = [row for batch in there for row in fitted(batch, schema).to_pylist()]
    return sorted(map(_sorted, rows), key=repr), _kind(pa.struct(list(schema)))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return list(map(_sorted, value))
    return value + 0.0 if isinstance(value, float) else value  # of two zeros, one


def _kind(kind: Any) -> Any:
    if pa.types.is_struct(kind):
        return {field.name: _kind(field.type) for field in kind}
    return [_kind(kind.value_type)] if pa.types.is_list(kind) else str(kind)


def _outcome(resource: Resource, pages: list[list[str]]) -> Any:
    try:
        return _table([batch for batch, _ in _read(resource, pages)])
    except DeClassesError as error:
        return type(error)


@given(pages=_pages())
@example(pages=[['{"a": 1}'], ['{"a": 1.5}'], [f'{{"a": {2**53 + 1}}}']])
@example(pages=[['{"a": 1}'], [f'{{"a": {2**63}}}'], ['{"a": 1.0}']])
@example(pages=[['{"a": null}'], ['{"a": [null]}'], ['{"a": [{}]}', "{}"]])
@example(pages=[[f'{{"a": {2**63}}}'], ['{"a": "7"}'], []])
def test_any_order_of_pages_gives_the_same_table_or_the_same_error(pages: list[list[str]]) -> None:
    """The same rows under the same columns come of any order of pages, or the same class of error."""
    resource = Resource("t", "/t")
    first, *others = (_outcome(resource, list(order)) for order in itertools.permutations(pages))
    assert all(other == first for other in others)


@given(pages=_pages(odd=(8, 3)), evolves=st.booleans(), timestamps=st.booleans())
def test_every_record_is_a_row_or_rejected(pages: list[list[str]], evolves: bool, timestamps: bool) -> None:
    """Where misfits are set aside, each record is a row with the very values of its JSON, or is kept as it came."""
    resource = Resource(
        "t", "/t", misfits="quarantine", schema_changes="evolve" if evolves else "freeze", timestamps=timestamps
    )
    for texts, (batch, rejected) in zip(pages, _read(resource, pages), strict=True):
        batch.validate(full=True)
        rows = rejected.to_pylist() if rejected is not None else []
        assert batch.num_rows + len(rows) == len(texts)
        assert [row["record"] for row in rows] == [texts[row["row"]] for row in rows]
        out = {row["row"] for row in rows}
        kept = [EXACT.decode(text) for number, text in enumerate(texts) if number not in out]
        assert all(_says(row, record) for row, record in zip(batch.to_pylist(), kept, strict=True))


def _says(held: Any, written: Any) -> bool:
    """Whether a value is what was written; a field that is missing is null."""
    if isinstance(held, dict):
        return (
            isinstance(written, dict)
            and held.keys() >= written.keys()
            and all(_says(value, written.get(name)) for name, value in held.items())
        )
    if isinstance(held, list):
        return isinstance(written, list) and len(held) == len(written) and all(map(_says, held, written))
    if hasattr(held, "isoformat"):
        return bool(pa.scalar(written).cast(pa.timestamp("us", "UTC")).as_py() == held)
    if isinstance(held, float):
        return type(written) in {int, Decimal} and Decimal(repr(held)) == written
    return held == written and (type(held) is type(written) or type(held) is Decimal)


@given(pages=_pages(pages=4, odd=(0, 8)), evolves=st.booleans(), timestamps=st.booleans())
def test_a_walk_goes_on_from_any_page(pages: list[list[str]], evolves: bool, timestamps: bool) -> None:
    """Cut anywhere and taken up from the columns in the position, the rest of the batches are the same."""
    resource = Resource(
        "t", "/t", misfits="quarantine", schema_changes="evolve" if evolves else "freeze", timestamps=timestamps
    )
    converter, wanted = Converter(resource.shaping), []
    columns: list[Any] = [None]
    for texts in pages:
        wanted.append(converter.batch(_records(texts), PAGE))
        columns.append(converter.told)
    for cut, told in enumerate(columns):
        again = Converter(resource.shaping, json.loads(json.dumps(told)))
        for texts, (batch, rejected) in zip(pages[cut:], wanted[cut:], strict=True):
            other, others = again.batch(_records(texts), PAGE)
            assert other.schema.equals(batch.schema, check_metadata=True)
            assert (other, others) == (batch, rejected)


@given(pages=_pages(pages=2, odd=(4,)))
def test_taking_a_page_by_halves_is_taking_its_records_one_by_one(pages: list[list[str]]) -> None:
    """Which records fit does not depend on how they are divided into pages, but for the timestamps option."""
    resource = Resource("t", "/t", misfits="quarantine")
    together = _read(resource, pages)
    alone = _read(resource, [[text] for texts in pages for text in texts])
    assert _table([batch for batch, _ in together]) == _table([batch for batch, _ in alone])


def test_errors_do_not_depend_on_which_page_comes_first() -> None:
    """Of two misfits of different kinds, whichever is met first, the error is of one class."""
    pages = [['{"a": 1}'], ['{"a": 0.1234567890123456789}'], ['{"a": "x"}'], ["7"], ["{}"]]
    for order in itertools.permutations(pages):
        with pytest.raises(SchemaMismatch):
            _read(Resource("t", "/t"), list(order))
