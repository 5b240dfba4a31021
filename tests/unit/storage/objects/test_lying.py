"""Stores that lose answers, list late, forget or only pretend: a commit to them is right, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from de_classes.contracts import Mode
from de_classes.errors import DatasetError, DeClassesError, ObjectExists, Overtaken, StoreUnreachable, UnsafeStore
from de_classes.storage.objects import (
    CsvFormat,
    Dataset,
    DatasetDestination,
    DatasetSource,
    MemoryStore,
    ObjectInfo,
    ParquetFormat,
)
from tests.unit.storage.objects.datasets import ORDERS, loaded, some, taken, written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

    from de_classes.storage.objects.formats import Format

ENTRY = "/_commits/0"


class Lying(MemoryStore):
    """Does to keys that have `where` in them what its attributes say."""

    where = "nothing"
    after_put: type[DeClassesError] | None = None
    forgets = pretends = lists_late = False
    cuts_off = 0

    def put(self, key: str, data: Buffer, *, create_only: bool = False, **other: Any) -> ObjectInfo:
        if self.where not in key:
            return super().put(key, data, create_only=create_only, **other)
        size = memoryview(data).nbytes
        if self.forgets:
            return ObjectInfo(key, size, None, None)
        if self.pretends:
            try:
                return super().put(key, data, create_only=True, **other)
            except ObjectExists:
                return ObjectInfo(key, size, None, None)
        info = super().put(key, data, create_only=create_only, **other)
        if self.after_put is not None:
            raise self.after_put(key, "told after it was stored")
        return info

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        listed = super().list(prefix, after=after)
        if not (self.lists_late and self.where in f"{prefix}/0"):
            return listed
        first = [info for info in super().list(prefix) if self.where in info.key][:1]
        return iter([info for info in first if info.key > after])


@pytest.fixture
def store() -> Lying:
    return Lying()


@pytest.fixture
def destination(store: Lying) -> DatasetDestination:
    return DatasetDestination(store, "lake")


def ids(store: MemoryStore) -> list[int]:
    table = pa.table(Dataset(store, "lake/orders"))
    return table["id"].to_pylist()


@pytest.mark.parametrize("error", [ObjectExists, StoreUnreachable])
def test_a_commit_that_is_there_counts_whatever_was_answered(
    store: Lying, destination: DatasetDestination, error: type[DeClassesError]
) -> None:
    """That the object exists already, or no answer at all, is what one's own commit may bring: it is looked up."""
    loaded(destination, some(1))
    store.where, store.after_put = ENTRY, error
    loaded(destination, some(2), position={"day": 2})
    loaded(destination, some(3), pipeline="another")
    store.after_put = None
    assert ids(store) == [1, 2, 3]
    assert destination.position("p", ORDERS) == {"day": 2}


def test_a_store_that_lists_late_loses_no_commit(store: Lying, destination: DatasetDestination) -> None:
    """Numbers that are taken are stepped over, by pipelines that do not see each other in the list."""
    loaded(destination, some(1))
    store.where, store.lists_late = ENTRY, True
    for n in (2, 3, 4):
        loaded(DatasetDestination(store, "lake"), some(n), pipeline=f"p{n}")
    with pytest.raises(Overtaken):
        loaded(DatasetDestination(store, "lake"), some(5), pipeline="p2")
    assert Dataset(store, "lake/orders").vacuum(0).files == 0
    store.lists_late = False
    assert ids(store) == [1, 2, 3, 4]
    loaded(destination, some(6), pipeline="p2")
    assert taken(DatasetSource(store, "lake"))[0] == [1, 2, 3, 4, 6]


@pytest.mark.parametrize("lie", ["forgets", "pretends"])
def test_a_commit_that_is_not_kept_is_refused(store: Lying, destination: DatasetDestination, lie: str) -> None:
    """Each commit is read back: what the store says it has done may not be so."""
    loaded(destination, some(1))
    with destination.begin("p", ORDERS, Mode.APPEND) as load:
        receipts = written(load, some(2))
        if lie == "pretends":
            loaded(DatasetDestination(store, "lake"), some(3), pipeline="another")
        store.where, store.lists_late = ENTRY, lie == "pretends"
        setattr(store, lie, True)
        with pytest.raises(UnsafeStore, match="said that it had made the commit"):
            load.commit(receipts, {"day": 2})
    store.where = "nothing"
    assert destination.position("p", ORDERS) is None
    assert 2 not in ids(store)


class Cutting(MemoryStore):
    """Keeps of files what it likes."""

    keep = 1.0

    def open_writer(self, key: str, *, expected_bytes: int = 0) -> Any:
        writer = super().open_writer(key, expected_bytes=expected_bytes)
        close = writer.close

        def closing() -> None:
            close()
            data = self.get(key)
            self.put(key, data[: int(len(data) * self.keep)])

        writer.close = closing  # type: ignore[method-assign]
        return writer


@pytest.mark.parametrize("form", [ParquetFormat(), CsvFormat()], ids=repr)
def test_files_are_looked_at_before_they_count(form: Format) -> None:
    """A file that the store has cut off is told while it is written, whatever its format."""
    store = Cutting()
    store.keep = 0.5
    with pytest.raises(DatasetError, match="data/"):
        loaded(DatasetDestination(store, "lake", format=form), some(1, 2, 3))
    assert Dataset(store, "lake/orders").log.newest() is None


def test_a_file_that_is_lost_before_its_commit_is_told(store: Lying, destination: DatasetDestination) -> None:
    """Files are there as they were written when the commit is made, or it is not made."""
    with destination.begin("p", ORDERS, Mode.APPEND) as load:
        receipts = written(load, some(1))
        store.delete(*[info.key for info in store.list("lake/orders/data")])
        with pytest.raises(DatasetError, match="gone before it was committed"):
            load.commit(receipts, None)


def test_a_log_with_a_hole_is_refused(store: Lying, destination: DatasetDestination) -> None:
    """An entry that the store lost is named; the last one lost is as if it had never been, position included."""
    for n in (1, 2, 3):
        loaded(destination, some(n), position={"n": n})
    entries = [info.key for info in store.list("lake/orders/_commits")]
    store.delete(entries[2])
    fresh = DatasetDestination(store, "lake")
    assert fresh.position("p", ORDERS) == {"n": 2}
    assert ids(store) == [1, 2]
    store.delete(entries[0])
    with pytest.raises(DatasetError, match=entries[0]):
        taken(DatasetSource(store, "lake"))
