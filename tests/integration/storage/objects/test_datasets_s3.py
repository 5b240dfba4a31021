from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Destination, Mode, Receipt, Source
from de_classes.errors import AccessDenied, OutOfSpace, Overtaken, StoreError, UnsafeStore
from de_classes.storage.objects import (
    CsvFormat,
    Dataset,
    DatasetDestination,
    DatasetLoad,
    DatasetSource,
    LocalStore,
    ObjectStore,
    open_store,
)
from de_classes.testing.contract import DestinationContract, ReadBack, ReadQuarantine, SourceContract
from tests.unit.storage.objects.datasets import (
    ORDERS,
    DatasetBehaviour,
    leftovers,
    loaded,
    rejected_of,
    some,
    taken,
    written,
)
from tests.unit.storage.objects.growing import GrowingBehaviour
from tests.unit.storage.objects.verbs import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from de_classes.testing.s3 import S3Server

ROOT = Path(__file__).parents[4]


class TestOnS3(DatasetBehaviour):
    @pytest.fixture
    def store(self, s3_store: ObjectStore) -> ObjectStore:
        return s3_store


class TestGrowingOnS3(GrowingBehaviour):
    @pytest.fixture
    def store(self, s3_store: ObjectStore) -> ObjectStore:
        return s3_store


class TestDestinationContractOnS3(DestinationContract):
    modes = frozenset({Mode.APPEND, Mode.REPLACE})
    interruptions = 25

    @pytest.fixture
    def destination(self, s3_store: ObjectStore) -> Destination:
        return DatasetDestination(s3_store, "lake")

    @pytest.fixture
    def read_back(self, s3_store: ObjectStore) -> ReadBack:
        def read(name: str) -> pa.Table | None:
            dataset = Dataset(s3_store, f"lake/{name}")
            return None if dataset.log.newest() is None else pa.table(dataset)

        return read

    @pytest.fixture
    def evolving(self, s3_store: ObjectStore) -> Destination:
        return DatasetDestination(s3_store, "lake", schema_changes="evolve")

    @pytest.fixture
    def read_quarantine(self, s3_store: ObjectStore) -> ReadQuarantine:
        return lambda name: rejected_of(Dataset(s3_store, f"lake/{name}"))

    @pytest.fixture
    def leftovers(self, s3_store: ObjectStore) -> Callable[[], Sequence[str]]:
        return lambda: leftovers(s3_store)


class TestSourceContractOnS3(SourceContract):
    @pytest.fixture
    def source(self, s3_store: ObjectStore) -> Source:
        destination = DatasetDestination(s3_store, "lake")
        loaded(destination, some(1, 2, 3), some(4))
        loaded(destination, some(5), pipeline="another")
        return DatasetSource(s3_store, "lake", split_bytes=1)

    @pytest.fixture
    def grown(self, s3_store: ObjectStore, source: Source) -> Callable[[], Source]:
        def grow() -> Source:
            loaded(DatasetDestination(s3_store, "lake"), some(6, 7))
            return source

        return grow


def test_partitions_formats_and_compaction_on_s3(s3_store: ObjectStore) -> None:
    """Keys with percent signs, packed text and rewritten files are there what they are elsewhere."""
    places = pa.record_batch({"place": ["a/b %", None, ""], "id": [1, 2, 3]})
    destination = DatasetDestination(
        s3_store, "lake", format=CsvFormat(compression="gzip"), partition_by=("place",), replace="partitions"
    )
    loaded(destination, places)
    loaded(destination, places.slice(1))
    loaded(destination, places.slice(0, 1), mode=Mode.REPLACE)
    dataset = Dataset(s3_store, "lake/orders")
    _, since = taken(DatasetSource(s3_store, "lake", as_of=2))
    assert since is not None
    assert dataset.compact().into == 0
    assert sorted(pa.table(dataset)["id"].to_pylist()) == [1, 2, 2, 3, 3]
    assert dataset.vacuum(0).files == 1
    assert sorted(pa.table(dataset).to_pylist(), key=str) == sorted(
        [*places.to_pylist(), *places.slice(1).to_pylist()], key=str
    )
    loaded(DatasetDestination(s3_store, "lake"), some(4).select(["id"]).append_column("place", pa.array(["x"])))
    loaded(DatasetDestination(s3_store, "lake"), some(5).select(["id"]).append_column("place", pa.array(["y"])))
    assert dataset.compact().into == 1
    assert sorted(taken(DatasetSource(s3_store, "lake"))[0]) == [1, 2, 2, 3, 3, 4, 5]
    assert leftovers(s3_store) == []


