from __future__ import annotations

import datetime as dt
import decimal
import os
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from de_classes.errors import (
    ConfigurationError,
    CountMismatch,
    DatasetError,
    SchemaMismatch,
    UnknownType,
    ValueNotHeld,
)
from de_classes.storage.objects import LocalStore, MemoryStore, ObjectStore
from de_classes.storage.objects._writing import FileSizes, WrittenFile, write_files
from de_classes.storage.objects.parquet import ParquetFormat, read_parquet
from tests.unit.storage.objects.verbs import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

SIZES = FileSizes(file=1 << 20, row_group=1 << 16)


def numbered() -> Callable[[], str]:
    numbers = iter(range(1000))
    return lambda: f"data/{next(numbers)}.parquet"


def write_parquet(
    store: ObjectStore, batches: Iterable[pa.RecordBatch], name: Callable[[], str], sizes: FileSizes
) -> list[WrittenFile]:
    return write_files(store, batches, name, sizes, ParquetFormat())


def read_back(
    store: ObjectStore, file: WrittenFile, schema: pa.Schema, *, batch_bytes: int = 1 << 16, **other: Any
) -> list[pa.RecordBatch]:
    told = {"size": file.bytes, "rows": file.rows, "memory": file.memory, **other}
    return list(read_parquet(store, file.key, schema=schema, batch_bytes=batch_bytes, **told))


def table_of(batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches(batches, schema)


decimals = st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**20), max_value=10**20)
COLUMNS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int8(), st.integers(-(2**7), 2**7 - 1)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float32(), st.floats(width=32, allow_nan=False)),
    (pa.float64(), st.floats(allow_nan=False)),
    (pa.bool_(), st.booleans()),
    (pa.decimal128(38, 4), decimals),
    (pa.decimal256(60, 4), decimals),
    (pa.string(), st.text(st.characters(exclude_categories=["Cs"]))),
    (pa.large_string(), st.text(st.characters(exclude_categories=["Cs"]))),
    (pa.binary(), st.binary()),
    (pa.binary(3), st.binary(min_size=3, max_size=3)),
    (pa.date32(), st.dates()),
    (pa.time64("us"), st.times()),
    (pa.time32("s"), st.times().map(lambda time: time.replace(microsecond=0))),
    (pa.timestamp("us"), st.datetimes()),
    (pa.timestamp("us", "UTC"), st.datetimes(timezones=st.just(dt.UTC))),
    (pa.timestamp("us", "Europe/Berlin"), st.datetimes(timezones=st.just(dt.UTC))),
    (pa.timestamp("s"), st.datetimes().map(lambda time: time.replace(microsecond=0))),
    (pa.duration("us"), st.timedeltas(dt.timedelta(-(10**6)), dt.timedelta(10**6))),
    (pa.list_(pa.int64()), st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=5)),
    (pa.list_(pa.list_(pa.string())), st.lists(st.none() | st.lists(st.just("x"), max_size=2), max_size=3)),
    (
        pa.struct([pa.field("a", pa.int64()), pa.field("b", pa.list_(pa.string()))]),
        st.fixed_dictionaries(
            {"a": st.none() | st.integers(0, 9), "b": st.none() | st.lists(st.text("ab"), max_size=2)}
        ),
    ),
    (pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["red", "green", "blue"])),
    (pa.dictionary(pa.int8(), pa.int64()), st.integers(-5, 5)),
    (pa.dictionary(pa.int32(), pa.float64()), st.sampled_from([0.5, 1.5])),
    (pa.null(), st.none()),
]


@pytest.mark.parametrize(("kind", "values"), COLUMNS, ids=[str(kind) for kind, _ in COLUMNS])
def test_values_come_back_as_they_were(kind: pa.DataType, values: st.SearchStrategy[Any]) -> None:
    """Every value of every type comes back equal, of the same type, with nulls where they were."""

    @settings(max_examples=15, deadline=None)
    @given(st.lists(st.none() | values, min_size=1, max_size=30))
    def holds(column: list[Any]) -> None:
        table = pa.table({"n": pa.array(range(len(column))), "v": pa.array(column, kind)})
        store = MemoryStore()
        (file,) = write_parquet(store, table.to_batches(max_chunksize=7), numbered(), SIZES)
        assert table_of(read_back(store, file, table.schema), table.schema).equals(table)

    holds()


