from __future__ import annotations

import gc
import pickle
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Destination, Mode, Source, Stream
from de_classes.errors import ConfigurationError, DatasetError, Overtaken, StoreError
from de_classes.storage.objects import Dataset, DatasetDestination, DatasetSource, LocalStore, MemoryStore, ObjectStore
from de_classes.testing.contract import DestinationContract, ReadBack, ReadQuarantine, SourceContract
from tests.unit.storage.objects.datasets import ORDERS, DatasetBehaviour, leftovers, loaded, rejected_of, some, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import Any, BinaryIO

    from typing_extensions import Buffer

    from de_classes.storage.objects import ObjectInfo


class TestOnLocal(DatasetBehaviour):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectStore:
        return LocalStore(tmp_path / "root")


class TestInMemory(DatasetBehaviour):
    @pytest.fixture
    def store(self) -> ObjectStore:
        return MemoryStore()


class Sweeping(MemoryStore):
    """While a file's footer is about to be read back, something else happens once."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], object] | None = None

    def open_reader(self, key: str, *, size: int | None = None) -> BinaryIO:
        if (meanwhile := self.meanwhile) is not None:
            self.meanwhile = None
            meanwhile()
        return super().open_reader(key, size=size)


def test_a_loser_whose_file_is_swept_away_is_told_that_it_lost() -> None:
    """A run that is overtaken while it writes hears of that, and not of a damaged store."""
    store = Sweeping()
    destination = DatasetDestination(store, "lake")
    with destination.begin("p", ORDERS, Mode.APPEND) as load:
        store.meanwhile = lambda: loaded(destination, some(2))
        with pytest.raises(Overtaken):
            written(load, some(1))


class Forgetful(MemoryStore):
    """The answer to the next receipt is lost, although it is stored; something else happens meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], object] | None = None

    def put(self, key: str, data: Buffer, **conditions: Any) -> ObjectInfo:
        info = super().put(key, data, **conditions)
        if "/_staged/" in key and not key.endswith("_open.json") and (meanwhile := self.meanwhile) is not None:
            self.meanwhile = None
            meanwhile()
            raise StoreError(key, "the answer was lost")
        return info


def test_a_receipt_whose_answer_is_lost_may_be_taken_over() -> None:
    """Files whose receipt another run has found and committed stay, though the run that wrote them failed."""
    store = Forgetful()
    destination = DatasetDestination(store, "lake")

    def another_run() -> None:
        with destination.begin("p", ORDERS, Mode.APPEND) as load:
            load.commit(list(load.staged.values()), None)

    with destination.begin("p", ORDERS, Mode.APPEND) as load:
        store.meanwhile = another_run
        with pytest.raises(StoreError, match="lost"):
            written(load, some(1, 2))
    assert pa.table(Dataset(store, "lake/orders"))["id"].to_pylist() == [1, 2]


def test_a_writer_that_fails_leaves_no_noise(capfd: pytest.CaptureFixture[str]) -> None:
    """A split that fails after rows were written says nothing of its own when it is collected."""

    def batches() -> Iterator[Batch]:
        yield Batch(some(*range(100)))
        raise DatasetError("a source", "it broke")

    destination = DatasetDestination(MemoryStore(), "lake", row_group_bytes=100)
    with destination.begin("p", ORDERS, Mode.APPEND) as load, pytest.raises(DatasetError, match="it broke"):
        load.write("a", batches())
    gc.collect()
    assert capfd.readouterr() == ("", "")


class ContractOfDestinations(DestinationContract):
    modes = frozenset({Mode.APPEND, Mode.REPLACE})

    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectStore:
        return LocalStore(tmp_path / "root")

    @pytest.fixture
    def destination(self, store: ObjectStore) -> Destination:
        return DatasetDestination(store, "lake")

    @pytest.fixture
    def read_back(self, store: ObjectStore) -> ReadBack:
        def read(name: str) -> pa.Table | None:
            dataset = Dataset(store, f"lake/{name}")
            return None if dataset.log.newest() is None else pa.table(dataset)

        return read

    @pytest.fixture
    def evolving(self, store: ObjectStore) -> Destination:
        return DatasetDestination(store, "lake", schema_changes="evolve")

    @pytest.fixture
    def read_quarantine(self, store: ObjectStore) -> ReadQuarantine:
        return lambda name: rejected_of(Dataset(store, f"lake/{name}"))

    @pytest.fixture
    def leftovers(self, store: ObjectStore) -> Callable[[], Sequence[str]]:
        return lambda: leftovers(store)


class ContractOfSources(SourceContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectStore:
        return LocalStore(tmp_path / "root")

    @pytest.fixture
    def source(self, store: ObjectStore) -> Source:
        destination = DatasetDestination(store, "lake")
        loaded(destination, some(1, 2, 3), some(4))
        loaded(destination, some(5).select(["name", "id"]), pipeline="another")
        return DatasetSource(store, "lake", split_bytes=1)

    @pytest.fixture
    def grown(self, store: ObjectStore, source: Source) -> Callable[[], Source]:
        def grow() -> Source:
            loaded(DatasetDestination(store, "lake"), some(6, 7))
            return source

        return grow


class TestDestinationContractOnLocal(ContractOfDestinations):
    pass


class TestDestinationContractInMemory(ContractOfDestinations):
    @pytest.fixture
    def store(self) -> ObjectStore:
        return MemoryStore()

    def test_loads_and_receipts_pickle(self, destination: Destination) -> None:  # type: ignore[override]
        """Memory cannot be sent to another process, and a load says so."""
        with destination.begin("p", ORDERS, Mode.APPEND) as load, pytest.raises(ConfigurationError):
            pickle.dumps(load)


class TestSourceContractOnLocal(ContractOfSources):
    pass


class TestSourceContractInMemory(ContractOfSources):
    @pytest.fixture
    def store(self) -> ObjectStore:
        return MemoryStore()

    def test_splits_pickle(self, source: Source, stream: Stream) -> None:
        """Memory cannot be sent to another process, and a split says so."""
        with source.plan(stream, None) as plan, pytest.raises(ConfigurationError):
            pickle.dumps(plan.splits[0])


def test_datasets_may_lie_at_the_top(tmp_path: Path) -> None:
    """Without a prefix, the datasets are the folders of the store itself."""
    store = LocalStore(tmp_path)
    destination = DatasetDestination(store)
    with destination.begin("p", ORDERS, Mode.APPEND) as load:
        written(load, some(8), named="unused")
        load.commit(written(load, some(1)), {"day": 1})
    (tmp_path / "no dataset").mkdir()
    assert [stream.name for stream in DatasetSource(store).streams()] == ["orders"]
    assert pa.table(Dataset(LocalStore(tmp_path / "orders"), ""))["id"].to_pylist() == [1]
    assert {path.name for path in (tmp_path / "orders").iterdir()} == {"_commits", "data"}


def test_a_folder_without_commits_is_no_dataset(tmp_path: Path) -> None:
    """Reading where nothing was committed is told, not answered with no rows."""
    with pytest.raises(DatasetError, match="no dataset here"):
        pa.table(Dataset(LocalStore(tmp_path), "orders"))


def test_sizes_must_be_sizes() -> None:
    """Sizes of nothing are the user's mistake, seen before anything moves."""
    with pytest.raises(ConfigurationError):
        DatasetDestination(MemoryStore(), target_file_bytes=0)
    with pytest.raises(ConfigurationError):
        DatasetSource(MemoryStore(), batch_bytes=0)