@pytest.mark.parametrize("times", [1, 100])
def test_a_lost_answer_to_the_commit_is_looked_up(s3_server: S3Server, s3_store: ObjectStore, times: int) -> None:
    """A commit whose answer is lost, once or for good, counts if it is there, and is there once."""
    store = s3_server.store(s3_store.url.removeprefix("s3://"), patience_seconds=0.5)
    destination = DatasetDestination(store, "lake")
    loaded(destination, some(1))
    left = s3_server.losing_answers("PUT", "_commits", times=times)
    loaded(destination, some(2), position={"day": 2})
    assert left() < times
    s3_server.forgive()
    assert taken(DatasetSource(store, "lake"))[0] == [1, 2]
    assert destination.position("p", ORDERS) == {"day": 2}
    newest = Dataset(store, "lake/orders").log.newest()
    assert newest is not None
    assert newest.number == 2


def test_a_commit_that_never_arrived_is_told(s3_server: S3Server, s3_store: ObjectStore) -> None:
    """A commit that the server refuses is an error, shows nothing, and can be made again by the same load."""
    store = s3_server.store(s3_store.url.removeprefix("s3://"), patience_seconds=0.5)
    destination = DatasetDestination(store, "lake")
    with destination.begin("p", ORDERS, Mode.APPEND) as load:
        receipts = written(load, some(1))
        s3_server.failing("PUT", "_commits", 503, times=100)
        with pytest.raises(StoreError):
            load.commit(receipts, None)
        assert Dataset(store, "lake/orders").log.newest() is None
        s3_server.forgive()
        load.commit(receipts, None)
    assert taken(DatasetSource(store, "lake"))[0] == [1]


def test_a_pretending_store_gets_no_commit(s3_server: S3Server, s3_store: ObjectStore) -> None:
    """A load does not even begin on a store that ignores conditions."""
    with s3_server.ignoring_conditions(), pytest.raises(UnsafeStore):
        loaded(DatasetDestination(s3_store, "lake"), some(1))
    assert keys(s3_store) == []


@pytest.mark.parametrize("path", ["/data/", "_staged"])
def test_an_upload_that_fails_leaves_nothing(s3_server: S3Server, s3_store: ObjectStore, path: str) -> None:
    """When the store refuses a file, or the receipt of one, the split leaves no file behind."""
    destination = DatasetDestination(s3_store, "lake")
    with destination.begin("p", ORDERS, Mode.APPEND) as load:
        written(load, some(1))
        s3_server.failing("PUT", path, 403, times=1)
        if path == "_staged":
            s3_server.failing("PUT", path, 403, times=1)
        with pytest.raises(AccessDenied):
            load.write("refused", iter([Batch(some(2))]))
    assert len(keys(s3_store, "lake/orders/data")) == 1


