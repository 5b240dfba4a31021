"""Objects behind obstore: S3, everything that speaks S3, and memory."""

from __future__ import annotations

import io
import os
import queue
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import obstore

from de_classes.errors import ObjectNotFound, StoreError, StoreUnreachable
from de_classes.storage.objects._backend import ObjectInfo
from de_classes.storage.objects._errors import BeyondEnd, translated
from de_classes.storage.objects._keys import check_key
from de_classes.utils.faults import reach

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from obstore import ObjectMeta
    from obstore.store import ObjectStore as Inner
    from typing_extensions import Buffer

__all__ = ["Remote"]

PART_BYTES = 8 << 20
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
MOST_PARTS = 10_000
_AT_ONCE = 3
_DELETE_AT_ONCE = 1000


class Remote:
    """The backend of a store that obstore speaks to.

    `quick` gives up within seconds and is used until the store has answered for the first time, so that a wrong address
    is told at once; `patient` takes over then and sits out what may be a hiccup.
    """

    def __init__(self, url: str, quick: Inner, patient: Inner, address: str = "") -> None:
        self._url = url
        self._address = address
        self._quick, self._patient = quick, patient
        self._answered = self._found = False

    @property
    def inner(self) -> Inner:
        return self._patient if self._answered else self._quick

    def put(self, key: str, data: memoryview, *, create_only: bool, if_match: str | None) -> ObjectInfo:
        mode: obstore.PutMode = "create" if create_only else "overwrite" if if_match is None else {"e_tag": if_match}
        big = part_bytes(len(data))
        with self.told(key):
            result = obstore.put(
                self.inner,
                key,
                bytes(data),  # obstore keeps what it is given, and the caller may change it
                mode=mode,
                chunk_size=big,
                max_concurrency=_AT_ONCE,
                use_multipart=mode == "overwrite" and len(data) > big,
            )
        return ObjectInfo(key, len(data), result["e_tag"], None)

    def get(self, key: str) -> bytes:
        with self.told(key):
            return obstore.get(self.inner, key).bytes().to_bytes()

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        starts, ends = [start for start, _ in ranges], [end for _, end in ranges]
        with self.told(key):
            if len(ranges) == 1:
                return [obstore.get_range(self.inner, key, start=starts[0], end=ends[0]).to_bytes()]
            return [part.to_bytes() for part in obstore.get_ranges(self.inner, key, starts=starts, ends=ends)]

    def head(self, key: str) -> ObjectInfo:
        try:
            with self.told(key):
                return _info(obstore.head(self.inner, key))
        except ObjectNotFound:
            # The answer to HEAD has no body that could say that it is the bucket that is missing.
            if not self._found:
                next(self.list("", ""), None)
            raise

    def list(self, prefix: str, after: str) -> Iterator[ObjectInfo]:
        with self.told(prefix):
            for chunk in obstore.list(self.inner, prefix or None, offset=after or None, chunk_size=1000):
                yield from map(_info, chunk)

    def folders(self, prefix: str) -> Sequence[str]:
        with self.told(prefix):
            return sorted(obstore.list_with_delimiter(self.inner, prefix or None)["common_prefixes"])

    def delete(self, keys: Sequence[str]) -> None:
        for first in range(0, len(keys), _DELETE_AT_ONCE):
            some = keys[first : first + _DELETE_AT_ONCE]
            try:
                with self.told(some[0]):
                    obstore.delete(self.inner, some)
            except ObjectNotFound:
                # Stores that delete one by one may say so; then the others of this piece are still there.
                if len(some) > 1:
                    for key in some:
                        self.delete([key])

    def sink(self, key: str, expected_bytes: int) -> Multipart:
        return Multipart(self, key, part_bytes(expected_bytes))

    def reader(self, key: str, size: int | None) -> BinaryIO:
        return cast("BinaryIO", Ranges(self, key, self.head(key).size if size is None else size))

    def sweep(self, prefix: str) -> int:
        """Nothing to do: an unfinished upload is no object. A lifecycle rule of the bucket ends what it costs."""
        del prefix
        return 0

    def url(self, key: str) -> str:
        return f"{self._url}/{key}" if key else self._url

    @contextmanager
    def told(self, key: str) -> Iterator[None]:
        try:
            with translated(self.url(key), self._url, self._address):
                yield
        except StoreUnreachable:
            raise
        except StoreError:
            self._answered = True
            raise
        except GeneratorExit:
            raise
        else:
            self._answered = self._found = True


