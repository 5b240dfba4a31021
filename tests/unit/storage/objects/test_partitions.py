"""Partitioned datasets: folders as Hive names them, values that come back, partitions that are replaced."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any
from unittest.mock import ANY

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from de_classes.contracts import Batch, Mode, Stream
from de_classes.errors import ConfigurationError, ValueNotHeld
from de_classes.storage.objects import Compacted, Dataset, DatasetDestination, DatasetSource, MemoryStore, ObjectStore
from de_classes.storage.objects._partitions import cut_up
from tests.unit.storage.objects.datasets import ORDERS, data_files, leftovers, loaded, taken

if TYPE_CHECKING:
    from collections.abc import Sequence

SALES = pa.schema([("day", pa.date32()), ("id", pa.int64()), ("shop", pa.string())], {"origin": "shop"})


def sales(*rows: tuple[int | None, int, str | None]) -> pa.RecordBatch:
    days = [None if day is None else dt.date(2026, 1, day) for day, _, _ in rows]
    return pa.record_batch([days, [n for _, n, _ in rows], [shop for _, _, shop in rows]], schema=SALES)


@pytest.fixture
def store() -> ObjectStore:
    return MemoryStore()


def by(store: ObjectStore, *columns: str, **other: Any) -> DatasetDestination:
    return DatasetDestination(store, "lake", partition_by=columns, **other)


def rows(store: ObjectStore) -> list[dict[str, Any]]:
    return sorted(pa.table(Dataset(store, "lake/orders")).to_pylist(), key=lambda row: row["id"])


def ids(store: ObjectStore) -> list[int]:
    return [row["id"] for row in rows(store)]


def test_folders_are_named_after_values(store: ObjectStore) -> None:
    """As Hive does: null has its name, what is no plain character is percent-encoded, no folder stands for two."""
    table = sales((1, 1, "a/b"), (1, 2, None), (None, 3, ""), (2, 4, "__HIVE_DEFAULT_PARTITION__"), (1, 5, "a/b"))
    loaded(by(store, "day", "shop"), table)
    folders = {"/".join(key.split("/")[4:-1]) for key in data_files(store)}
    assert folders == {
        "day=2026-01-01/shop=a%2Fb",
        "day=2026-01-01/shop=__HIVE_DEFAULT_PARTITION__",
        "day=__HIVE_DEFAULT_PARTITION__/shop=",
        "day=2026-01-02/shop=%5F_HIVE_DEFAULT_PARTITION__",
    }
    assert rows(store) == table.to_pylist()
    assert pa.table(Dataset(store, "lake/orders")).schema.equals(SALES, check_metadata=True)
    assert leftovers(store) == []


KINDS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.bool_(), st.booleans()),
    (pa.string(), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)),
    (pa.date32(), st.dates()),
    (pa.decimal128(38, 4), st.decimals(-(10**9), 10**9, places=4)),
    (pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["north", "south"])),
]


@pytest.mark.parametrize("kind", [pytest.param(one, id=str(one[0])) for one in KINDS])
@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_values_come_back(kind: tuple[pa.DataType, st.SearchStrategy[Any]], data: st.DataObject) -> None:
    """Whatever a partition is named after, its rows have the value that they came with, null included."""
    store = MemoryStore()
    values = data.draw(st.lists(st.none() | kind[1], min_size=1, max_size=6))
    batch = pa.record_batch({"p": pa.array(values, kind[0]), "id": pa.array(range(len(values)), pa.int64())})
    loaded(by(store, "p"), batch)
    assert rows(store) == batch.to_pylist()


def test_columns_may_grow_around_partitions(store: ObjectStore) -> None:
    """A partitioning column that gets wider gives back the older values in its type."""
    evolving = by(store, "p", schema_changes="evolve")
    loaded(evolving, pa.record_batch({"p": pa.array([1], pa.int8()), "id": [1]}))
    loaded(evolving, pa.record_batch({"p": pa.array([2**40]), "id": [2], "note": ["x"]}))
    assert rows(store) == [{"p": 1, "id": 1, "note": None}, {"p": 2**40, "id": 2, "note": "x"}]


def test_many_partitions_take_the_memory_of_few() -> None:
    """Rows are kept back up to a size, then the largest partition goes: sorted input gives one piece after another."""

    def pieces(days: Sequence[int]) -> list[tuple[Any, int]]:
        batches = [pa.record_batch({"day": [day] * 100, "id": range(100)}) for day in days]
        return [(partition, part.num_rows) for partition, part in cut_up(batches, ("day",), 2000)]

    assert pieces([1, 1, 2, 2]) == [(("1",), 100)] * 2 + [(("2",), 100)] * 2
    mixed = pieces([1, 2, 3, 1, 2, 3, 1])
    assert sum(count for _, count in mixed) == 700
    kept: list[int] = []
    batches = iter([pa.record_batch({"day": range(50), "id": range(50)}) for _ in range(40)])
    counted = (kept.append(1) or batch for batch in batches)
    for _ in cut_up(counted, ("day",), 2000):
        assert len(kept) <= 6
        break


def test_files_of_a_sorted_load_are_whole(store: ObjectStore) -> None:
    """One partition after the other: each is one file, however many batches it came in."""
    with by(store, "day", row_group_bytes=1000).begin("p", ORDERS, Mode.APPEND) as load:
        batches = [Batch(sales(*[(day, 100 * day + n, "x") for n in range(50)])) for day in (1, 1, 1, 2, 2, 2)]
        load.commit([load.write("all", iter(batches))], None)
    assert len(data_files(store)) == 2
    assert len(ids(store)) == 300


def test_only_partitions_that_come_are_replaced(store: ObjectStore) -> None:
    """The others stay, in one commit; as of the commit before, the former rows are there."""
    destination = by(store, "day", replace="partitions")
    loaded(destination, sales((1, 1, "a"), (2, 2, "b"), (None, 3, "c")), mode=Mode.REPLACE)
    loaded(destination, sales((2, 4, "d")))
    loaded(destination, sales((2, 5, "e"), (None, 6, "f"), (3, 7, "g")), mode=Mode.REPLACE)
    assert ids(store) == [1, 5, 6, 7]
    assert sorted(row["id"] for row in pa.table(Dataset(store, "lake/orders", as_of=2)).to_pylist()) == [1, 2, 3, 4]
    newest = Dataset(store, "lake/orders").log.newest()
    assert newest is not None
    assert (newest.rows, len(newest.dropped)) == (4, 3)
    loaded(destination, mode=Mode.REPLACE)
    assert ids(store) == [1, 5, 6, 7]
    assert Dataset(store, "lake/orders").vacuum(0).files == 3
    assert ids(store) == [1, 5, 6, 7]
    assert leftovers(store) == []


def test_who_had_read_what_was_replaced_reads_anew(store: ObjectStore) -> None:
    """A position before a row that went is no position any more; one that no such row was read by goes on."""
    destination, source = by(store, "day", replace="partitions"), DatasetSource(store, "lake")
    loaded(destination, sales((1, 1, "a")))
    _, first = taken(source)
    loaded(destination, sales((2, 2, "b")))
    _, second = taken(source)
    loaded(destination, sales((2, 3, "c")), mode=Mode.REPLACE)
    with source.plan(ORDERS, second) as plan:
        assert plan.anew
    assert taken(source, first)[0] == [3]
    _, third = taken(source)
    loaded(destination, sales((1, 4, "d"), (2, 5, "e")), mode=Mode.REPLACE)
    for since in (first, second, third):
        with source.plan(ORDERS, since) as plan:
            assert plan.anew
    newest = Dataset(store, "lake/orders").log.newest()
    assert newest is not None
    assert newest.lost == ((1, 3),)


def test_partitions_are_compacted_apart(store: ObjectStore) -> None:
    """Files of a partition become one where no key can be in two partitions; else only neighbours do."""
    keyed = Stream("orders", ("day", "id"))
    for n in range(3):
        with by(store, "day").begin("p", keyed, Mode.APPEND) as load:
            load.commit([load.write("x", iter([Batch(sales((1, n, "a"), (2, n + 10, "b")))]))], None)
    source = DatasetSource(store, "lake")
    dataset = Dataset(store, "lake/orders")
    newest = dataset.log.read(1)
    assert dataset.compact() == Compacted(6, 2, 6)
    assert ids(store) == [0, 1, 2, 10, 11, 12]
    assert sorted(taken(source, {"commit": 1, "id": newest.id})[0]) == [1, 2, 11, 12]
    loaded(by(store, "day", replace="partitions"), sales((1, 9, "z")), mode=Mode.REPLACE)
    assert ids(store) == [9, 10, 11, 12]


def test_keys_that_may_move_keep_their_order(store: ObjectStore) -> None:
    """Where a key may be in two partitions, the later row stays behind the earlier one."""
    for n in range(2):
        loaded(by(store, "day"), sales((1, n, "a"), (2, n + 10, "b")))
    assert Dataset(store, "lake/orders").compact() == Compacted(0, 0, 0)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"partition_by": "day"}, "partition_by"),
        ({"partition_by": ("day", "day")}, "partition_by"),
        ({"replace": "partitions"}, "without partition_by"),
        ({"replace": "some", "partition_by": ("day",)}, "replace='some'"),
    ],
)
def test_what_cannot_be_asked_for(wrong: dict[str, Any], told: str) -> None:
    """A mistake in the configuration is told before anything is touched."""
    with pytest.raises(ConfigurationError, match=told):
        DatasetDestination(MemoryStore(), **wrong)


def test_what_no_folder_can_be_named_after(store: ObjectStore) -> None:
    """Columns that are not there or not of a fitting type, and values outside the calendar; nothing is left."""
    for column, told in (("week", "no column week"), ("shop", "column shop is double")):
        batch = pa.record_batch({"id": [1], "shop": [0.5]})
        with pytest.raises(ConfigurationError, match=told):
            loaded(by(store, column), batch)
    with pytest.raises(ConfigurationError, match="no other column"):
        loaded(by(store, "id"), pa.record_batch({"id": [1]}))
    far = pa.record_batch({"day": pa.array([10**7], pa.int32()).cast(pa.date32()), "id": [1]})
    with pytest.raises(ValueNotHeld, match="day"):
        loaded(by(store, "day"), far)
    assert data_files(store) == []


def test_partitions_of_other_files_are_not_guessed(store: ObjectStore) -> None:
    """Partitions cannot be replaced where some files have none; loads of another layout are not taken over."""
    loaded(DatasetDestination(store, "lake"), sales((1, 1, "a")))
    with pytest.raises(ConfigurationError, match="not partitioned by day"):
        loaded(by(store, "day", replace="partitions"), sales((1, 2, "b")), mode=Mode.REPLACE)
    with by(store, "day").begin("q", ORDERS, Mode.APPEND) as load:
        load.write("mine", iter([Batch(sales((1, 3, "c")))]))
    with by(store, "shop").begin("q", ORDERS, Mode.APPEND) as load:
        assert load.staged == {}
    with by(store, "day").begin("q", ORDERS, Mode.APPEND) as load:
        assert load.staged == {"mine": ANY}
