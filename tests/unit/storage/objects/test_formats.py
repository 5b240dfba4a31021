"""Formats give back what was written, or refuse it before anything is there."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import math
import pickle
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from de_classes.contracts import Destination, Mode
from de_classes.errors import ConfigurationError, CountMismatch, DatasetError, UnknownType, ValueNotHeld
from de_classes.storage.objects import (
    Compacted,
    CsvFormat,
    Dataset,
    DatasetDestination,
    DatasetSource,
    LocalStore,
    MemoryStore,
    NdjsonFormat,
    ObjectStore,
    ParquetFormat,
)
from de_classes.testing.contract import DestinationContract, ReadBack
from tests.unit.storage.objects.datasets import data_files, leftovers, loaded, some, taken
from tests.unit.storage.objects.test_parquet import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from de_classes.storage.objects.formats import Format

DIALECTS = [
    CsvFormat(),
    CsvFormat(delimiter=";", quote="'", line_end="\r\n", null="\\N", compression="gzip"),
    CsvFormat(delimiter="\t", escape="\\", header=False, null="NULL", compression="zstd"),
    CsvFormat(delimiter="-", quote=":", null="0"),
]
FORMATS: list[Format] = [*DIALECTS, NdjsonFormat(), NdjsonFormat(compression="zstd"), ParquetFormat("snappy")]
CENTURIES = tuple(dt.datetime(year, 1, 1) for year in (1700, 2200))  # noqa: DTZ001 -- hypothesis adds the zone
MORE: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.float64(), st.floats(allow_nan=False) | st.sampled_from([math.inf, -math.inf, -0.0])),
    (pa.date64(), st.dates()),
    (
        pa.timestamp("ns", "UTC"),
        st.datetimes(*CENTURIES, timezones=st.just(dt.UTC)),
    ),
    (
        pa.map_(pa.string(), pa.decimal128(9, 2)),
        st.lists(st.tuples(st.text("ab\n"), st.decimals(-9, 9, places=2)), max_size=3),
    ),
    (pa.list_(pa.float64()), st.lists(st.sampled_from([1.5, math.inf, None]), max_size=3)),
    (pa.struct([]), st.just({})),
    (pa.list_(pa.timestamp("us", "Europe/Berlin")), st.lists(st.datetimes(timezones=st.just(dt.UTC)), max_size=2)),
    (pa.list_(pa.binary()), st.lists(st.binary(max_size=5), max_size=2)),
    (pa.null(), st.none()),
    (pa.string(), st.text("\",;\\N\r\n\t'NUL \ufeff", max_size=6)),
]
KINDS = [*COLUMNS, *MORE]


def written(form: Format, *pieces: pa.RecordBatch, **other: Any) -> ObjectStore:
    store = MemoryStore()
    loaded(DatasetDestination(store, "lake", format=form, **other), *pieces)
    return store


def back(store: ObjectStore) -> pa.Table:
    return pa.table(Dataset(store, "lake/orders"))


def text_of(store: ObjectStore) -> str:
    (key,) = data_files(store)
    data = store.get(key)
    return (gzip.decompress(data) if key.endswith(".gz") else data).decode()


def plain(table: pa.Table) -> pa.Table:
    """Without dictionaries, which may differ in what no row has."""
    types = [field.type for field in table.schema]
    kinds = [kind.value_type if isinstance(kind, pa.DictionaryType) else kind for kind in types]
    return table.cast(pa.schema(list(zip(table.column_names, kinds, strict=True))))


@pytest.mark.parametrize("form", FORMATS, ids=repr)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_every_batch_comes_back(form: Format, data: st.DataObject) -> None:
    """Any batch of types that a format takes comes back: the same types, values, nulls and metadata."""
    flat = isinstance(form, CsvFormat)
    kinds = data.draw(
        st.lists(st.sampled_from([k for k in KINDS if not (flat and pa.types.is_nested(k[0]))]), min_size=1, max_size=4)
    )
    count = data.draw(st.integers(1, 5))
    fields = [pa.field(f'c {n}, "{n}"', kind, metadata={"n": str(n)}) for n, (kind, _) in enumerate(kinds)]
    columns = [
        pa.array(data.draw(st.lists(st.none() | values, min_size=count, max_size=count)), kind)
        for kind, values in kinds
    ]
    batch = pa.record_batch(columns, schema=pa.schema(fields, {"origin": "shop"}))
    store = written(form, batch.slice(data.draw(st.integers(0, count - 1))))
    table = back(store)
    expected = pa.Table.from_batches([batch]).slice(count - table.num_rows)
    assert table.schema.equals(batch.schema, check_metadata=True)
    assert plain(table).equals(plain(expected))


def test_nan_is_no_null() -> None:
    """What is no number stays that, in every format; the sign of zero stays too."""
    batch = pa.record_batch({"a": [math.nan, None, -0.0], "b": pa.array([0.1, math.nan, None], pa.float32())})
    for form in FORMATS:
        assert str(back(written(form, batch)).to_pylist()) == str(batch.to_pylist())


def test_what_others_read_in_csv() -> None:
    """The text is what its dialect says, and null is told from text that is empty or looks like it."""
    batch = pa.record_batch(
        {
            "id": [1, None],
            "note, or so": ["", 'say "hi"\n'],
            "d": pa.array([Decimal("1.10"), None], pa.decimal128(9, 2)),
            "t": pa.array([dt.datetime(2026, 1, 1, tzinfo=dt.UTC), None], pa.timestamp("us", "Europe/Berlin")),
            "b": [b"\x00\xff", None],
        }
    )
    text = text_of(written(CsvFormat(), batch))
    assert text == ('id,"note, or so",d,t,b\n1,"",1.10,2026-01-01 00:00:00.000000Z,AP8=\n,"say ""hi""\n",,,\n')
    dialect = CsvFormat(
        delimiter=";", quote="'", escape="\\", line_end="\r\n", header=False, null="-", compression="gzip"
    )
    text = text_of(written(dialect, pa.record_batch({"a": ["-", "it's", None, "\\"], "b": [True, None, False, True]})))
    assert text == "'-';true\r\n'it\\'s';-\r\n-;false\r\n'\\\\';true\r\n"
    quoted = text_of(written(CsvFormat(), some(1, 2)))
    assert list(csv.reader(io.StringIO(quoted))) == [["id", "name"], ["1", "order 1"], ["2", "order 2"]]


def test_what_others_read_in_ndjson() -> None:
    """Each line is an object with every column; decimals are text, and so is what JSON has no number for."""
    batch = pa.record_batch(
        {
            "id": [2**63 - 1, None],
            "d": pa.array([Decimal("1.10"), None], pa.decimal128(9, 2)),
            "x": [math.inf, 0.5],
            "tags": [[{"at": dt.date(2026, 1, 1)}], []],
            "m": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int8())),
        }
    )
    lines = [json.loads(line) for line in text_of(written(NdjsonFormat(), batch)).splitlines()]
    assert lines == [
        {
            "id": 2**63 - 1,
            "d": "1.10",
            "x": "Infinity",
            "tags": [{"at": "2026-01-01"}],
            "m": [{"key": "k", "value": 1}],
        },
        {"id": None, "d": None, "x": 0.5, "tags": [], "m": None},
    ]


def test_types_without_an_exact_form_are_refused() -> None:
    """Lists in CSV and intervals in text are the user's to cast; nothing is left of the attempt."""
    lists, intervals = pa.record_batch({"l": [[1]]}), pa.record_batch({"i": pa.nulls(1, pa.month_day_nano_interval())})
    for form, batch, told in ((CsvFormat(), lists, "l .list"), (NdjsonFormat(), intervals, "i .month_day_nano")):
        store = MemoryStore()
        with pytest.raises(UnknownType, match=told):
            loaded(DatasetDestination(store, "lake", format=form), batch)
        assert data_files(store) == []


