"""Objects as files of a folder.

Written here rather than taken from obstore, whose local store follows symlinks, lets absolute keys through, does not
wait for the disk and cannot put on a condition. An object is a file that was written under a temporary name beside its
place, brought to the disk, and then linked (create-only) or renamed (otherwise) into it: either step is atomic.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
import warnings
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from de_classes.errors import InvalidKey, StoreError
from de_classes.storage.objects._backend import ObjectInfo
from de_classes.storage.objects._errors import (
    beyond_end,
    bucket_missing,
    no_links,
    object_exists,
    object_missing,
    precondition_failed,
    translated,
)
from de_classes.storage.objects._keys import check_key, is_temporary, join
from de_classes.utils.faults import reach

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

__all__ = ["LocalFolder"]

_BUFFER = 1 << 20
_TRIES = 1000
"""Far more than others can remove a folder in the instant between making and using it."""


class LocalFolder:
    """The backend of a local folder."""

    def __init__(self, root: str, *, create: bool) -> None:
        self._root = os.path.realpath(root)
        self._create = create
        if not create and not Path(self._root).is_dir():
            raise bucket_missing(f"file://{self._root}")

    def put(self, key: str, data: memoryview, *, create_only: bool, if_match: str | None) -> ObjectInfo:
        sink = self.sink(key, len(data))
        try:
            sink.write(data)
            return sink.publish(create_only=create_only, if_match=if_match)
        except BaseException:
            sink.abort()
            raise

    def get(self, key: str) -> bytes:
        with self._told(key), self._open(key) as file:
            return file.read()

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        with self._told(key), self._open(key) as file:
            read = [os.pread(file.fileno(), end - start, start) for start, end in ranges]
        if not all(read):
            raise beyond_end(self.url(key))
        return read

    def head(self, key: str) -> ObjectInfo:
        with self._told(key):
            return info_of(key, self._stat(key))

    def list(self, prefix: str, after: str) -> Iterator[ObjectInfo]:
        with self._told(prefix or "."):
            yield from self._below(prefix, after)

    def folders(self, prefix: str) -> Sequence[str]:
        with self._told(prefix or "."):
            return [join(prefix, entry.name) for entry in self._entries(prefix) if entry.is_dir(follow_symlinks=False)]

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            with self._told(key):
                path = self._path(key)
                with suppress(FileNotFoundError, NotADirectoryError), locked(path.parent, alone=False):
                    if not path.is_dir():
                        reach("local.delete.before")
                        path.unlink()
                self._prune(path.parent)

    def sink(self, key: str, expected_bytes: int) -> LocalSink:
        del expected_bytes
        with self._told(key):
            return LocalSink(self, key, self._path(key))

    def reader(self, key: str, size: int | None) -> BinaryIO:
        del size
        with self._told(key):
            return self._open(key)

    def sweep(self, prefix: str) -> int:
        """Remove the unfinished files of writers that are gone: a writer that lives holds a lock on its file."""
        swept = 0
        folder = self._path(prefix) if prefix else Path(self._root)
        with self._told(prefix or "."):
            for where, _, names in os.walk(folder):
                swept += sum(_removed_if_dead(Path(where, name)) for name in names if is_temporary(name))
        return swept

    def url(self, key: str) -> str:
        return f"file://{join(self._root, key)}"

    def make_folder(self, folder: Path) -> None:
        """Make the folder and bring the names of all new ones to the disk."""
        missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for made in missing:
            _sync_folder(made.parent)

    @contextmanager
    def _told(self, key: str) -> Iterator[None]:
        with translated(self.url(key), self.url("")):
            yield

    def _path(self, key: str) -> Path:
        """Where the key's file is; no part of it may be a symlink, which could lead anywhere and change meanwhile."""
        path = Path(self._root, key)
        if os.path.realpath(path) != str(path):
            raise InvalidKey(
                f"object key {key!r}",
                f"a part of it is a symbolic link below {self._root}",
                "Open the folder that the link leads to as a store of its own.",
            )
        return path

    def _open(self, key: str) -> BinaryIO:
        path = self._path(key)
        try:
            file = open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0)  # noqa: PTH123, SIM115 -- the caller closes it
        except NotADirectoryError:
            raise object_missing(self.url(key)) from None
        except IsADirectoryError:
            raise object_missing(self.url(key)) from None
        return file

    def _stat(self, key: str) -> os.stat_result:
        path = self._path(key)
        try:
            found = path.stat(follow_symlinks=False)
        except NotADirectoryError:
            raise object_missing(self.url(key)) from None
        if path.is_dir():
            raise object_missing(self.url(key))
        return found

    def _entries(self, prefix: str) -> Sequence[os.DirEntry[str]]:
        path = self._path(prefix) if prefix else Path(self._root)
        try:
            with os.scandir(path) as found:
                entries = [entry for entry in found if not entry.is_symlink() and not is_temporary(entry.name)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        # As object stores order keys: a folder's name counts with the slash that follows it.
        return sorted(entries, key=lambda entry: _order(entry).encode("utf-8", "surrogateescape"))

    def _below(self, prefix: str, after: str) -> Iterator[ObjectInfo]:
        for entry in self._entries(prefix):
            key = join(prefix, entry.name)
            if entry.is_dir(follow_symlinks=False):
                if f"{key}/\U0010ffff" > after:
                    yield from self._below(key, after)
            elif entry.is_file(follow_symlinks=False) and key > after:
                try:
                    check_key(key)
                except InvalidKey as error:
                    warnings.warn(
                        f"{self.url(prefix)} has the file {entry.name!r}, left out: {error.fact}", stacklevel=2
                    )
                    continue
                with suppress(FileNotFoundError):
                    yield info_of(key, entry.stat(follow_symlinks=False))

    def _prune(self, folder: Path) -> None:
        """Remove folders that became empty, as they do not exist in an object store; writers make them again."""
        with suppress(OSError):
            while str(folder) != self._root:
                folder.rmdir()
                folder = folder.parent


class LocalSink:
    """An object of a local folder on its way to the disk."""

    def __init__(self, folder: LocalFolder, key: str, path: Path) -> None:
        self._folder, self._key, self._path = folder, key, path
        self._temporary, descriptor = self._make()
        self._file = open(descriptor, "wb", buffering=_BUFFER)  # noqa: PTH123, SIM115 -- closed by publish and abort

    def write(self, data: memoryview) -> None:
        with translated(self._folder.url(self._key), self._folder.url("")):
            self._file.write(data)

    def finish(self) -> ObjectInfo:
        return self.publish(create_only=False, if_match=None)

    def publish(self, *, create_only: bool, if_match: str | None) -> ObjectInfo:
        """Bring the bytes to the disk, then the name."""
        url = self._folder.url(self._key)
        with translated(url, self._folder.url("")):
            self._file.flush()
            # The kernel's own clock ticks in milliseconds, too few to tell two versions apart.
            now = time.time_ns()
            os.utime(self._file.fileno(), ns=(now, now))
            os.fsync(self._file.fileno())
            info = info_of(self._key, os.fstat(self._file.fileno()))
            reach("local.write.before_publish")
            if create_only:
                self._link(url)
            else:
                self._rename(url, if_match)
            # Where the folder is gone, somebody has removed the object since: it was there.
            with suppress(FileNotFoundError):
                _sync_folder(self._path.parent)
            self._file.close()
            return info

    def abort(self) -> None:
        # Closing flushes, which may fail again for the reason of the abort.
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._temporary.unlink()
        self._folder._prune(self._path.parent)  # noqa: SLF001 -- the two are one module

    def _make(self) -> tuple[Path, int]:
        for _ in range(_TRIES):
            path = self._path.with_name(f".{uuid4().hex}.tmp")
            try:
                self._folder.make_folder(path.parent)
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            except (FileNotFoundError, FileExistsError) as error:
                if isinstance(error, FileExistsError) and not path.parent.is_dir():
                    raise NotADirectoryError(errno.ENOTDIR, "a part of the key is an object", str(path)) from None
                continue  # somebody removed the folder as empty, just now
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(path, descriptor):
                return path, descriptor
            os.close(descriptor)  # swept in the instant between making and locking it
        raise FileNotFoundError(errno.ENOENT, "its folder cannot be made", str(self._path))

    def _link(self, url: str) -> None:
        try:
            os.link(self._temporary, self._path)
        except FileExistsError:
            raise object_exists(url) from None
        except OSError as error:
            unsafe = no_links(error, url)
            if unsafe:
                raise unsafe from error
            raise
        reach("local.write.after_link")
        self._temporary.unlink()

    def _rename(self, url: str, if_match: str | None) -> None:
        with locked(self._path.parent, alone=if_match is not None):
            if if_match is not None and self._etag() != if_match:
                raise precondition_failed(url)
            if self._path.is_dir():
                raise StoreError(url, "there is a folder of that name", "Choose another key.")
            self._temporary.replace(self._path)
            reach("local.write.after_rename")

    def _etag(self) -> str | None:
        try:
            return info_of("", self._path.stat(follow_symlinks=False)).etag
        except FileNotFoundError:
            return None


def info_of(key: str, found: os.stat_result) -> ObjectInfo:
    etag = f'"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"'
    return ObjectInfo(key, found.st_size, etag, datetime.fromtimestamp(found.st_mtime, UTC))


@contextmanager
def locked(folder: Path, *, alone: bool) -> Iterator[None]:
    """Let nobody change names in the folder on a condition meanwhile, or, to do so, be the only one who changes any.

    Those without a condition do not wait for one another: one of them may be a process that is stopped.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def _order(entry: os.DirEntry[str]) -> str:
    return f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _removed_if_dead(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    except OSError:
        return False  # its writer lives, or was quicker
    finally:
        os.close(descriptor)
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
