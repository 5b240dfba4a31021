"""What a dataset was, what compaction makes of its files, and how a long log opens."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from de_classes.contracts import Mode
from de_classes.errors import ConfigurationError, DatasetError, Overtaken
from de_classes.storage.objects import (
    Compacted,
    Dataset,
    DatasetDestination,
    DatasetSource,
    LocalStore,
    MemoryStore,
    ObjectStore,
)
from de_classes.storage.objects._checkpoints import EVERY
from de_classes.storage.objects.log import CommitLog
from tests.unit.storage.objects.datasets import ORDERS, data_files, leftovers, loaded, some, taken
from tests.unit.storage.objects.test_log import commit
from tests.unit.storage.objects.verbs import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any

    from typing_extensions import Buffer

    from de_classes.contracts import Position
    from de_classes.storage.objects import ObjectInfo
    from de_classes.storage.objects.log import Commit


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return LocalStore(tmp_path) if request.param == "local" else MemoryStore()


@pytest.fixture
def destination(store: ObjectStore) -> DatasetDestination:
    return DatasetDestination(store, "lake")


def ids(dataset: Dataset) -> list[int]:
    return [row for batch in dataset.batches() for row in batch["id"].to_pylist()]


def test_a_dataset_is_read_as_of_a_commit(store: ObjectStore, destination: DatasetDestination) -> None:
    """By number and by time, as a dataset and as a source, across a replacement."""
    loaded(destination, some(1, 2))
    between = datetime.now(UTC)
    loaded(destination, some(3))
    loaded(destination, some(4), mode=Mode.REPLACE)
    then = [ids(Dataset(store, "lake/orders", as_of=number)) for number in (1, 2, 3)]
    assert then == [[1, 2], [1, 2, 3], [4]]
    assert ids(Dataset(store, "lake/orders", as_of=between)) == [1, 2]
    assert ids(Dataset(store, "lake/orders", as_of=datetime.now(UTC))) == [4]
    rows, reached = taken(DatasetSource(store, "lake", as_of=2))
    assert (rows, reached and reached["commit"]) == ([1, 2, 3], 2)
    assert taken(DatasetSource(store, "lake", as_of=2), taken(DatasetSource(store, "lake", as_of=1))[1])[0] == [3]


def test_what_was_not_there_yet_is_told(store: ObjectStore, destination: DatasetDestination) -> None:
    """A number of no commit, a time before the first, and what is neither."""
    loaded(destination, some(1))
    early = datetime.now(UTC) - timedelta(days=1)
    for as_of in (2, early):
        with pytest.raises(DatasetError, match="no commits as of"):
            pa.table(Dataset(store, "lake/orders", as_of=as_of))
    assert DatasetSource(store, "lake", as_of=early).streams() == []
    for wrong in (0, datetime(2026, 1, 1)):  # noqa: DTZ001 -- without a zone is what is wrong
        with pytest.raises(ConfigurationError, match="as_of"):
            DatasetSource(store, "lake", as_of=wrong)


def test_compaction_changes_no_row_and_no_order(store: ObjectStore, destination: DatasetDestination) -> None:
    """Many small files become one; rows, their order, what came since a commit and what was as of it stay."""
    positions = []
    for n in range(6):
        loaded(destination, some(2 * n, 2 * n + 1), pipeline=f"p{n % 2}", position={"at": n})
        positions.append(taken(DatasetSource(store, "lake"))[1])
    dataset = Dataset(store, "lake/orders")
    assert dataset.compact() == Compacted(files=6, into=1, rows=12)
    loaded(destination, some(12))
    assert ids(dataset) == list(range(13))
    source = DatasetSource(store, "lake")
    assert [taken(source, since)[0] for since in positions] == [list(range(2 * n + 2, 13)) for n in range(6)]
    assert ids(Dataset(store, "lake/orders", as_of=3)) == list(range(6))
    assert Dataset(store, "lake/orders").compact(target_bytes=1) == Compacted(0, 0, 0)
    assert dataset.vacuum(0).files == 6
    assert ids(dataset) == list(range(13))
    assert taken(source, positions[2])[0] == list(range(6, 13))
    assert len(data_files(store)) == 2
    assert leftovers(store) == []
    newest = dataset.log.newest()
    assert newest is not None
    assert newest.rows == 13
    assert [destination.position(f"p{n}", ORDERS) for n in range(2)] == [{"at": 4}, {"at": 5}]


actions = st.lists(
    st.sampled_from(["append", "append", "append", "replace", "compact", "read", "vacuum"]), min_size=3, max_size=14
)


@given(actions)
@settings(max_examples=25, deadline=None)
def test_whoever_reads_on_has_each_row_once(steps: Sequence[str]) -> None:
    """Whatever loads, compactions and vacuums come between, one who reads on from a position has the present rows."""
    store = MemoryStore()
    destination, dataset = DatasetDestination(store, "lake"), Dataset(store, "lake/orders")
    source = DatasetSource(store, "lake", split_bytes=1)
    loaded(destination, some(0))
    expected, had = [0], taken(source)
    for n, step in enumerate(steps, 1):
        if step in {"append", "replace"}:
            loaded(destination, some(n, n + 100), mode=Mode(step))
            expected = [*(expected if step == "append" else []), n, n + 100]
        elif step == "compact":
            dataset.compact(4000)
        elif step == "vacuum":
            dataset.vacuum(0)
        else:
            had = read_on(source, had)
            assert had[0] == expected
    assert ids(dataset) == expected
    assert read_on(source, had)[0] == expected
    assert leftovers(store) == []


def read_on(source: DatasetSource, had: tuple[list[int], Position | None]) -> tuple[list[int], Position | None]:
    with source.plan(ORDERS, had[1]) as plan:
        rows = [n for split in plan.splits for batch in split.read() for n in batch.records["id"].to_pylist()]
        return ([] if plan.anew else had[0]) + rows, plan.position


class Meanwhile(MemoryStore):
    """Before the next commit is put, something else happens once."""

    first: Callable[[], object] | None = None

    def put(self, key: str, data: Buffer, **conditions: Any) -> ObjectInfo:
        if "/_commits/" in key and (first := self.first) is not None:
            self.first = None
            first()
        return super().put(key, data, **conditions)


def test_loads_have_their_way_with_a_compaction() -> None:
    """What is appended meanwhile comes after; what is replaced meanwhile is gone, and no compaction brings it back."""
    store = Meanwhile()
    destination, dataset = DatasetDestination(store, "lake"), Dataset(store, "lake/orders")
    loaded(destination, some(1))
    loaded(destination, some(2))
    store.first = lambda: loaded(destination, some(3))
    assert dataset.compact() == Compacted(2, 1, 2)
    assert ids(dataset) == [1, 2, 3]
    store.first = lambda: loaded(destination, some(4), mode=Mode.REPLACE)
    assert dataset.compact() == Compacted(0, 0, 0)
    assert ids(dataset) == [4]
    dataset.vacuum(0)
    assert leftovers(store) == []
    assert len(data_files(store)) == 1


def test_of_two_compactions_one_commits() -> None:
    """The one that comes second is overtaken, and leaves nothing."""
    store = Meanwhile()
    destination, dataset = DatasetDestination(store, "lake"), Dataset(store, "lake/orders")
    loaded(destination, some(1))
    loaded(destination, some(2))
    store.first = lambda: Dataset(store, "lake/orders").compact()
    with pytest.raises(Overtaken):
        dataset.compact()
    assert ids(dataset) == [1, 2]
    assert leftovers(store) == []


def test_what_a_killed_compaction_left_goes_with_the_next(
    store: ObjectStore, destination: DatasetDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that no commit lists are removed by the next compaction, whether the killed one had committed or not."""
    loaded(destination, some(1))
    loaded(destination, some(2))
    dataset = Dataset(store, "lake/orders")
    with monkeypatch.context() as patch:
        patch.setattr(CommitLog, "append", died)
        with pytest.raises(KeyboardInterrupt):
            dataset.compact()
    assert len(leftovers(store)) == 2
    dataset.vacuum(0)
    assert len(leftovers(store)) == 2  # it might be at work still
    dataset.compact()
    assert ids(dataset) == [1, 2]
    assert leftovers(store) == []