@pytest.mark.parametrize(
    "values",
    [
        pa.array([2932897], pa.int32()).cast(pa.date32()),
        pa.array([-62135596801], pa.int64()).cast(pa.timestamp("s")),
        pa.array([86400], pa.int32()).view(pa.time32("s")),
        pa.array([1], pa.int64()).view(pa.date64()),
    ],
    ids=str,
)
def test_moments_without_a_form_are_refused(values: Any) -> None:
    """Years beyond four digits, 24:00 and dates with a time of day would come back as others, or not at all."""
    for form, column in ((CsvFormat(), values), (NdjsonFormat(), pa.ListArray.from_arrays([0, 1], values))):
        with pytest.raises(ValueNotHeld, match="odd"):
            written(form, pa.record_batch({"odd": column}))


def test_columns_grow_in_every_format() -> None:
    """Older files are read under the columns of today, whatever format each is in; compaction keeps to neighbours."""
    store = MemoryStore()
    for n, form in enumerate((CsvFormat(), CsvFormat(), NdjsonFormat(), ParquetFormat())):
        batch = pa.record_batch(
            {"id": pa.array([n], [pa.int8(), pa.int16(), pa.int32(), pa.int64()][n]), f"c{n}": ["x"]}
        )
        loaded(DatasetDestination(store, "lake", format=form, schema_changes="evolve"), batch)
    before = back(store)
    assert before["id"].type == pa.int64()
    assert before.column_names == ["id", "c0", "c1", "c2", "c3"]
    since = taken(DatasetSource(store, "lake", as_of=1))[1]
    assert Dataset(store, "lake/orders").compact() == Compacted(2, 1, 2)
    assert back(store).equals(before)
    assert taken(DatasetSource(store, "lake"), since)[0] == [1, 2, 3]


