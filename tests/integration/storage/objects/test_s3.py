from __future__ import annotations

import os
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from de_classes.errors import (
    AccessDenied,
    BucketNotFound,
    ObjectExists,
    ObjectNotFound,
    StoreError,
    StoreUnreachable,
    UnsafeStore,
)
from de_classes.storage.objects import MinioStore, ObjectInfo, ObjectStore, open_store
from de_classes.storage.objects._remote import MOST_PARTS, PART_BYTES, part_bytes
from de_classes.storage.objects.probe import probe
from tests.unit.storage.objects.verbs import StoreVerbs, keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from de_classes.testing.s3 import S3Server


class TestS3Store(StoreVerbs):
    @pytest.fixture
    def store(self, s3_store: ObjectStore) -> ObjectStore:
        return s3_store


class TestS3StoreBelowAPrefix(StoreVerbs):
    @pytest.fixture
    def store(self, s3_server: S3Server, s3_store: ObjectStore) -> ObjectStore:
        bucket = s3_store.url.removeprefix("s3://")
        s3_store.put("beside", b"x")
        return s3_server.store(bucket, prefix="some/where")


def bucket_of(store: ObjectStore) -> str:
    return store.url.removeprefix("s3://")


@pytest.mark.parametrize("key", ["a b/ü", "a#b", "a%20b", "a*b", "a~[x]", "a?b=c&d", "a:b", "a+b", "a'(b)!$@,;|<>^`{}"])
def test_keys_travel_over_http(s3_store: ObjectStore, key: str) -> None:
    """Characters that mean something in URLs, and in signatures, are part of the key."""
    s3_store.put(key, key.encode())
    assert s3_store.get(key) == key.encode()
    assert keys(s3_store) == [key]
    s3_store.delete(key)
    assert keys(s3_store) == []


VERBS: list[Callable[[ObjectStore], object]] = [
    lambda store: store.get("a"),
    lambda store: store.head("a"),
    lambda store: store.put("a", b"x"),
    lambda store: store.put("a", b"x", create_only=True),
    lambda store: store.get_range("a", 0, 1),
    lambda store: list(store.list("a")),
    lambda store: store.folders(),
    lambda store: store.delete("a"),
    lambda store: store.open_writer("a").close(),
    lambda store: store.open_reader("a"),
]


@pytest.mark.parametrize("wrong", [{"secret_access_key": "hush-hush"}, {"access_key_id": "somebody"}])
def test_wrong_credentials_are_denied(s3_server: S3Server, s3_store: ObjectStore, wrong: dict[str, str]) -> None:
    """Every verb says AccessDenied, without the secret and without a library's dump."""
    s3_store.put("a", b"x")
    for verb in VERBS:
        with pytest.raises(AccessDenied, match="credentials") as caught:
            verb(s3_server.store(bucket_of(s3_store), **wrong))
        assert "hush-hush" not in str(caught.value)
        assert "Debug source" not in str(caught.value)
        assert "127.0.0.1" not in caught.value.fact


def test_no_bucket_is_told_by_every_verb(s3_server: S3Server) -> None:
    """A bucket that is not there is BucketNotFound, also where the answer has no body."""
    for verb in VERBS:
        missing = MinioStore("missing", s3_server.endpoint, s3_server.access_key_id, s3_server.secret_access_key)
        with pytest.raises(BucketNotFound, match="s3://missing"):
            verb(missing)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "http://no-such-host.invalid"])
def test_no_host_is_told_within_seconds(endpoint: str) -> None:
    """A wrong address fails soon, and says so."""
    store = MinioStore("lake", endpoint, "key", "secret")
    began = time.monotonic()
    with pytest.raises(StoreUnreachable, match=r"cannot be reached at http://.*no connection"):
        store.get("a")
    assert time.monotonic() - began < 8


def test_a_hiccup_is_survived(s3_server: S3Server, s3_store: ObjectStore) -> None:
    """Errors of the server and lost answers are tried again without anyone noticing."""
    s3_store.put("a", b"1")
    left = [s3_server.failing("GET", bucket_of(s3_store), 503, times=2), s3_server.losing_answers("PUT", "hiccup")]
    assert s3_store.get("a") == b"1"
    s3_store.put("hiccup", b"2")
    assert [still() for still in left] == [0, 0]
    assert s3_store.get("hiccup") == b"2"


def test_a_server_that_stays_broken_is_told(s3_server: S3Server, s3_store: ObjectStore) -> None:
    """When patience ends, the error names the object and what the server said."""
    store = s3_server.store(bucket_of(s3_store), patience_seconds=0.5)
    s3_server.failing("GET", "/broken", 503, times=100)
    with pytest.raises(StoreError, match="broken: the store says: SlowDown"):
        store.get("broken")


def test_a_lost_answer_to_a_create_only_put_says_that_it_exists(s3_server: S3Server, s3_store: ObjectStore) -> None:
    """The put is tried again on the way and meets itself: who depends on it has to look."""
    s3_server.losing_answers("PUT", "/lost")
    with pytest.raises(ObjectExists):
        s3_store.put("lost", b"1", create_only=True)
    assert s3_store.get("lost") == b"1"