def part_bytes(expected: int) -> int:
    """How large the parts of an upload are: small, unless the object then had more parts than S3 allows."""
    return max(PART_BYTES, -(-expected // (MOST_PARTS - 1)))


def _info(meta: ObjectMeta) -> ObjectInfo:
    return ObjectInfo(meta["path"], meta["size"], meta["e_tag"], meta["last_modified"])


class _GivenUp(Exception):  # noqa: N818 -- no failure: it tells the upload to take back its parts
    pass


class Multipart:
    """An object on its way up: one request while it is small, parts sent from another thread when it is not.

    Only an upload that is fed from an iterator takes its parts back when the iterator raises; hence the thread.
    """

    def __init__(self, remote: Remote, key: str, part: int) -> None:
        check_key(key)
        self._remote, self._key, self._part = remote, key, part
        self._buffer = bytearray()
        self._written = 0
        self._parts: queue.Queue[bytes | _GivenUp | None] = queue.Queue(maxsize=1)
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._told_to_end = False
        self._etag: str | None = None

    def write(self, data: memoryview) -> None:
        self._written += len(data)
        if self._written > self._part * MOST_PARTS:
            raise StoreError(
                self._remote.url(self._key),
                f"the object grows beyond {MOST_PARTS} parts of {self._part} bytes, and S3 allows no more",
                "Say how large it may become: open_writer(key, expected_bytes=...).",
            )
        self._buffer += data
        while len(self._buffer) >= self._part:
            self._send(bytes(self._buffer[: self._part]))
            del self._buffer[: self._part]

    def finish(self) -> ObjectInfo:
        if self._thread is None:
            with memoryview(self._buffer) as view:
                return self._remote.put(self._key, view, create_only=False, if_match=None)
        if self._buffer:
            self._send(bytes(self._buffer))
        self._end(None)
        if self._failure is not None:
            raise self._failure
        return ObjectInfo(self._key, self._written, self._etag, None)

    def abort(self) -> None:
        self._buffer.clear()
        self._end(_GivenUp())

    def _send(self, part: bytes) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._upload, name=f"upload {self._key}", daemon=True)
            self._thread.start()
        self._parts.put(part)
        if self._failure is not None:
            raise self._failure

    def _end(self, word: _GivenUp | None) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._parts.put(word)
            thread.join()

    def _upload(self) -> None:
        feed = self._feed()
        try:
            with self._remote.told(self._key):
                result = obstore.put(
                    self._remote.inner, self._key, feed, chunk_size=self._part, max_concurrency=_AT_ONCE
                )
            self._etag = result["e_tag"]
            reach("s3.upload.after_completion")
        except _GivenUp:
            return
        except BaseException as error:  # noqa: BLE001 -- handed to the thread that writes
            self._failure = error
            # The other thread may be waiting to hand over a part, and will end with a word unless it has.
            while not self._told_to_end:
                self._told_to_end = not isinstance(self._parts.get(), bytes)

    def _feed(self) -> Iterator[bytes]:
        while True:
            part = self._parts.get()
            if isinstance(part, bytes):
                reach("s3.upload.part")
                yield part
                continue
            self._told_to_end = True
            if part is not None:
                raise part
            reach("s3.upload.before_completion")
            return


class Ranges(io.RawIOBase):
    """A remote object as a file that can be read anywhere: reads in sequence are read ahead, others are exact."""

    _FIRST = 64 << 10
    _MOST = 8 << 20

    def __init__(self, remote: Remote, key: str, size: int) -> None:
        super().__init__()
        self._remote, self._key, self._size = remote, key, size
        self._at = 0
        self._window = b""
        self._window_at = 0
        self._ahead = self._FIRST

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def size(self) -> int:
        """Length of the object in bytes; pyarrow asks."""
        return self._size

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"cannot seek to {start + offset}, before the object begins")
        self._at = start + offset
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        end = self._size if size is None or size < 0 else min(self._at + size, self._size)
        if end <= self._at:
            return b""
        offset = self._at - self._window_at
        if not 0 <= offset <= end - self._window_at <= len(self._window):
            self._fill(end)
            offset = 0
        data = self._window[offset : offset + end - self._at]
        if len(data) != end - self._at:
            raise BeyondEnd(self._remote.url(self._key), "the object is shorter than it should be", "Open it again.")
        self._at = end
        return data

    def readall(self) -> bytes:
        return self.read(-1)

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def _fill(self, end: int) -> None:
        # One who reads on from inside or the end of the window reads in sequence: look further ahead each time.
        in_sequence = self._window_at <= self._at <= self._window_at + len(self._window) and self._at > 0
        self._ahead = min(self._ahead * 2, self._MOST) if in_sequence else self._FIRST
        stop = min(max(end, self._at + self._ahead), self._size)
        (self._window,) = self._remote.get_ranges(self._key, [(self._at, stop)])
        self._window_at = self._at