def test_floats_keep_their_bits() -> None:
    """NaN stays NaN and minus zero stays minus zero."""
    batch = pa.record_batch({"x": [float("nan"), -0.0, float("inf"), None]})
    store = MemoryStore()
    (file,) = write_parquet(store, [batch], numbered(), SIZES)
    (back,) = read_back(store, file, batch.schema)
    assert [repr(value) for value in back["x"].to_pylist()] == ["nan", "-0.0", "inf", "None"]


def test_batches_may_bring_dictionaries_of_their_own() -> None:
    """Batches whose dictionaries differ come back with each row's own value."""
    kind = pa.dictionary(pa.int8(), pa.string())
    batches = [pa.record_batch({"c": pa.array(values, kind)}) for values in (["a", "b"], ["b", "c", None], ["a"])]
    store = MemoryStore()
    (file,) = write_parquet(store, batches, numbered(), SIZES)
    back = read_back(store, file, batches[0].schema)
    assert [value for batch in back for value in batch["c"].to_pylist()] == ["a", "b", "b", "c", None, "a"]
    assert {batch.schema for batch in back} == {batches[0].schema}


def test_metadata_travels() -> None:
    """What schema and fields say of themselves is in the file, for any reader, and comes back."""
    fields = [pa.field("id", pa.int64(), nullable=False, metadata={b"de_classes.postgres_type": b"bigint"})]
    schema = pa.schema(fields, metadata={b"origin": b"shop"})
    store = MemoryStore()
    (file,) = write_parquet(store, [pa.record_batch([pa.array([1])], schema=schema)], numbered(), SIZES)
    with store.open_reader(file.key) as raw:
        written = pq.ParquetFile(raw)
        assert written.schema_arrow.equals(schema, check_metadata=True)
        assert written.metadata.row_group(0).column(0).compression == "ZSTD"
        assert written.metadata.row_group(0).column(0).statistics.max == 1
    (back,) = read_back(store, file, schema)
    assert back.schema.equals(schema, check_metadata=True)


def _noise(rows: int) -> pa.RecordBatch:
    return pa.record_batch({"n": range(rows), "noise": [os.urandom(100) for _ in range(rows)]})


def test_files_and_row_groups_have_their_size(tmp_path: Path) -> None:
    """Small batches are gathered and large ones cut, to row groups and files of about the size asked for."""
    store = LocalStore(tmp_path)
    batch = _noise(20_000)
    small = [batch.slice(start, 50) for start in range(0, 10_000, 50)]
    sizes = FileSizes(file=500_000, row_group=100_000)
    written = write_parquet(store, [*small, batch.slice(10_000)], numbered(), sizes)
    assert all(500_000 <= file.bytes < 620_000 for file in written[:-1])
    assert len(written) == 4
    for file in written:
        with store.open_reader(file.key) as raw:
            metadata = pq.read_metadata(raw)
        groups = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
        assert all(700 < rows < 2000 for rows in groups[:-1])
        assert sum(groups) == file.rows
    back = [piece for file in written for piece in read_back(store, file, batch.schema)]
    assert table_of(back, batch.schema).equals(pa.Table.from_batches([batch]))


@pytest.mark.parametrize("rows", [50, 700, 900, 1100, 4000])
def test_a_row_group_is_no_more_than_a_quarter_longer_than_its_target(rows: int) -> None:
    """However large the batches are that come: they are cut where a group is full, and no small rest is left over."""
    batch, target = _noise(4000), 100_000
    store = MemoryStore()
    pieces = [batch.slice(start, rows) for start in range(0, 4000, rows)]
    (file,) = write_parquet(store, pieces, numbered(), FileSizes(row_group=target))
    with store.open_reader(file.key) as raw:
        metadata = pq.read_metadata(raw)
    per_row = batch.nbytes / batch.num_rows
    sizes = [metadata.row_group(n).num_rows * per_row for n in range(metadata.num_row_groups)]
    assert all(0.99 * target <= size <= 1.26 * target for size in sizes[:-1])
    assert table_of(list(read_back(store, file, batch.schema)), batch.schema).equals(pa.Table.from_batches([batch]))