def test_large_objects_go_up_and_down_in_parts(s3_server: S3Server, s3_store: ObjectStore) -> None:
    """An object of several parts is written by a stream, and read back whole, in ranges and as a file."""
    data = os.urandom(2 * PART_BYTES + 12_345)
    began = len(s3_server.requests)
    with s3_store.open_writer("big") as file:
        for start in range(0, len(data), 1_000_000):
            file.write(data[start : start + 1_000_000])
    sent = [path for method, path in s3_server.requests[began:] if method == "PUT"]
    assert len([path for path in sent if "partNumber" in path]) == 3
    assert file.info == ObjectInfo("big", len(data), s3_store.head("big").etag, None)
    assert s3_store.get("big") == data
    with s3_store.open_reader("big") as reader:
        assert b"".join(iter(lambda: reader.read(700_001), b"")) == data
    with pa.PythonFile(s3_store.open_reader("big"), mode="r") as native:
        assert native.read_at(10, PART_BYTES - 5) == data[PART_BYTES - 5 : PART_BYTES + 5]
    assert s3_server.unfinished_uploads(bucket_of(s3_store)) == []


def test_small_objects_take_one_request(s3_server: S3Server, s3_store: ObjectStore) -> None:
    """What fits into one part is put at once when the writer is closed."""
    began = len(s3_server.requests)
    with s3_store.open_writer("small") as file:
        file.write(b"1" * 1000)
    assert [method for method, _ in s3_server.requests[began:]] == ["PUT"]


def test_reading_in_sequence_reads_ahead(s3_server: S3Server, s3_store: ObjectStore) -> None:
    """Many small reads become few requests, and each looks further ahead."""
    s3_store.put("long", bytes(4 << 20))
    began = len(s3_server.requests)
    with s3_store.open_reader("long", size=4 << 20) as reader:
        while reader.read(4096):
            pass
    assert len(s3_server.requests) - began <= 8


@pytest.mark.parametrize("how", ["raises", "aborted", "refused"])
def test_a_failed_upload_takes_its_parts_back(s3_server: S3Server, s3_store: ObjectStore, how: str) -> None:
    """Neither an object nor an unfinished upload stays, whether the writer or the server gave up."""
    piece = bytes(PART_BYTES + 1)
    if how == "refused":
        s3_server.failing("PUT", "partNumber=2", 403)
    expected = AccessDenied if how == "refused" else ZeroDivisionError

    def upload() -> None:
        with s3_store.open_writer("big") as file:
            for _ in range(3):
                file.write(piece)
            if how == "aborted":
                file.abort()
            if how != "refused":
                raise ZeroDivisionError

    with pytest.raises(expected):
        upload()
    assert keys(s3_store) == []
    assert s3_server.unfinished_uploads(bucket_of(s3_store)) == []


def test_parts_grow_with_the_object() -> None:
    """The parts of an object of any size that S3 takes are no more than S3 allows."""
    for size in (0, PART_BYTES, 10**9, 10**11, 5 * 2**40):
        assert size <= part_bytes(size) * MOST_PARTS
        assert part_bytes(size) >= PART_BYTES
    assert part_bytes(10**10) == PART_BYTES


def test_an_object_that_outgrows_its_parts_is_refused_in_time(
    s3_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that was not told how large the object becomes says so before the store does."""
    monkeypatch.setattr("de_classes.storage.objects._remote.MOST_PARTS", 0)
    with pytest.raises(StoreError, match=r"parts.*\n.*expected_bytes"), s3_store.open_writer("huge") as file:
        file.write(b"x")
    assert keys(s3_store) == []


def test_a_store_that_pretends_is_refused(s3_server: S3Server, s3_store: ObjectStore) -> None:
    """Ignoring If-None-Match is seen at once and named with the remedy; the probe cleans up."""
    with s3_server.ignoring_conditions(), pytest.raises(UnsafeStore, match="ignores If-None-Match"):
        probe(s3_store)
    assert keys(s3_store) == []
    assert probe(s3_store).create_only


def test_a_store_without_conditions_is_refused(s3_server: S3Server, s3_store: ObjectStore) -> None:
    """A server that answers conditional puts with 501 is no store to commit to."""
    s3_server.failing("PUT", "_probe", 501, times=100)
    with pytest.raises(UnsafeStore):
        probe(s3_server.store(bucket_of(s3_store), patience_seconds=0.5))


def test_the_probe_survives_a_lost_answer(s3_server: S3Server, s3_store: ObjectStore) -> None:
    """A probe whose first answer is lost is not taken in by its own object."""
    s3_server.losing_answers("PUT", "_probe")
    assert probe(s3_store).create_only
    assert keys(s3_store) == []


def test_stores_pickle_and_are_shared_by_threads(s3_store: ObjectStore) -> None:
    """A copy sees the same bucket, and many threads may use one store."""
    copy = pickle.loads(pickle.dumps(s3_store))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: copy.put(f"{n:02}", b"x"), range(20)))
    assert keys(s3_store) == [f"{n:02}" for n in range(20)]


def test_more_objects_than_a_page_are_listed_and_deleted(s3_store: ObjectStore) -> None:
    """Listing and deleting go on behind the thousand that one request handles."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: s3_store.put(f"many/{n:04}", b""), range(1_050)))
    assert len(keys(s3_store, "many")) == 1_050
    s3_store.delete(*[f"many/{n:04}" for n in range(1_050)])
    assert keys(s3_store) == []


def test_a_url_and_the_environment_are_enough(
    s3_server: S3Server, s3_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The usual variables open the store that a URL names; a token of other keys does not get in the way."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_access_key)
    s3_store.put("a/b", b"x")
    assert open_store(f"{s3_store.url}/a").get("b") == b"x"
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of somebody else")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert s3_server.store(bucket_of(s3_store)).get("a/b") == b"x"
    with pytest.raises(ObjectNotFound):
        s3_server.store(bucket_of(s3_store)).get("c")
