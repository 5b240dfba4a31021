"""What datasets whose columns grow, and that keep what does not fit, promise on every store, as tests to inherit."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Mode, Stream
from de_classes.errors import CountMismatch, DatasetError, SchemaMismatch
from de_classes.storage.objects import Dataset, DatasetDestination, DatasetSource, Vacuumed
from de_classes.utils.quarantine import REJECTED
from de_classes.utils.schemas import is_within_floats, within_floats
from tests.unit.storage.objects.datasets import ORDERS, data_files, leftovers, loaded, rejected_of, some, written
from tests.unit.storage.objects.verbs import keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from de_classes.contracts import Receipt
    from de_classes.storage.objects import DatasetLoad, ObjectStore
    from de_classes.storage.objects.log import Commit

NOTHING = pa.RecordBatch.from_pylist([], schema=pa.schema([]))


def rejects(*records: str) -> pa.RecordBatch:
    rows = [{"record": record, "reason": "is odd", "place": "page 1", "row": n} for n, record in enumerate(records)]
    return pa.RecordBatch.from_pylist(rows, schema=REJECTED)


def reject(load: DatasetLoad, *records: str, named: str = "rejects") -> Receipt:
    return load.write(named, iter([Batch(NOTHING, None, rejects(*records))]))


def newest_of(store: ObjectStore) -> Commit:
    newest = Dataset(store, "lake/orders").log.newest()
    assert newest is not None
    return newest


def rows_of(store: ObjectStore) -> list[dict[str, Any]]:
    return pa.table(Dataset(store, "lake/orders")).to_pylist()


def quarantine_files(store: ObjectStore) -> list[str]:
    return [key for key in keys(store) if key.startswith("lake/orders/_quarantine/")]


class GrowingBehaviour:
    @pytest.fixture
    def store(self) -> ObjectStore:
        raise NotImplementedError

    @pytest.fixture
    def evolving(self, store: ObjectStore) -> DatasetDestination:
        return DatasetDestination(store, "lake", schema_changes="evolve")

    @pytest.fixture
    def source(self, store: ObjectStore) -> DatasetSource:
        return DatasetSource(store, "lake", split_bytes=1)

    def test_all_splits_come_in_the_newest_columns(self, evolving: DatasetDestination, source: DatasetSource) -> None:
        """Files of before and after a growth are read under one schema; a position of before it goes on after it."""
        loaded(evolving, pa.record_batch({"id": pa.array([1], pa.int8())}))
        with source.plan(ORDERS, None) as plan:
            before = plan.position
        loaded(evolving, pa.record_batch({"note": ["gift"], "id": pa.array([2**40])}))
        loaded(evolving, pa.record_batch({"id": pa.array([3], pa.int8())}))
        (stream,) = source.streams()
        assert stream.schema == pa.schema([("id", pa.int64()), ("note", pa.string())])
        with source.plan(ORDERS, None) as plan:
            batches = [batch.records for split in plan.splits for batch in split.read()]
        assert {batch.schema for batch in batches} == {stream.schema}
        assert [row for batch in batches for row in batch.to_pylist()] == [
            {"id": 1, "note": None},
            {"id": 2**40, "note": "gift"},
            {"id": 3, "note": None},
        ]
        with source.plan(ORDERS, before) as plan:
            assert not plan.anew
            assert [batch.records["id"][0].as_py() for split in plan.splits for batch in split.read()] == [2**40, 3]

    def test_split_ids_name_the_columns_once_they_grow(
        self, evolving: DatasetDestination, source: DatasetSource
    ) -> None:
        """Batches of other columns get another id, and what did not grow keeps its own."""

        def ids() -> list[str]:
            with source.plan(ORDERS, None) as plan:
                return [split.id for split in plan.splits]

        required = pa.schema([pa.field("id", pa.int64(), nullable=False)])
        loaded(evolving, pa.record_batch([pa.array([1])], schema=required))
        first = ids()
        loaded(evolving, pa.record_batch({"id": pa.array([None], pa.int64())}))
        relaxed = ids()
        assert relaxed[:1] == first
        loaded(evolving, pa.record_batch({"id": [3], "note": ["gift"]}))
        grown = ids()
        assert not set(grown) & set(relaxed)
        loaded(evolving, pa.record_batch({"id": [4]}))
        assert ids()[:3] == grown
        loaded(evolving, pa.record_batch({"id": [5], "note": ["gift"], "more": [True]}))
        assert not set(ids()) & set(grown)

    def test_an_older_commit_has_the_columns_of_its_time(
        self, store: ObjectStore, evolving: DatasetDestination
    ) -> None:
        """The state as of a commit is read under that commit's schema."""
        loaded(evolving, pa.record_batch({"id": pa.array([1], pa.int8())}))
        loaded(evolving, pa.record_batch({"id": pa.array([2], pa.int8()), "note": ["gift"]}))
        loaded(evolving, pa.record_batch({"id": [2**40], "more": [True]}))
        then = pa.table(Dataset(store, "lake/orders", as_of=2))
        assert then.schema == pa.schema([("id", pa.int8()), ("note", pa.string())])
        assert then.to_pylist() == [{"id": 1, "note": None}, {"id": 2, "note": "gift"}]

    def test_pipelines_that_grow_a_dataset_at_once_both_do(
        self, store: ObjectStore, evolving: DatasetDestination
    ) -> None:
        """Whoever commits second unites with the columns of the first, which it did not know when it began."""
        loaded(evolving, pa.record_batch({"id": pa.array([0], pa.int8())}))
        together = Barrier(2)
        whole = pa.record_batch({"id": pa.array([2**20], pa.int32()), "note": ["gift"]})
        pieces = [whole, pa.record_batch({"id": [0.5], "more": [True]})]

        def run(n: int) -> None:
            with evolving.begin(f"p{n}", ORDERS, Mode.APPEND) as load:
                receipts = written(load, pieces[n])
                together.wait()
                load.commit(receipts, {"n": n})

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(run, range(2)))
        schema = newest_of(store).schema
        assert schema is not None
        assert {field.name: field.type for field in schema} == {
            "id": pa.float64(),
            "note": pa.string(),
            "more": pa.bool_(),
        }
        assert sorted((row["id"], row["note"], row["more"]) for row in rows_of(store)) == [
            (0.0, None, None),
            (0.5, None, True),
            (2**20, "gift", None),
        ]

    def test_of_racing_pipelines_that_cannot_agree_one_commits(
        self, store: ObjectStore, evolving: DatasetDestination
    ) -> None:
        """A column that two bring as different kinds belongs to the first; the other changes nothing."""
        pieces = [pa.record_batch({"note": ["gift"]}), pa.record_batch({"note": [7]})]
        together = Barrier(2)

        def run(n: int) -> int | None:
            with evolving.begin(f"p{n}", ORDERS, Mode.APPEND) as load:
                receipts = written(load, pieces[n])
                together.wait()
                try:
                    load.commit(receipts, {"n": n})
                except SchemaMismatch:
                    return None
            return n

        with ThreadPoolExecutor(2) as pool:
            (winner,) = [n for n in pool.map(run, range(2)) if n is not None]
        assert rows_of(store) == pieces[winner].to_pylist()
        assert newest_of(store).number == 1
        assert evolving.position(f"p{1 - winner}", ORDERS) is None

    @pytest.mark.parametrize(
        "lossy",
        [
            pa.record_batch({"id": ["one"], "name": ["x"]}),
            pa.record_batch({"id": [1.5], "name": ["x"]}),
            pa.record_batch({"id": [1], "name": [True], "more": [1]}),
        ],
        ids=["text", "float", "bool"],
    )
    def test_what_would_lose_values_changes_nothing(
        self, store: ObjectStore, evolving: DatasetDestination, lossy: pa.RecordBatch
    ) -> None:
        """Columns with no type that holds both are refused with the first batch, or when another came first."""
        with evolving.begin("p", ORDERS, Mode.APPEND) as load:
            receipts = written(load, lossy)
            loaded(evolving, some(1), pipeline="another")
            with pytest.raises(SchemaMismatch, match="No type holds both"):
                load.commit(receipts, {"day": 1})
        with evolving.begin("p", ORDERS, Mode.APPEND) as load, pytest.raises(SchemaMismatch, match="No type holds"):
            load.write("split", iter([Batch(lossy), Batch(NOTHING, None, rejects("never reached"))]))
        assert rows_of(store) == some(1).to_pylist()
        assert newest_of(store).number == 1
        assert evolving.position("p", ORDERS) is None

    def test_columns_that_came_empty_become_what_comes(self, store: ObjectStore, evolving: DatasetDestination) -> None:
        """Pages with null, [] and {} only are kept as they are, and fit the values of later ones."""
        empty = {"id": 1, "a": None, "b": [], "c": {}, "d": [{}, None], "e": {"f": {}}, "g": [[], None]}
        nulls = {"id": 2, **dict.fromkeys("abcdeg")}
        first = pa.RecordBatch.from_struct_array(pa.array([empty, nulls]))
        loaded(evolving, first)
        assert newest_of(store).schema == first.schema
        assert rows_of(store) == [empty, nulls]
        full = {"id": 3, "a": 1, "b": ["x"], "c": {"y": 1}, "d": [{"z": [{}]}], "e": {"f": {"w": True}}, "g": [[1.5]]}
        loaded(evolving, pa.RecordBatch.from_struct_array(pa.array([full])))
        loaded(evolving, first.slice(0, 1))
        fitted = {**empty, "c": {"y": None}, "d": [{"z": None}, None], "e": {"f": {"w": None}}}
        assert rows_of(store) == [fitted, nulls, full, fitted]

    def test_marks_hold_as_long_as_they_are_true(self, store: ObjectStore, evolving: DatasetDestination) -> None:
        """Whole numbers that are known to be small stay marked in the log until others come, and grow until then."""
        marked = pa.schema([within_floats(pa.field("n", pa.int64()))])
        small = pa.record_batch([pa.array([2**53])], schema=marked)
        for stream in ("orders", "others"):
            for _ in range(2):
                with evolving.begin("p", Stream(stream), Mode.APPEND) as load:
                    load.commit(written(load, small), None)
        schema = newest_of(store).schema
        assert schema is not None
        assert is_within_floats(schema.field("n"))
        loaded(evolving, pa.record_batch({"n": [0.5]}))
        assert [row["n"] for row in rows_of(store)] == [2.0**53, 2.0**53, 0.5]
        with evolving.begin("p", Stream("others"), Mode.APPEND) as load:
            load.commit(written(load, pa.record_batch({"n": [2**53 + 1]})), None)
        with evolving.begin("p", Stream("others"), Mode.APPEND) as load, pytest.raises(SchemaMismatch):
            written(load, pa.record_batch({"n": [0.5]}))

    def test_what_older_versions_wrote_grows_too(self, store: ObjectStore, evolving: DatasetDestination) -> None:
        """Entries of the log and the ledger from before there were growth and quarantine are read as before."""
        loaded(evolving, some(1))
        with evolving.begin("p", ORDERS, Mode.APPEND) as load:
            written(load, some(2), named="staged")
        for key in keys(store, "lake/orders/_commits") + keys(store, "lake/orders/_staged"):
            entry = json.loads(store.get(key))
            for file in entry.get("files", ()):
                del file["columns"]
            store.put(key, json.dumps(entry).encode())
        with evolving.begin("p", ORDERS, Mode.APPEND) as load:
            pieces = written(load, pa.record_batch({"id": [3], "note": ["gift"]}))
            load.commit([*load.staged.values(), *pieces], None)
        assert [(row["id"], row["note"]) for row in rows_of(store)] == [(1, None), (2, None), (3, "gift")]
        assert rejected_of(Dataset(store, "lake/orders")).num_rows == 0

    def test_replacing_begins_with_the_columns_that_come(
        self, store: ObjectStore, evolving: DatasetDestination
    ) -> None:
        """A replacement has the columns of its own pieces, united, and none of what it drops."""
        loaded(evolving, some(1))
        loaded(evolving, pa.record_batch({"id": ["one"]}), pa.record_batch({"more": [1]}), mode=Mode.REPLACE)
        assert rows_of(store) == [{"id": "one", "more": None}, {"id": None, "more": 1}]

    def test_rows_without_columns_are_refused(self, evolving: DatasetDestination) -> None:
        """Rows of no column cannot be counted in a file, and are not lost in silence."""
        hollow = pa.RecordBatch.from_struct_array(pa.array([{}, {}], pa.struct([])))
        with (
            evolving.begin("p", ORDERS, Mode.APPEND) as load,
            pytest.raises(SchemaMismatch, match="2 rows come without"),
        ):
            written(load, hollow)

    def test_rejected_records_lie_apart(self, store: ObjectStore, evolving: DatasetDestination) -> None:
        """They are in files of their own outside of data/, are no rows of the dataset, and say nothing of columns."""
        with evolving.begin("p", ORDERS, Mode.APPEND) as load:
            load.commit([reject(load, "x")], {"day": 1})
        assert newest_of(store).schema is None
        with evolving.begin("p", ORDERS, Mode.APPEND) as load:
            load.commit([*written(load, some(1, 2)), reject(load, "y", "z")], {"day": 2})
        newest = newest_of(store)
        assert (newest.rows, newest.rejected_records) == (2, 2)
        assert newest.schema == some(1).schema
        assert len(data_files(store)) == 1
        assert len(quarantine_files(store)) == 2
        assert rows_of(store) == some(1, 2).to_pylist()
        assert rejected_of(Dataset(store, "lake/orders"))["record"].to_pylist() == ["x", "y", "z"]

    def test_rejected_records_of_an_aborted_load_are_cleaned(
        self, store: ObjectStore, evolving: DatasetDestination
    ) -> None:
        """What was never committed is not seen, and is gone after the next commit; what others write stays."""
        with evolving.begin("another", ORDERS, Mode.APPEND) as other:
            kept = reject(other, "of another")
            with evolving.begin("p", ORDERS, Mode.APPEND) as load:
                reject(load, "lost")
            assert len(quarantine_files(store)) == 2
            loaded(evolving, some(1))
            other.commit([kept], None)
        assert leftovers(store) == []
        assert rejected_of(Dataset(store, "lake/orders"))["record"].to_pylist() == ["of another"]

    def test_rejected_records_are_taken_over(self, store: ObjectStore, evolving: DatasetDestination) -> None:
        """A split with nothing but rejected records is offered again, unless its file is not there as it was."""
        with evolving.begin("p", ORDERS, Mode.APPEND) as load:
            whole, cut = reject(load, "x", named="whole"), reject(load, "y", named="cut")
        (file,) = rejected_files(cut)
        store.put(f"lake/orders/{file}", store.get(f"lake/orders/{file}")[:-1])
        with evolving.begin("p", ORDERS, Mode.APPEND) as load:
            assert dict(load.staged) == {"whole": whole}
            with pytest.raises(DatasetError, match="bytes, and"):
                load.commit([cut], None)
            load.commit([load.staged["whole"]], {"day": 1})
            load.commit([load.staged["whole"]], {"day": 1})
        assert newest_of(store).rejected_records == 1
        assert leftovers(store) == []

    def test_a_replacement_drops_rejected_records(self, store: ObjectStore, evolving: DatasetDestination) -> None:
        """They go with the rows they came with, and their files when those of the rows do."""
        for mode in (Mode.APPEND, Mode.APPEND, Mode.REPLACE):
            with evolving.begin("p", ORDERS, mode) as load:
                load.commit([*written(load, some(1)), reject(load, str(mode))], None)
        dataset = Dataset(store, "lake/orders")
        assert rejected_of(dataset)["record"].to_pylist() == ["replace"]
        assert dataset.vacuum(60) == Vacuumed(0, 0)
        assert dataset.vacuum(0).files == 4
        assert rejected_of(dataset)["record"].to_pylist() == ["replace"]
        assert (len(data_files(store)), len(quarantine_files(store))) == (1, 1)

    def test_a_split_that_breaks_leaves_no_rejected_records(
        self, store: ObjectStore, evolving: DatasetDestination
    ) -> None:
        """Many of them are written on the way, and removed again when what follows fails."""
        narrow = DatasetDestination(store, "lake", row_group_bytes=1)
        seen: list[int] = []

        def breaks() -> Iterator[Batch]:
            for n in range(3):
                yield Batch(some(n), None, rejects("x" * 100))
            seen.append(len(quarantine_files(store)))
            raise ConnectionResetError

        with narrow.begin("p", ORDERS, Mode.APPEND) as load, pytest.raises(ConnectionResetError):
            load.write("split", breaks())
        assert seen == [3]
        assert quarantine_files(store) == []
        loaded(evolving, some(1))
        assert leftovers(store) == []

    def test_receipts_and_files_must_agree_on_rejected_records(
        self, store: ObjectStore, evolving: DatasetDestination
    ) -> None:
        """A receipt that says another count than its files is not committed; other columns are no rejected records."""
        with evolving.begin("p", ORDERS, Mode.APPEND) as load:
            receipt = reject(load, "x")
            for wrong in (0, 2):
                with pytest.raises(CountMismatch, match="hold 1 rejected"):
                    load.commit([replace(receipt, rejected=wrong)], None)
            with pytest.raises(SchemaMismatch, match="REJECTED"):
                load.write("split", iter([Batch(some(1), None, some(2))]))
        assert Dataset(store, "lake/orders").log.newest() is None


def rejected_files(receipt: Receipt) -> list[str]:
    files: Any = receipt.details["rejected"]
    return [file["key"] for file in files]
