from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.contracts import Mode
from de_classes.errors import DatasetError
from de_classes.storage.objects import LocalStore, MemoryStore, ObjectStore
from de_classes.storage.objects.log import Commit, CommitLog, DataFile, Progress, decode, encode
from tests.unit.storage.objects.verbs import keys

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False, metadata={b"de_classes.postgres_type": b"bigint"}),
        pa.field("tags", pa.list_(pa.string())),
    ],
    metadata={b"origin": b"shop"},
)


def commit(number: int, pipeline: str = "p", **other: Any) -> Commit:
    told: dict[str, Any] = {
        "number": number,
        "id": f"id-{pipeline}-{number}",
        "pipeline": pipeline,
        "mode": Mode.APPEND,
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "base": 1,
        "rows": number,
        "schema": SCHEMA,
        "files": (DataFile(f"data/{number}.parquet", 1, 100, 10, "sha256:00"),),
        "rejected": (DataFile(f"_quarantine/{number}.parquet", 2, 200, 20, "sha256:01", columns="sha256:02"),),
        "pipelines": {pipeline: Progress({"at": number}, number, number)},
    }
    return Commit(**{**told, **other})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), st.none() | st.dictionaries(st.text(), json_values, max_size=4), max_size=4))
def test_what_is_written_is_read(positions: dict[str, dict[str, Any] | None]) -> None:
    """Every commit survives its JSON: positions of any pipeline, schema with metadata, files and times."""
    given_one = commit(
        7,
        mode=Mode.REPLACE,
        base=7,
        primary_key=("id",),
        pipelines={name: Progress(position, 3, 5) for name, position in positions.items()},
    )
    back = decode(encode(given_one), "somewhere")
    assert back == given_one
    assert back.schema is not None
    assert back.schema.equals(SCHEMA, check_metadata=True)


def test_a_dataset_may_have_no_columns_yet() -> None:
    """A commit without rows to an empty dataset knows no schema."""
    assert decode(encode(commit(1, schema=None, files=())), "somewhere").schema is None


def test_entries_without_rejected_records_say_nothing_of_them() -> None:
    """An entry is as it was before there was a quarantine, and such entries are read as before."""
    entry = json.loads(encode(commit(1, rejected=())))
    assert "rejected" not in entry
    back = decode(json.dumps(entry).encode(), "somewhere")
    assert (back.rejected, back.rejected_records) == ((), 0)
    assert commit(1).rejected_records == 2


@given(st.binary(max_size=200))
def test_any_bytes_are_an_error_that_names_the_object(data: bytes) -> None:
    """What is no commit is a DatasetError that says where, whatever it is."""
    with pytest.raises(DatasetError, match=r"s3://lake/orders/_commits/1\.json"):
        decode(data, "s3://lake/orders/_commits/1.json")


@pytest.mark.parametrize(
    "change",
    [
        {"format": 4},
        {"number": 0},
        {"base": 99},
        {"id": ""},
        {"schema": "AAAA"},
        {"schema": "%"},
        {"mode": "upsert"},
        {"at": "yesterday"},
        {"rows": "many"},
        {"files": [{"key": "../other.parquet", "rows": 1, "bytes": 1, "memory": 1, "checksum": ""}]},
        {"files": [{"key": "a", "rows": -1, "bytes": 1, "memory": 1, "checksum": ""}]},
        {"rejected": [{"key": "/a", "rows": 1, "bytes": 1, "memory": 1, "checksum": ""}]},
        {"pipelines": {"p": {"position": [], "epoch": 1, "commit": 1}}},
        {"pipelines": {"p": {"position": None, "epoch": 0, "commit": 1}}},
        {"pipelines": {"p": {"position": None, "epoch": 1, "commit": 3}}},
    ],
)
def test_impossible_commits_are_refused(change: dict[str, Any]) -> None:
    """Each field is checked; one that cannot be is told."""
    with pytest.raises(DatasetError, match="no commit"):
        decode(json.dumps({**json.loads(encode(commit(2))), **change}).encode(), "somewhere")


def following(pipeline: str) -> Any:
    def build(newest: Commit | None) -> Commit:
        number = newest.number + 1 if newest else 1
        before = dict(newest.pipelines) if newest else {}
        return commit(number, pipeline, pipelines={**before, pipeline: Progress(None, 1, number)})

    return build


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return LocalStore(tmp_path) if request.param == "local" else MemoryStore()


def test_the_newest_is_found(store: ObjectStore) -> None:
    """The entry with the highest number is the newest, for one who has seen the log before and for one who has not."""
    log = CommitLog(store, "orders")
    assert log.newest() is None
    for n in range(12):
        log.append(following(f"p{n}"))
    newest = log.newest()
    assert newest == CommitLog(store, "orders").newest()
    assert newest is not None
    assert (newest.number, len(newest.pipelines)) == (12, 12)
    assert [entry.number for entry in log.between(3, 5)] == [3, 4, 5]
    assert keys(store, "orders")[0] == "orders/_commits/00000000000000000001.json"


def test_racing_committers_get_a_number_each(store: ObjectStore) -> None:
    """Commits made at one instant all succeed, under consecutive numbers, and none is lost."""
    together = Barrier(6)

    def add(n: int) -> int:
        log = CommitLog(store, "orders")
        together.wait()
        return log.append(following(f"p{n}")).number

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(add, range(6))) == [1, 2, 3, 4, 5, 6]
    newest = CommitLog(store, "orders").newest()
    assert newest is not None
    assert len(newest.pipelines) == 6


def test_a_dataset_that_was_removed_begins_anew(store: ObjectStore) -> None:
    """A log that remembers how long it was notices that it has been removed."""
    log = CommitLog(store, "orders")
    for n in range(3):
        log.append(following(f"p{n}"))
    store.delete(*keys(store))
    assert log.newest() is None
    assert log.append(following("p")).number == 1


def test_a_hole_in_the_log_is_told(store: ObjectStore) -> None:
    """An entry that is missing, or stands under another's number, is an error that names it."""
    log = CommitLog(store, "orders")
    for n in range(3):
        log.append(following(f"p{n}"))
    second = "orders/_commits/00000000000000000002.json"
    store.put(second, encode(commit(1)))
    with pytest.raises(DatasetError, match="says that it is number 1"):
        log.between(1, 3)
    store.delete(second)
    with pytest.raises(DatasetError, match=second):
        log.between(1, 3)


def test_an_epoch_is_found_by_the_commit_that_ended_it(store: ObjectStore) -> None:
    """Walking back from the newest entry finds each commit of one pipeline among those of others."""
    log = CommitLog(store, "orders")
    numbers = []
    for epoch in range(4):
        log.append(following("other"))

        def build(newest: Commit | None, epoch: int = epoch) -> Commit:
            assert newest is not None
            made = commit(newest.number + 1, "p")
            return replace(made, pipelines={**newest.pipelines, "p": Progress(None, epoch + 1, made.number)})

        numbers.append(log.append(build).number)
    found = [log.of_epoch("p", epoch) for epoch in range(4)]
    assert [entry.number if entry else None for entry in found] == numbers
    assert log.of_epoch("p", 4) is None
    assert log.of_epoch("nobody", 0) is None
