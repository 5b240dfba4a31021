"""What datasets promise on every store, as tests to inherit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Mode, Position, Receipt, Stream
from de_classes.errors import ConfigurationError, CountMismatch, DatasetError, Overtaken, SchemaMismatch
from de_classes.storage.objects import Dataset, DatasetDestination, DatasetLoad, DatasetSource, Vacuumed
from de_classes.utils.quarantine import REJECTED
from tests.unit.storage.objects.verbs import keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from de_classes.storage.objects import ObjectStore

ORDERS = Stream("orders", ("id",))


def some(*ids: int) -> pa.RecordBatch:
    return pa.record_batch({"id": pa.array(ids, pa.int64()), "name": [f"order {n}" for n in ids]})


def written(load: DatasetLoad, *pieces: pa.RecordBatch, named: str = "split") -> list[Receipt]:
    return [load.write(f"{named}-{n}", iter([Batch(piece)])) for n, piece in enumerate(pieces)]


def loaded(
    destination: DatasetDestination,
    *pieces: pa.RecordBatch,
    mode: Mode = Mode.APPEND,
    pipeline: str = "p",
    position: Position | None = None,
) -> None:
    with destination.begin(pipeline, ORDERS, mode) as load:
        load.commit(written(load, *pieces), position)


def taken(source: DatasetSource, since: Position | None = None) -> tuple[list[int], Position | None]:
    with source.plan(ORDERS, since) as plan:
        rows = [n for split in plan.splits for batch in split.read() for n in batch.records["id"].to_pylist()]
        return rows, plan.position


def leftovers(store: ObjectStore) -> Sequence[str]:
    """What is in the dataset and neither a commit nor listed by one."""
    log = Dataset(store, "lake/orders").log
    newest = log.newest()
    entries = log.between(1, newest.number if newest else 0)
    kept = {f"lake/orders/{file.key}" for entry in entries for file in (*entry.files, *entry.rejected)}
    return [key for key in keys(store) if key not in kept and not key.startswith("lake/orders/_commits/")]


def rejected_of(dataset: Dataset) -> pa.Table:
    batches = dataset.rejected() if dataset.log.newest() is not None else []
    return pa.Table.from_batches(batches, REJECTED)


def data_files(store: ObjectStore) -> Sequence[str]:
    return [key for key in keys(store) if key.startswith("lake/orders/data/")]


class DatasetBehaviour:
    @pytest.fixture
    def store(self) -> ObjectStore:
        raise NotImplementedError

    @pytest.fixture
    def destination(self, store: ObjectStore) -> DatasetDestination:
        return DatasetDestination(store, "lake")

    @pytest.fixture
    def source(self, store: ObjectStore) -> DatasetSource:
        return DatasetSource(store, "lake")

    def test_only_what_is_new_is_read(self, destination: DatasetDestination, source: DatasetSource) -> None:
        """From the position of one plan, the next gives exactly what was committed since, in order."""
        loaded(destination, some(1, 2), some(3))
        rows, reached = taken(source)
        assert rows == [1, 2, 3]
        assert taken(source, reached) == ([], reached)
        loaded(destination, some(4))
        loaded(destination, some(5), pipeline="another")
        assert taken(source, reached)[0] == [4, 5]
        assert taken(source)[0] == [1, 2, 3, 4, 5]

    def test_after_a_replacement_the_whole_state_is_new(
        self, destination: DatasetDestination, source: DatasetSource
    ) -> None:
        """One who had read what was replaced is given the new state whole, with what was appended since."""
        loaded(destination, some(1, 2))
        _, before = taken(source)
        loaded(destination, some(7), mode=Mode.REPLACE)
        _, between = taken(source)
        loaded(destination, some(8))
        assert taken(source, before)[0] == [7, 8]
        assert taken(source, between)[0] == [8]
        for since, anew in ((None, False), (before, True), (between, False)):
            with source.plan(ORDERS, since) as plan:
                assert plan.anew is anew
        assert taken(source)[0] == [7, 8]

    def test_a_dataset_made_anew_is_read_whole(
        self, store: ObjectStore, destination: DatasetDestination, source: DatasetSource
    ) -> None:
        """A position of a dataset that was removed and made again does not skip the new one's commits."""
        loaded(destination, some(1))
        loaded(destination, some(2))
        _, reached = taken(source)
        store.delete(*keys(store))
        for n in (10, 11, 12):
            loaded(destination, some(n))
        assert taken(source, reached)[0] == [10, 11, 12]

    def test_a_reader_of_the_old_state_is_not_disturbed(
        self, destination: DatasetDestination, source: DatasetSource
    ) -> None:
        """A plan made before a replacement can still be read after it."""
        loaded(destination, some(1, 2))
        with source.plan(ORDERS, None) as plan:
            loaded(destination, some(7), mode=Mode.REPLACE)
            assert [batch.records.num_rows for split in plan.splits for batch in split.read()] == [2]

    def test_what_was_replaced_goes_in_time(
        self, store: ObjectStore, destination: DatasetDestination, source: DatasetSource
    ) -> None:
        """Files that a replacement dropped stay as long as the destination was told, and then no longer."""
        loaded(destination, some(1, 2))
        loaded(destination, some(3), mode=Mode.REPLACE)
        assert len(data_files(store)) == 2
        with destination.begin("another", ORDERS, Mode.APPEND) as under_way:
            receipts = written(under_way, some(5))
            loaded(DatasetDestination(store, "lake", keep_replaced_seconds=0), some(4), mode=Mode.REPLACE)
            assert len(data_files(store)) == 2
            under_way.commit(receipts, None)
        assert sorted(taken(source)[0]) == [4, 5]
        assert Dataset(store, "lake/orders").vacuum() == Vacuumed(0, 0)

    def test_vacuum_spares_what_was_the_state_lately(
        self, store: ObjectStore, destination: DatasetDestination, source: DatasetSource
    ) -> None:
        """What several replacements have dropped in the time that is kept stays, and all of it goes at once after."""
        for n in range(3):
            loaded(destination, some(n), mode=Mode.REPLACE)
            loaded(destination, some(n + 10))
        dataset = Dataset(store, "lake/orders")
        assert dataset.vacuum(60) == Vacuumed(0, 0)
        assert dataset.vacuum(0).files == 4
        assert taken(source)[0] == [2, 12]
        assert len(data_files(store)) == 2

    def test_columns_are_known_by_name(
        self, store: ObjectStore, destination: DatasetDestination, source: DatasetSource
    ) -> None:
        """Files whose columns stand in another order are read in the dataset's; metadata is the first one's."""
        loaded(destination, some(1))
        loaded(destination, some(2).select(["name", "id"]))
        (stream,) = source.streams()
        assert (stream.name, stream.primary_key) == ("orders", ("id",))
        assert stream.schema is not None
        assert stream.schema.names == ["id", "name"]
        table = pa.table(Dataset(store, "lake/orders"))
        assert table.to_pylist() == [{"id": 1, "name": "order 1"}, {"id": 2, "name": "order 2"}]

    def test_a_null_where_there_was_none_relaxes_the_column(
        self, store: ObjectStore, destination: DatasetDestination
    ) -> None:
        """Rows of a nullable column may follow those of one that is not; older files stay readable."""
        strict = pa.schema([pa.field("id", pa.int64(), nullable=False)])
        loaded(destination, pa.record_batch([pa.array([1])], schema=strict))
        loaded(destination, pa.record_batch({"id": pa.array([None], pa.int64())}))
        assert pa.table(Dataset(store, "lake/orders"))["id"].to_pylist() == [1, None]

    def test_null_structs_with_required_fields_are_kept(
        self, store: ObjectStore, destination: DatasetDestination
    ) -> None:
        """A struct that is null holds no values, whatever its fields must not be."""
        kind = pa.struct([pa.field("street", pa.string(), nullable=False)])
        batch = pa.record_batch({"id": [1, 2], "address": pa.array([{"street": "High"}, None], kind)})
        loaded(destination, batch)
        assert pa.table(Dataset(store, "lake/orders")).to_pylist() == batch.to_pylist()

    def test_other_columns_fail_before_they_are_written(
        self, store: ObjectStore, destination: DatasetDestination
    ) -> None:
        """A mismatch is seen with the first batch, not after hours; replacing may change the columns."""
        loaded(destination, some(1))
        other = pa.record_batch({"key": ["a"]})

        def endless() -> Iterator[Batch]:
            while True:
                yield Batch(other)

        with destination.begin("p", ORDERS, Mode.APPEND) as load, pytest.raises(SchemaMismatch, match="key"):
            load.write("split", endless())
        loaded(destination, other, mode=Mode.REPLACE)
        assert pa.table(Dataset(store, "lake/orders")).to_pylist() == [{"key": "a"}]

    def test_splits_of_one_load_must_agree(self, destination: DatasetDestination) -> None:
        """Two splits with different columns are not committed together."""
        with destination.begin("p", ORDERS, Mode.APPEND) as load:
            receipts = written(load, some(1), pa.record_batch({"id": ["one"], "name": ["x"]}))
            with pytest.raises(SchemaMismatch, match="id is string, not int64"):
                load.commit(receipts, None)

    def test_merging_is_refused_with_the_remedy(self, destination: DatasetDestination) -> None:
        """Files cannot merge, and the message says what to do instead."""
        with pytest.raises(ConfigurationError, match="PostgreSQL"), destination.begin("p", ORDERS, Mode.MERGE):
            pass

    def test_a_dataset_that_is_not_there_is_told(self, destination: DatasetDestination, source: DatasetSource) -> None:
        """Planning a stream without a dataset names those that there are."""
        loaded(destination, some(1))
        with pytest.raises(DatasetError, match=r"no dataset here.*\n.*orders"), source.plan(Stream("ordres"), None):
            pass
        for name in ("a/b", "..", ""):
            with pytest.raises(ConfigurationError), source.plan(Stream(name), None):
                pass

    def test_positions_of_something_else_are_refused(
        self, destination: DatasetDestination, source: DatasetSource
    ) -> None:
        """A position that no dataset gave is told, not taken for the beginning."""
        loaded(destination, some(1))
        with pytest.raises(ConfigurationError, match="no position of a dataset"), source.plan(ORDERS, {"page": 3}):
            pass

    def test_interrupted_splits_are_taken_over(self, store: ObjectStore, destination: DatasetDestination) -> None:
        """What was completely written is offered with its receipt as it was, unless its file is not there any more."""
        with destination.begin("p", ORDERS, Mode.APPEND) as load:
            position = {"page": [1, {"ü": None}]}
            first = load.write("first", iter([Batch(some(1, 2), position)]))
            second = load.write("second", iter([Batch(some(3))]))
        (file,) = files_of(second)
        store.delete(f"lake/orders/{file}")
        with destination.begin("p", ORDERS, Mode.APPEND) as load:
            assert dict(load.staged) == {"first": first}
            assert load.staged["first"].schema is not None
            load.commit([load.staged["first"], *written(load, some(4))], {"day": 1})
        assert leftovers(store) == []
        assert pa.table(Dataset(store, "lake/orders"))["id"].to_pylist() == [1, 2, 4]

    def test_a_shortened_file_is_not_taken_over(self, store: ObjectStore, destination: DatasetDestination) -> None:
        """A staged file of another size than the ledger says is written again."""
        with destination.begin("p", ORDERS, Mode.APPEND) as load:
            (receipt,) = written(load, some(1, 2))
        (file,) = files_of(receipt)
        store.put(f"lake/orders/{file}", store.get(f"lake/orders/{file}")[:-1])
        with destination.begin("p", ORDERS, Mode.APPEND) as load:
            assert dict(load.staged) == {}
            with pytest.raises(DatasetError, match="bytes, and"):
                load.commit([receipt], None)
        assert Dataset(store, "lake/orders").log.newest() is None

    def test_a_broken_ledger_is_told(self, store: ObjectStore, destination: DatasetDestination) -> None:
        """A ledger entry that cannot be read names itself and the way out."""
        with destination.begin("p", ORDERS, Mode.APPEND) as load:
            written(load, some(1))
        (entry,) = [key for key in keys(store, "lake/orders/_staged") if "_open" not in key]
        store.put(entry, b"{}")
        with pytest.raises(DatasetError, match="Delete the object"), destination.begin("p", ORDERS, Mode.APPEND):
            pass

    def test_the_next_commit_removes_what_an_overtaken_run_left(
        self, store: ObjectStore, destination: DatasetDestination, source: DatasetSource
    ) -> None:
        """A run that slept through two commits of its pipeline fails, and what it wrote late goes with the next one."""
        with destination.begin("p", ORDERS, Mode.APPEND) as late:
            early = written(late, some(90), named="early")
            loaded(destination, some(1))
            loaded(destination, some(2))
            receipts = written(late, some(91), named="late")
            with pytest.raises(Overtaken, match="'p'"):
                late.commit([*early, *receipts], {"day": 9})
        assert leftovers(store) != []
        loaded(destination, some(3))
        assert leftovers(store) == []
        assert taken(source)[0] == [1, 2, 3]

    def test_other_loads_are_left_alone(
        self, store: ObjectStore, destination: DatasetDestination, source: DatasetSource
    ) -> None:
        """Cleaning up after one pipeline touches neither what another is writing nor what its own next run staged."""
        with destination.begin("another", ORDERS, Mode.APPEND) as other:
            receipts = written(other, some(50, 51))
            loaded(destination, some(1))
            with destination.begin("p", ORDERS, Mode.APPEND) as following:
                mine = written(following, some(2))
                loaded(destination, some(60), pipeline="third")
                other.commit(receipts, None)
                following.commit(mine, None)
        assert taken(source)[0] == [1, 60, 50, 51, 2]
        assert leftovers(store) == []

    def test_leftovers_of_a_commit_that_could_not_clean_are_removed_later(
        self,
        store: ObjectStore,
        destination: DatasetDestination,
        source: DatasetSource,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A run that dies between commit and cleanup leaves its ledger; the next commit removes that, not the files."""
        with destination.begin("p", ORDERS, Mode.APPEND) as load:
            written(load, some(80), named="unused")
            with monkeypatch.context() as patch:
                patch.setattr(DatasetLoad, "_clean", lambda *_: None)  # as if it had died
                load.commit(written(load, some(1)), None)
        assert len(leftovers(store)) == 4
        loaded(destination, some(2))
        assert leftovers(store) == []
        assert taken(source)[0] == [1, 2]

    def test_committing_twice_is_committing_once(self, destination: DatasetDestination, source: DatasetSource) -> None:
        """A caller that did not hear of its own commit may ask again, and it stays one commit."""
        with destination.begin("p", ORDERS, Mode.APPEND) as load:
            receipts = written(load, some(1))
            load.commit(receipts, {"day": 1})
            loaded(destination, some(2), pipeline="another")
            load.commit(receipts, {"day": 1})
            with pytest.raises(Overtaken):
                load.commit(written(load, some(3), named="more"), {"day": 1})
        assert taken(source)[0] == [1, 2]

    def test_receipts_are_checked(self, destination: DatasetDestination) -> None:
        """A receipt given twice, or one of another destination, is refused."""
        with destination.begin("p", ORDERS, Mode.APPEND) as load:
            (receipt,) = written(load, some(1))
            with pytest.raises(CountMismatch, match="twice"):
                load.commit([receipt, receipt], None)
            with pytest.raises(DatasetError, match="not one of ours"):
                load.commit([Receipt("x", 1, 1, None, None, {"table": "staging"})], None)
        assert destination.position("p", ORDERS) is None

    def test_a_loser_that_still_writes_is_told_so(self, destination: DatasetDestination) -> None:
        """When another run commits while a file is being written, the file goes, and Overtaken is what is told."""

        def batches() -> Iterator[Batch]:
            yield Batch(some(1))
            loaded(destination, some(2))

        with destination.begin("p", ORDERS, Mode.APPEND) as load, pytest.raises(Overtaken):
            load.commit([load.write("slow", batches())], None)

    def test_modes_may_be_given_by_name(self, destination: DatasetDestination, source: DatasetSource) -> None:
        """The name of a mode is the mode."""
        loaded(destination, some(1))
        loaded(destination, some(2), mode="replace")  # type: ignore[arg-type]
        assert taken(source)[0] == [2]

    def test_racing_pipelines_all_commit(self, destination: DatasetDestination, source: DatasetSource) -> None:
        """Loads of different pipelines that commit at one instant all count, each once."""
        together = Barrier(4)

        def run(n: int) -> None:
            with destination.begin(f"p{n}", ORDERS, Mode.APPEND) as load:
                receipts = written(load, some(n))
                together.wait()
                load.commit(receipts, {"n": n})

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(run, range(4)))
        assert sorted(taken(source)[0]) == [0, 1, 2, 3]
        assert [destination.position(f"p{n}", ORDERS) for n in range(4)] == [{"n": n} for n in range(4)]

    def test_of_racing_runs_of_one_pipeline_one_commits(
        self, destination: DatasetDestination, source: DatasetSource
    ) -> None:
        """Runs of one pipeline that commit at one instant: one does, the others are overtaken."""
        together = Barrier(4)

        def run(n: int) -> int | None:
            with destination.begin("p", ORDERS, Mode.APPEND) as load:
                together.wait()
                receipts = written(load, some(n), named=f"run {n}")
                together.wait()
                try:
                    load.commit(receipts, {"n": n})
                except Overtaken:
                    return None
                return n

        with ThreadPoolExecutor(4) as pool:
            winners = [n for n in pool.map(run, range(4)) if n is not None]
        assert taken(source)[0] == winners
        assert len(winners) == 1

    def test_split_ids_name_the_content(self, destination: DatasetDestination, store: ObjectStore) -> None:
        """Splits of what was there stay the same when more is committed; each file is in one of them."""
        for n in range(4):
            loaded(destination, some(n))
        fine = DatasetSource(store, "lake", split_bytes=1)
        with fine.plan(ORDERS, None) as plan:
            before = [split.id for split in plan.splits]
        loaded(destination, some(9))
        with fine.plan(ORDERS, None) as plan:
            assert [split.id for split in plan.splits][:4] == before
            assert len({split.id for split in plan.splits}) == 5
        with DatasetSource(store, "lake").plan(ORDERS, None) as plan:
            assert len(plan.splits) == 1

    def test_a_file_with_other_rows_is_not_read(
        self, store: ObjectStore, destination: DatasetDestination, source: DatasetSource
    ) -> None:
        """Somebody put another Parquet file in the place of one that was committed."""
        loaded(destination, some(1, 2))
        loaded(destination, some(3), pipeline="another")
        (two, one) = [f"lake/orders/{file}" for file in all_files(store)]
        store.put(two, store.get(one))
        with pytest.raises((CountMismatch, DatasetError), match="data/"):
            taken(source)
        store.delete(two)
        with pytest.raises(DatasetError, match="the file is gone"):
            taken(source)


def all_files(store: ObjectStore) -> list[str]:
    dataset = Dataset(store, "lake/orders")
    newest = dataset.log.newest()
    assert newest is not None
    return [held.file.key for held in dataset.state(newest).files]


def files_of(receipt: Receipt) -> list[str]:
    files: Any = receipt.details["files"]
    return [file["key"] for file in files]