def test_a_small_rest_of_a_batch_goes_with_the_rows_before_it() -> None:
    """A batch that is a fifth longer than a row group is one row group."""
    batch = _noise(1200)
    store = MemoryStore()
    sizes = FileSizes(row_group=batch.nbytes * 10 // 12)
    (file,) = write_parquet(store, [batch], numbered(), sizes)
    with store.open_reader(file.key) as raw:
        assert pq.read_metadata(raw).num_row_groups == 1


def test_batches_are_bounded_though_the_footer_is_wrong_about_memory() -> None:
    """Values that a dictionary makes tiny on disk do not make batches that are huge in memory."""
    batch = pa.record_batch({"same": ["x" * 1000] * 20_000})
    store = MemoryStore()
    (file,) = write_parquet(store, [batch], numbered(), FileSizes(row_group=1 << 30))
    assert file.bytes < 20_000
    assert max(piece.nbytes for piece in read_back(store, file, batch.schema, batch_bytes=1 << 20)) <= 1 << 20


def test_no_rows_make_no_file() -> None:
    """A stream without rows, or without batches, writes nothing."""
    store = MemoryStore()
    empty = pa.record_batch({"n": pa.array([], pa.int64())})
    assert write_parquet(store, [], numbered(), SIZES) == []
    assert write_parquet(store, [empty, empty], numbered(), SIZES) == []
    assert keys(store) == []


def test_what_fails_midway_leaves_nothing() -> None:
    """When the stream breaks after whole files were written, they are removed again."""
    batch = _noise(1000)

    def breaks() -> Iterator[pa.RecordBatch]:
        yield batch
        yield batch
        raise ConnectionResetError

    store = MemoryStore()
    with pytest.raises(ConnectionResetError):
        write_parquet(store, breaks(), numbered(), FileSizes(file=1, row_group=1000))
    assert keys(store) == []


def test_batches_of_different_columns_are_refused() -> None:
    """One stream has one schema, and no two columns of one name."""
    one, other = pa.record_batch({"a": [1]}), pa.record_batch({"a": ["1"]})
    with pytest.raises(SchemaMismatch, match="one schema"):
        write_parquet(MemoryStore(), [one, other], numbered(), SIZES)
    twice = pa.record_batch([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(SchemaMismatch, match="a is there more than once"):
        write_parquet(MemoryStore(), [twice], numbered(), SIZES)


def test_a_type_that_parquet_lacks_names_its_column() -> None:
    """Columns that cannot be stored are named, and the others are not."""
    batch = pa.record_batch({"fine": [1], "months": pa.array([(1, 2, 3)], pa.month_day_nano_interval())})
    store = MemoryStore()
    with pytest.raises(UnknownType, match=r"months \(month_day_nano_interval\)") as caught:
        write_parquet(store, [batch], numbered(), SIZES)
    assert "fine" not in str(caught.value)
    assert keys(store) == []


@pytest.mark.parametrize("nested", ["date64", "list", "struct"])
def test_a_date_with_a_time_of_day_is_refused(nested: str) -> None:
    """Parquet would cut the time off, which date64 should not have and lets through."""
    dates: Any = pa.array([None, 86_400_000, 1], pa.int64()).cast(pa.date64())
    if nested == "list":
        dates = pa.ListArray.from_arrays(pa.array([0, 1, 2, 3], pa.int32()), dates)
    if nested == "struct":
        dates = pa.StructArray.from_arrays([dates], ["d"])
    store = MemoryStore()
    with pytest.raises(ValueNotHeld, match=r"column .odd.*time of day"):
        write_parquet(store, [pa.record_batch({"odd": dates})], numbered(), SIZES)
    assert keys(store) == []
    write_parquet(store, [pa.record_batch({"odd": dates.slice(0, 2)})], numbered(), SIZES)


def test_a_type_that_cannot_be_read_back_is_refused() -> None:
    """What Parquet takes and would give back in a type with no way back is refused before a row is written."""
    inner = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), pa.array([7]))
    batch = pa.record_batch({"fine": [1], "odd": pa.StructArray.from_arrays([inner], ["d"])})
    with pytest.raises(UnknownType, match="odd"):
        write_parquet(MemoryStore(), [batch], numbered(), SIZES)


def test_values_that_the_writer_does_not_take_are_told() -> None:
    """A null in a column that says it has none is told as a value that cannot be held."""
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False)])
    store = MemoryStore()
    with pytest.raises(ValueNotHeld, match="non-nullable"):
        write_parquet(
            store, [pa.RecordBatch.from_arrays([pa.array([None], pa.int64())], schema=schema)], numbered(), SIZES
        )
    assert keys(store) == []