def died(*_: object) -> None:
    raise KeyboardInterrupt


def long_log(store: ObjectStore, count: int) -> CommitLog:
    log = CommitLog(store, "lake/orders")

    def build(newest: Commit | None) -> Commit:
        return commit(newest.number + 1 if newest is not None else 1)

    for _ in range(count):
        log.append(build)
    return log


def test_a_long_log_opens_with_few_reads() -> None:
    """Beyond a page of entries the state comes from the last checkpoint and the entries behind it."""
    store = Counting()
    count = 16 * EVERY + 10
    whole = long_log(store, count)
    newest = whole.newest()
    assert newest is not None
    store.gets = 0
    fresh = CommitLog(store, "lake/orders")
    found = fresh.newest()
    assert found == newest
    assert [held.file.key for held in fresh.state(newest).files] == [f"data/{n}.parquet" for n in range(1, count + 1)]
    assert store.gets <= 10 + 4
    checkpoints = keys(store, "lake/orders/_commits/checkpoints")
    assert [int(key[-25:-5]) // EVERY for key in checkpoints] == [15, 16]
    store.gets = 0
    assert len(fresh.state(fresh.read(16 * EVERY - 1)).files) == 16 * EVERY - 1
    assert store.gets <= EVERY + 3


def test_checkpoints_are_only_trusted_where_they_fit() -> None:
    """One that is damaged, of another log or gone costs time, and changes nothing."""
    store = MemoryStore()
    log = long_log(store, EVERY + 2)
    newest = log.newest()
    assert newest is not None
    (key,) = keys(store, "lake/orders/_commits/checkpoints")
    good, expected = store.get(key), log.state(newest)
    for data in (b"{", good.replace(b'"format":2', b'"format":9'), good.replace(b"id-p-64", b"id-q-64")):
        store.put(key, data)
        assert log.state(newest) == expected
    store.delete(key)
    assert log.state(newest) == expected
    assert len(log.state(replace(newest, base=EVERY)).files) == 3


class Counting(MemoryStore):
    """Knows how many objects were read."""

    gets = 0

    def get(self, key: str) -> bytes:
        self.gets += 1
        return super().get(key)