def test_text_is_split_and_partitioned_alike() -> None:
    """Files roll at their size, partitions have folders, and rows larger than a batch are read."""
    days = pa.record_batch({"day": [1, 2], "name": ["x" * 500_000, "\n" * 300_000]})
    for form in (CsvFormat(), NdjsonFormat()):
        store = written(form, days, partition_by=("day",))
        assert sorted(back(store)["name"].to_pylist()) == sorted(days["name"].to_pylist())
        assert len(data_files(store)) == 2
        sizes = {"target_file_bytes": 20_000, "row_group_bytes": 20_000}
        store = written(form, some(*range(5000)), **sizes)
        assert len(data_files(store)) > 2
        assert back(store)["id"].to_pylist() == list(range(5000))


def test_damage_is_told() -> None:
    """A file that ends early, has other columns or fewer rows is not taken for what was written."""
    for form in (CsvFormat(), CsvFormat(compression="gzip"), NdjsonFormat(), NdjsonFormat(compression="zstd")):
        store = written(form, some(1, 2, 3))
        (key,) = data_files(store)
        whole = store.get(key)
        for damaged in (whole[: len(whole) // 2], whole.replace(b"name", b"nane"), b""):
            store.put(key, damaged)
            if damaged != whole:
                with pytest.raises((DatasetError, CountMismatch), match="data/"):
                    list(Dataset(store, "lake/orders").batches())
        store.delete(key)
        with pytest.raises(DatasetError, match="gone"):
            list(Dataset(store, "lake/orders").batches())


@pytest.mark.parametrize(
    ("form", "wrong"),
    [
        (CsvFormat, {"delimiter": ",,"}),
        (CsvFormat, {"quote": ","}),
        (CsvFormat, {"escape": "\n"}),
        (CsvFormat, {"line_end": "\r"}),
        (CsvFormat, {"null": "a,b"}),
        (CsvFormat, {"compression": "lz4"}),
        (NdjsonFormat, {"compression": "snappy"}),
        (ParquetFormat, {"compression": "lzo"}),
        (ParquetFormat, {"compression": "snappy", "level": 3}),
    ],
    ids=str,
)
def test_dialects_that_cannot_be(form: Any, wrong: dict[str, Any]) -> None:
    """A mistake in the configuration of a format is told where it is made."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong)) if len(wrong) == 1 else "level"):
        form(**wrong)


def test_formats_travel() -> None:
    """Formats pickle, as loads must; compression and level of Parquet are what was asked for."""
    for form in FORMATS:
        assert repr(pickle.loads(pickle.dumps(form))) == repr(form)
    sizes = {
        name: sum(store.head(key).size for key in data_files(store))
        for name, form in (("none", ParquetFormat("none")), ("best", ParquetFormat("zstd", level=19)))
        if (store := written(form, some(*range(3000))))
    }
    assert sizes["best"] < sizes["none"]


class TestDestinationContractInText(DestinationContract):
    """What destinations promise holds for partitioned NDJSON as well."""

    modes = frozenset({Mode.APPEND, Mode.REPLACE})

    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectStore:
        return LocalStore(tmp_path / "root")

    @pytest.fixture
    def destination(self, store: ObjectStore) -> Destination:
        return DatasetDestination(store, "lake", format=NdjsonFormat(compression="zstd"), partition_by=("id",))

    @pytest.fixture
    def read_back(self, store: ObjectStore) -> ReadBack:
        def read(name: str) -> pa.Table | None:
            dataset = Dataset(store, f"lake/{name}")
            return None if dataset.log.newest() is None else pa.table(dataset)

        return read

    @pytest.fixture
    def leftovers(self, store: ObjectStore) -> Callable[[], Sequence[str]]:
        return lambda: leftovers(store)
