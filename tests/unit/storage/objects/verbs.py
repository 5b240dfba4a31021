"""What every store promises, as tests to inherit."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from de_classes.errors import ConfigurationError, ObjectExists, ObjectNotFound, PreconditionFailed, StoreError
from de_classes.storage.objects.probe import probe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from de_classes.storage.objects import ObjectStore


def keys(store: ObjectStore, prefix: str = "", after: str = "") -> Sequence[str]:
    return [info.key for info in store.list(prefix, after=after)]


class StoreVerbs:
    @pytest.fixture
    def store(self) -> ObjectStore:
        raise NotImplementedError

    def test_what_is_put_is_got(self, store: ObjectStore) -> None:
        """Bytes come back as they were, whole and in part, and so does what is known of them."""
        info = store.put("a/b", bytearray(b"hello"))
        assert (info.key, info.size) == ("a/b", 5)
        assert store.get("a/b") == b"hello"
        assert store.get_range("a/b", 1, 3) == b"el"
        assert store.get_range("a/b", 3, 99) == b"lo"
        assert store.get_ranges("a/b", [(0, 1), (4, 5)]) == [b"h", b"o"]
        head = store.head("a/b")
        assert (head.key, head.size, head.etag) == ("a/b", 5, info.etag)
        assert head.modified is not None
        assert head.modified.tzinfo is not None

    def test_an_empty_object_is_an_object(self, store: ObjectStore) -> None:
        """No bytes are a content too, put or written."""
        store.put("put", b"")
        store.open_writer("written").close()
        assert (store.get("put"), store.get("written"), keys(store)) == (b"", b"", ["put", "written"])

    def test_what_is_not_there_is_told(self, store: ObjectStore) -> None:
        """Reading an object that is not there says which, without a library's dump."""
        store.put("there", b"x")
        for key in ("absent", "absent/deep"):
            for read in (store.get, store.head, lambda key: store.open_reader(key).read()):
                with pytest.raises(ObjectNotFound, match=key) as caught:
                    read(key)
                assert "Debug source" not in str(caught.value)
                assert len(str(caught.value)) < 300

    def test_ranges_behind_the_end_are_errors(self, store: ObjectStore) -> None:
        """A range that begins after the end is no empty answer, and an empty range is a mistake."""
        store.put("a", b"12345")
        with pytest.raises(StoreError, match="behind the object's end"):
            store.get_range("a", 7, 9)
        with pytest.raises(ConfigurationError, match="no ranges"):
            store.get_range("a", 3, 3)

    def test_create_only_never_overwrites(self, store: ObjectStore) -> None:
        """The second create-only put fails and changes nothing."""
        store.put("a", b"1", create_only=True)
        with pytest.raises(ObjectExists, match="a"):
            store.put("a", b"2", create_only=True)
        assert store.get("a") == b"1"

    def test_if_match_holds(self, store: ObjectStore) -> None:
        """A put with an etag succeeds on that version only, and not on what is not there."""
        first = store.put("a", b"1")
        assert first.etag is not None
        second = store.put("a", b"2", if_match=first.etag)
        assert second.etag != first.etag
        with pytest.raises(PreconditionFailed):
            store.put("a", b"3", if_match=first.etag)
        assert store.get("a") == b"2"
        with pytest.raises((PreconditionFailed, ObjectNotFound)):
            store.put("b", b"3", if_match=first.etag)
        with pytest.raises(ConfigurationError):
            store.put("a", b"3", if_match=first.etag, create_only=True)

    def test_of_many_creators_one_wins(self, store: ObjectStore) -> None:
        """Threads that create one key at one instant: one succeeds, and it is its bytes that are there."""
        together = Barrier(6)

        def create(n: int) -> int | None:
            together.wait()
            try:
                store.put("a", str(n).encode(), create_only=True)
            except ObjectExists:
                return None
            return n

        with ThreadPoolExecutor(6) as pool:
            winners = [n for n in pool.map(create, range(6)) if n is not None]
        assert [store.get("a")] == [str(n).encode() for n in winners]

    def test_of_many_updaters_one_wins(self, store: ObjectStore) -> None:
        """Threads that update one version at one instant: one succeeds."""
        together, etag = Barrier(4), store.put("a", b"first").etag

        def update(n: int) -> int:
            together.wait()
            try:
                store.put("a", str(n).encode(), if_match=etag)
            except PreconditionFailed:
                return 0
            return 1

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(update, range(4))) == 1

    def test_listing_takes_folders(self, store: ObjectStore) -> None:
        """A prefix is a folder, keys come in order, and `after` skips what is before."""
        for key in ("a/1", "a/2", "a/b/3", "ab/4", "c"):
            store.put(key, b"x")
        assert keys(store) == ["a/1", "a/2", "a/b/3", "ab/4", "c"]
        assert keys(store, "a") == ["a/1", "a/2", "a/b/3"]
        assert keys(store, "a", after="a/1") == ["a/2", "a/b/3"]
        assert keys(store, "", after="a/b/3") == ["ab/4", "c"]
        assert keys(store, "nothing") == []
        assert (list(store.folders()), list(store.folders("a")), list(store.folders("c"))) == (["a", "ab"], ["a/b"], [])

    def test_deleting_is_idempotent(self, store: ObjectStore) -> None:
        """Objects go, others stay, and those that were not there are no error."""
        for key in ("a/1", "a/2", "b"):
            store.put(key, b"x")
        store.delete("a/1", "absent", "a/2")
        store.delete("a/1")
        store.delete()
        assert keys(store) == ["b"]

    def test_a_writer_shows_all_or_nothing(self, store: ObjectStore) -> None:
        """An object appears when its writer is closed, and never when it fails, is aborted or is forgotten."""
        with store.open_writer("a") as file:
            file.write(b"12")
            file.write(memoryview(b"345"))
            assert file.tell() == 5
            assert keys(store) == []
        assert (store.get("a"), file.info.size) == (b"12345", 5)

        def fails() -> None:
            with store.open_writer("b") as file:
                file.write(b"12")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fails()
        aborted = store.open_writer("c")
        aborted.write(b"x")
        aborted.abort()
        aborted.close()
        with pytest.raises(ValueError, match="closed"):
            aborted.write(b"x")
        with pytest.raises(ValueError, match="not written"):
            _ = aborted.info
        forgotten = store.open_writer("d")
        forgotten.write(b"x")
        del forgotten
        assert keys(store) == ["a"]

    def test_a_reader_reads_anywhere(self, store: ObjectStore) -> None:
        """Reading in sequence, in jumps and past the end gives the bytes that a file would give."""
        data = bytes(n % 251 for n in range(300_000))
        store.put("a", data)
        plain = io.BytesIO(data)
        with store.open_reader("a") as file:
            for offset, whence, size in [
                (0, 0, 10),
                (0, 1, 70_000),
                (5, 1, 1),
                (-8, 2, 99),
                (9, 0, 200_000),
                (3, 0, 2),
            ]:
                assert file.seek(offset, whence) == plain.seek(offset, whence)
                assert file.read(size) == plain.read(size)
                assert file.tell() == plain.tell()
            file.seek(0)
            buffer = bytearray(100_000)
            assert file.readinto(buffer) == 100_000  # type: ignore[attr-defined]  # BinaryIO does not name it
            assert bytes(buffer) == data[:100_000]
            assert file.read() == data[100_000:]
            assert file.read(1) == b""

    def test_the_probe_is_content_and_leaves_nothing(self, store: ObjectStore) -> None:
        """A store that keeps to conditions is told to, once, and the probe's object is gone."""
        report = probe(store)
        assert (report.create_only, report.if_match) == (True, True)
        assert probe(store) is report
        assert keys(store) == []

    def test_sweeping_leaves_living_writers_alone(self, store: ObjectStore) -> None:
        """A writer at work is not disturbed by somebody who removes leftovers."""
        with store.open_writer("a/b") as file:
            file.write(b"12")
            assert store.sweep() == 0
            file.write(b"3")
        assert store.get("a/b") == b"123"
