from __future__ import annotations

import pickle
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from de_classes.contracts import Mode
from de_classes.errors import ConfigurationError
from de_classes.storage.objects import Dataset, DatasetDestination, DatasetSource, LocalStore, MemoryStore, ObjectStore
from de_classes.utils.schemas import fitted, united
from tests.unit.storage.objects.datasets import ORDERS, loaded
from tests.unit.storage.objects.growing import GrowingBehaviour

if TYPE_CHECKING:
    from pathlib import Path


class TestGrowingOnLocal(GrowingBehaviour):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectStore:
        return LocalStore(tmp_path / "root")


class TestGrowingInMemory(GrowingBehaviour):
    @pytest.fixture
    def store(self) -> ObjectStore:
        return MemoryStore()


SMALL = st.integers(0, 100)
TEXT = st.text("aż", max_size=3)
HOLLOW: st.SearchStrategy[Any] = st.just({})


def lists(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(st.none() | values, max_size=3)


def structs(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({name: st.none() | values for name, values in fields.items()})


NESTED = pa.struct([("x", pa.list_(pa.struct([("p", pa.string())])))])
FAMILIES: list[list[tuple[pa.DataType, st.SearchStrategy[Any]]]] = [
    [
        (pa.null(), st.none()),
        (pa.int8(), st.integers(-128, 127)),
        (pa.uint64(), st.integers(0, 2**64 - 1)),
        (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
        (pa.decimal128(38, 2), st.decimals(-(10**30), 10**30, places=2)),
    ],
    [
        (pa.null(), st.none()),
        (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
        (pa.float32(), st.floats(width=32, allow_nan=False)),
        (pa.float64(), st.floats(allow_nan=False)),
    ],
    [(pa.null(), st.none()), (pa.string(), TEXT), (pa.large_string(), TEXT)],
    [
        (pa.list_(pa.null()), lists(st.none())),
        (pa.list_(pa.int8()), lists(SMALL)),
        (pa.large_list(pa.int64()), lists(st.integers(-(2**63), 2**63 - 1))),
    ],
    [
        (pa.struct([]), HOLLOW),
        (pa.struct([("x", pa.list_(pa.struct([])))]), structs(x=lists(HOLLOW))),
        (NESTED, structs(x=lists(structs(p=TEXT)))),
        (pa.struct([("y", pa.int8())]), structs(y=SMALL)),
    ],
    [
        (pa.map_(pa.string(), pa.struct([])), st.lists(st.tuples(TEXT, HOLLOW), max_size=2)),
        (pa.map_(pa.string(), pa.struct([("k", pa.int8())])), st.lists(st.tuples(TEXT, structs(k=SMALL)), max_size=2)),
    ],
]
COLUMNS = st.dictionaries(st.integers(0, len(FAMILIES) - 1), st.integers(0, 9), min_size=1, max_size=3)


@st.composite
def batches(draw: st.DrawFn) -> pa.RecordBatch:
    """A few rows; a column of a name has a type of one family, so that what comes under it unites."""
    rows = draw(st.integers(1, 4))
    columns = {}
    for family, n in draw(COLUMNS).items():
        kind, values = FAMILIES[family][n % len(FAMILIES[family])]
        columns[f"c{family}"] = pa.array(draw(st.lists(st.none() | values, min_size=rows, max_size=rows)), kind)
    return pa.record_batch(columns)


COMMITS = st.lists(st.lists(batches(), min_size=1, max_size=2), min_size=1, max_size=4)


def read(store: ObjectStore) -> pa.Table:
    return pa.table(Dataset(store, "lake/orders"))


def evolving(store: ObjectStore) -> DatasetDestination:
    return DatasetDestination(store, "lake", schema_changes="evolve")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(commits=COMMITS, last=st.lists(batches(), min_size=1, max_size=2))
def test_growing_step_by_step_is_growing_at_once(
    commits: list[list[pa.RecordBatch]], last: list[pa.RecordBatch]
) -> None:
    """Commits of ever other columns read as one of all rows under the columns that hold all; a replacement as alone."""
    stepwise = MemoryStore()
    for pieces in commits:
        loaded(evolving(stepwise), *pieces)
    pieces = [piece for commit in commits for piece in commit]
    assert read(stepwise) == at_once(pieces)
    assert [present(row) for row in read(stepwise).to_pylist()] == [
        present(row) for piece in pieces for row in piece.to_pylist()
    ]
    loaded(evolving(stepwise), *last, mode=Mode.REPLACE)
    assert read(stepwise) == at_once(last)


def at_once(pieces: list[pa.RecordBatch]) -> pa.Table:
    schema = united([piece.schema for piece in pieces], "all")
    store = MemoryStore()
    loaded(DatasetDestination(store, "lake"), *(fitted(piece, schema) for piece in pieces))
    assert read(store).schema == schema
    return read(store)


def present(value: Any) -> Any:
    """What there is of a value: without what is null, and with numbers that compare by their value."""
    if isinstance(value, dict):
        return {name: present(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [present(inner) for inner in value]
    return Decimal(value) if isinstance(value, int | float) else value


def test_other_words_for_schema_changes_are_refused() -> None:
    """What is neither freeze nor evolve is the user's mistake, seen before anything moves."""
    with pytest.raises(ConfigurationError, match="'evolve'"):
        DatasetDestination(MemoryStore(), schema_changes="grow")  # type: ignore[arg-type]


def test_splits_of_a_grown_dataset_are_read_elsewhere(tmp_path: Path) -> None:
    """A split holds all that it needs to fit old files in."""
    store = LocalStore(tmp_path)
    loaded(evolving(store), pa.record_batch({"id": [1]}))
    loaded(evolving(store), pa.record_batch({"note": ["gift"]}))
    with DatasetSource(store, "lake").plan(ORDERS, None) as plan:
        (split,) = pickle.loads(pickle.dumps(plan.splits))
    assert [row for batch in split.read() for row in batch.records.to_pylist()] == [
        {"id": 1, "note": None},
        {"id": None, "note": "gift"},
    ]