def test_cleaning_up_that_fails_does_not_fail_the_commit(
    s3_server: S3Server, s3_store: ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    """What is committed is committed: leftovers that cannot be removed are told and go with the next commit."""
    destination = DatasetDestination(s3_store, "lake")
    with destination.begin("p", ORDERS, Mode.APPEND) as load:
        written(load, some(9), named="unused")
        s3_server.failing("POST", "?delete", 403)
        load.commit(written(load, some(1)), None)
    assert "leftovers stay until the next load" in caplog.text
    assert leftovers(s3_store) != []
    loaded(destination, some(2))
    assert leftovers(s3_store) == []
    assert taken(DatasetSource(s3_store, "lake"))[0] == [1, 2]


def write_elsewhere(load: DatasetLoad, n: int) -> Receipt:
    return load.write(f"split-{n}", iter([Batch(some(n))]))


def test_splits_are_written_and_read_by_processes(s3_store: ObjectStore, tmp_path: Path) -> None:
    """Loads and splits travel to other processes, and their receipts and rows come back."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for store in (s3_store, LocalStore(tmp_path)):
            with DatasetDestination(store, "lake").begin("p", ORDERS, Mode.APPEND) as load:
                receipts = list(pool.map(write_elsewhere, [load] * 3, range(3)))
                load.commit(receipts, {"n": 3})
            with DatasetSource(store, "lake", split_bytes=1).plan(ORDERS, None) as plan:
                assert sorted(pool.map(count_elsewhere, plan.splits)) == [1, 1, 1]
            assert sorted(taken(DatasetSource(store, "lake"))[0]) == [0, 1, 2]


def count_elsewhere(split: object) -> int:
    return sum(batch.records.num_rows for batch in pickle.loads(pickle.dumps(split)).read())


LOAD = """
import sys, pyarrow as pa
from de_classes.contracts import Batch, Mode, Stream
from de_classes.storage.objects import DatasetDestination, open_store
destination = DatasetDestination(open_store(sys.argv[1]), "lake")
orders = Stream("orders", ("id",))
done = (destination.position("p", orders) or {"day": 0})["day"]
for day in range(done + 1, 4):
    with destination.begin("p", orders, Mode.APPEND) as load:
        receipts = []
        for n in range(3):
            name = f"day {day} split {n}"
            batch = Batch(pa.record_batch({"id": [day * 10 + n], "name": ["x"]}))
            receipts.append(load.staged.get(name) or load.write(name, iter([batch])))
        print(day, len(load.staged), flush=True)
        load.commit(receipts, {"day": day})
"""

POINTS = [
    "dataset.write.before_upload:5",
    "dataset.write.after_upload:5",
    "dataset.commit.before:2",
    "dataset.commit.after:2",
    "dataset.cleanup.before:2",
]


def run_load(url: str, server: S3Server, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", dedent(LOAD), url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "src"),
            "AWS_ENDPOINT_URL": server.endpoint,
            "AWS_ACCESS_KEY_ID": server.access_key_id,
            "AWS_SECRET_ACCESS_KEY": server.secret_access_key,
            **environment,
        },
    )


@pytest.mark.parametrize("where", ["local", "s3"])
@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_and_run_again(
    s3_server: S3Server, s3_store: ObjectStore, tmp_path: Path, point: str, where: str
) -> None:
    """A load that is killed at any point and run again ends with each row once, and leaves nothing lying about."""
    url = s3_store.url if where == "s3" else str(tmp_path)
    killed = run_load(url, s3_server, DE_CLASSES_FAULT=point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = run_load(url, s3_server)
    assert again.returncode == 0, again.stderr
    store = s3_store if where == "s3" else open_store(url)
    rows, _ = taken(DatasetSource(store, "lake"))
    assert rows == [10, 11, 12, 20, 21, 22, 30, 31, 32]
    assert leftovers(store) == []
    staged = {"before_upload:5": 1, "after_upload:5": 1, "commit.before:2": 3}
    expected = next((count for name, count in staged.items() if point.endswith(name)), 0)
    assert again.stdout.splitlines()[0] == (f"2 {expected}" if expected else "3 0")


def test_a_load_in_the_middle_of_a_file_is_killed(s3_server: S3Server, tmp_path: Path) -> None:
    """The half of a file that a killed process was writing to a local folder is gone after the next commit."""
    half = """
    import os, signal, sys, pyarrow as pa
    from de_classes.contracts import Batch, Mode, Stream
    from de_classes.storage.objects import DatasetDestination, LocalStore
    def batches():
        yield Batch(pa.record_batch({"id": [1], "name": ["x"]}))
        os.kill(os.getpid(), signal.SIGKILL)
    destination = DatasetDestination(LocalStore(sys.argv[1]), "lake", row_group_bytes=1)
    with destination.begin("p", Stream("orders"), Mode.APPEND) as load:
        load.write("split", batches())
    """
    killed = subprocess.run(
        [sys.executable, "-c", dedent(half), str(tmp_path)],
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert killed.returncode == -signal.SIGKILL
    assert [path.suffix for path in (tmp_path / "lake/orders/data").rglob("*.tmp")] == [".tmp"]
    assert run_load(str(tmp_path), s3_server).returncode == 0
    assert not list(tmp_path.rglob("*.tmp"))
    assert leftovers(LocalStore(tmp_path)) == []


def test_a_full_disk_shows_nothing(tmp_path: Path) -> None:
    """When the space ends while Parquet is written, OutOfSpace is told, nothing is visible and nothing is left."""
    full = """
    import os, resource, sys, pyarrow as pa
    from de_classes.contracts import Batch, Mode, Stream
    from de_classes.errors import OutOfSpace
    from de_classes.storage.objects import DatasetDestination, LocalStore
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    batch = Batch(pa.record_batch({"noise": [os.urandom(1000) for _ in range(5000)]}))
    destination = DatasetDestination(LocalStore(sys.argv[1]), "lake", row_group_bytes=1 << 18)
    try:
        with destination.begin("p", Stream("orders"), Mode.APPEND) as load:
            load.write("split", iter([batch]))
    except OutOfSpace as error:
        print(error)
    """
    ran = subprocess.run(
        [sys.executable, "-c", dedent(full), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert "no space left" in ran.stdout, ran.stderr
    assert len(ran.stdout.splitlines()) == 2
    assert [key.rpartition("/")[2] for key in keys(LocalStore(tmp_path))] == ["_open.json"]
    assert issubclass(OutOfSpace, StoreError)


def test_an_overtaken_run_wakes_late(s3_store: ObjectStore) -> None:
    """A run that stood still while another of its pipeline committed can neither commit nor harm, even on S3."""
    destination = DatasetDestination(s3_store, "lake")
    with destination.begin("p", ORDERS, Mode.REPLACE) as late:
        loaded(destination, some(1))
        receipts = written(late, some(66))
        with pytest.raises(Overtaken):
            late.commit(receipts, None)
    loaded(destination, some(2))
    assert taken(DatasetSource(s3_store, "lake"))[0] == [1, 2]
    assert leftovers(s3_store) == []