def test_other_rows_than_the_log_says_are_told() -> None:
    """A file whose footer counts other rows than were committed is not read."""
    batch = pa.record_batch({"n": [1, 2, 3]})
    store = MemoryStore()
    (file,) = write_parquet(store, [batch], numbered(), SIZES)
    with pytest.raises(CountMismatch, match="counts 3 rows, and 4 were written"):
        read_back(store, file, batch.schema, rows=4)


@pytest.mark.parametrize("damage", [b"", b"no parquet at all", b"PAR1PAR1", b"x" * 4000])
def test_a_damaged_file_is_told_as_such(damage: bytes, tmp_path: Path) -> None:
    """Whatever lies where a file should be, the error names the object and not the library."""
    batch = pa.record_batch({"n": [1, 2, 3]})
    for store in (MemoryStore(), LocalStore(tmp_path)):
        (file,) = write_parquet(store, [batch], numbered(), SIZES)
        store.put(file.key, damage)
        with pytest.raises(DatasetError, match=file.key):
            read_back(store, file, batch.schema, size=len(damage))


def test_a_missing_column_is_told() -> None:
    """A file without a column that must not be null is not filled up with nulls."""
    batch = pa.record_batch({"n": [1]})
    store = MemoryStore()
    (file,) = write_parquet(store, [batch], numbered(), SIZES)
    with pytest.raises(DatasetError, match="no column m"):
        read_back(store, file, pa.schema([("n", pa.int64()), pa.field("m", pa.int64(), nullable=False)]))


def test_columns_that_grew_are_no_columns_that_went() -> None:
    """A file that lacks a column since it is older is filled up; one that has other columns than it had is not."""
    store = MemoryStore()
    wide = pa.schema([("n", pa.int64()), ("m", pa.int64())])
    name = numbered()
    narrow, other = (
        write_parquet(store, [batch], name, SIZES)[0]
        for batch in (pa.record_batch({"n": [1]}), pa.record_batch({"m": [1]}))
    )
    (back,) = read_back(store, narrow, wide, columns=narrow.columns)
    assert back.to_pylist() == [{"n": 1, "m": None}]
    with pytest.raises(DatasetError, match="not those that were written"):
        read_back(store, narrow, wide, columns=other.columns)


def test_sizes_are_checked() -> None:
    """Sizes of nothing are the user's mistake, told all at once."""
    with pytest.raises(ConfigurationError, match="file, row_group"):
        FileSizes(file=0, row_group=-1)


def test_decimals_of_the_widest_kind() -> None:
    """All 38 and all 76 digits come back."""
    with decimal.localcontext(prec=80):
        wide = decimal.Decimal("9" * 76)
        batch = pa.record_batch(
            {
                "a": pa.array([wide, -wide], pa.decimal256(76, 0)),
                "b": pa.array([int("9" * 38)] * 2, pa.decimal128(38, 0)),
            }
        )
    store = MemoryStore()
    (file,) = write_parquet(store, [batch], numbered(), SIZES)
    assert read_back(store, file, batch.schema) == [batch]
