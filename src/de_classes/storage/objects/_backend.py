"""What a store needs of the thing that holds its objects, and the file objects that stream to and from it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from types import TracebackType
    from typing import BinaryIO

    from typing_extensions import Buffer

__all__ = ["Backend", "ObjectInfo", "ObjectWriter", "Sink"]


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store knows of an object without reading it."""

    key: str
    size: int
    etag: str | None
    """Names this version of the object, for `if_match`. Opaque."""
    modified: datetime | None
    """When it was written, with a zone; None straight after a put to a store whose answer does not say."""


class Backend(Protocol):
    """Where objects rest. Keys are checked already; what goes wrong is raised as a StoreError."""

    def put(self, key: str, data: memoryview, *, create_only: bool, if_match: str | None) -> ObjectInfo: ...
    def get(self, key: str) -> bytes: ...
    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]: ...
    def head(self, key: str) -> ObjectInfo: ...
    def list(self, prefix: str, after: str) -> Iterator[ObjectInfo]: ...
    def folders(self, prefix: str) -> Sequence[str]: ...
    def delete(self, keys: Sequence[str]) -> None: ...
    def sink(self, key: str, expected_bytes: int) -> Sink: ...
    def reader(self, key: str, size: int | None) -> BinaryIO: ...
    def sweep(self, prefix: str) -> int: ...


class Sink(Protocol):
    """One object on its way into a store; nobody sees it before `finish` returns."""

    def write(self, data: memoryview) -> None: ...
    def finish(self) -> ObjectInfo: ...
    def abort(self) -> None: ...


class ObjectWriter(io.RawIOBase):
    """A binary file that becomes an object when it is closed, and never a part of one.

    Leaving its `with` by an exception, `abort()`, and forgetting the file all leave nothing behind.
    """

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink: Sink | None = sink
        self._written = 0
        self._info: ObjectInfo | None = None

    @property
    def info(self) -> ObjectInfo:
        """What was written, once the file is closed."""
        if self._info is None:
            raise ValueError("the object is not written: close the file first")
        return self._info

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._written

    def write(self, data: Buffer, /) -> int:
        """Take all of `data`; it may be reused as soon as this returns."""
        if self._sink is None:
            raise ValueError("the file is closed")
        view = memoryview(data).cast("B")
        self._sink.write(view)
        self._written += view.nbytes
        return view.nbytes

    def close(self) -> None:
        """Make the object visible."""
        sink, self._sink = self._sink, None
        try:
            if sink is not None:
                self._info = sink.finish()
        except BaseException:
            if sink is not None:
                sink.abort()
            raise
        finally:
            super().close()

    def abort(self) -> None:
        """Give up: what was written is removed. Does nothing to a file that is closed."""
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.abort()
        super().close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def __del__(self) -> None:
        # The base class would close, which here means to publish.
        if getattr(self, "_sink", None) is not None:
            self.abort()
