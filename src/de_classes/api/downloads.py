"""Files behind URLs: NDJSON and CSV as tables, and any file into an object store, never whole in memory.

    source = DownloadSource(
        ApiClient("https://data.example.com"),
        [Download("stations", "/stations.csv.gz", Csv(null_values=("",)), primary_key=("id",))],
    )
    Pipeline("stations", source, destination, mode="replace").run()

    download_to(client, "/report.pdf", store, "reports/2026.pdf")

and, in a shell, `python -m de_classes.api.downloads https://data.example.com/stations.csv.gz --rows 5`.

The position of a stream is `{"etag": ..., "as": ...}`: the strong ETag of the file that was loaded, null where the
server gives none, and a digest of how it was read. A file that still has the ETag is not loaded again.
"""

from __future__ import annotations

import hashlib
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from de_classes.configs.secrets import Secret
from de_classes.contracts import Batch, Plan, Stream
from de_classes.errors import ApiUnreachable, ConfigurationError, InvalidAnswer
from de_classes.formats.csv_files import Csv
from de_classes.formats.ndjson_files import Ndjson
from de_classes.formats.packing import COMPRESSIONS, unpacked_file
from de_classes.utils.kinds import odd_kinds
from de_classes.utils.retry import RetryPolicy

from ._fetching import RemoteFile
from ._reading import utf8_pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from de_classes.contracts import Position
    from de_classes.formats.file_format import FileFormat
    from de_classes.formats.packing import Compression
    from de_classes.formats.shaping import Misfits

    from .client import ApiClient
    from .messages import Param

__all__ = ["Csv", "Download", "DownloadSource", "Downloaded", "FileStore", "Ndjson", "download_to"]

_MEBIBYTE = 1024 * 1024
_AGAIN = RetryPolicy(attempts=3)


@dataclass(frozen=True, slots=True)
class Download:
    """A file that holds a table."""

    name: str
    path: str
    """Below the client's base URL, or a whole URL of its origin."""
    format: FileFormat = field(default_factory=Ndjson)
    schema: pa.Schema | None = None
    """Without one, NDJSON is inferred from its first lines, and CSV is text."""
    primary_key: tuple[str, ...] = ()
    compression: Compression = "auto"
    """Of the file itself: "gzip", "zstd", "bz2" or "none"; "auto" sees it by the first bytes."""
    misfits: Misfits = "fail"
    """What becomes of a row that does not fit: `fail` ends the run with an error that names it, `quarantine` keeps it
    beside the stream (see `de_classes.utils.quarantine`) and goes on."""
    params: Mapping[str, Param] = field(default_factory=dict)
    headers: Mapping[str, str | Secret] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given: Any = self
        problems = list(odd_kinds(self, "name", "path", "params", "headers"))
        if isinstance(given.primary_key, str):
            problems.append(
                f"primary_key={given.primary_key!r} is one text: write primary_key=({given.primary_key!r},)"
            )
        if not isinstance(given.schema, pa.Schema | None):
            problems.append(f"schema={given.schema!r} is none: write pyarrow.schema({{'id': pyarrow.int64()}})")
        if isinstance(given.format, type) or not hasattr(given.format, "batches"):
            problems.append(f"format={given.format!r} is none, such as Csv() or Ndjson()")
        if problems:
            raise ConfigurationError(f"download {self.name!r}", "; ".join(problems), "Correct the download.")
        problems = [] if self.name else ["the name is empty"]
        if self.compression not in COMPRESSIONS:
            problems.append(f"compression={self.compression!r} is none of {', '.join(COMPRESSIONS)}")
        if self.misfits not in {"fail", "quarantine"}:
            problems.append(f"misfits={self.misfits!r} is neither 'fail' nor 'quarantine'")
        if self.schema is not None:
            missing = [key for key in self.primary_key if key not in self.schema.names]
            problems += [f"the primary key {key!r} is no column of the schema" for key in missing]
        if problems:
            raise ConfigurationError(f"download {self.name!r}", "; ".join(problems), "Correct the download.")
        self.format.check(self.name, self.schema)

    @property
    def stream(self) -> Stream:
        """The stream that it gives."""
        return Stream(self.name, self.primary_key, self.schema)

    def reading(self, base_url: str) -> str:
        """A digest of which file is read, and how; secrets are no part of it."""
        params = sorted((name, str(value)) for name, value in self.params.items() if not isinstance(value, Secret))
        schema = "" if self.schema is None else self.schema.to_string(show_field_metadata=False)
        told = (base_url, self.path, params, repr(self.format), schema, self.compression, self.misfits)
        return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


class DownloadSource:
    """Files as streams, a split each, read while they arrive.

    Memory is a few times `batch_bytes`, whatever a file's size. A download that breaks off goes on where it broke if
    the server vouches for the rest by a strong ETag, and fails otherwise: no half file is committed. Plans hold the
    whole file, so runs replace, or merge by a primary key.

    A text is UTF-8; one that is not is read in the charset that its Content-Type names, unless `Csv(encoding=...)`
    does.

    Args:
        client: asks for the files.
        downloads: what they are.
        batch_bytes: of a file's text to a batch; a CSV record must be shorter than this.
        max_expansion: how many times its size a packed file of more than 16 MiB may grow to.

    """

    def __init__(
        self,
        client: ApiClient,
        downloads: Sequence[Download],
        *,
        batch_bytes: int = 8 * _MEBIBYTE,
        max_expansion: float = 200.0,
    ) -> None:
        given: Any = downloads
        if isinstance(given, Download) or not all(isinstance(download, Download) for download in given):
            raise ConfigurationError(
                "DownloadSource", "downloads is no list of Download", "Write DownloadSource(client, [Download(...)])."
            )
        names = [download.name for download in downloads]
        twice = sorted({name for name in names if names.count(name) > 1})
        if not names or twice:
            fact = f"downloads named twice: {', '.join(twice)}" if twice else "no downloads"
            raise ConfigurationError("DownloadSource", fact, "Give one download or more, each under its own name.")
        if not (1 <= batch_bytes < 2**31 and max_expansion > 0):
            raise ConfigurationError(
                "DownloadSource",
                f"batch_bytes={batch_bytes}, max_expansion={max_expansion}",
                "Give from 1 byte to 2 GiB, and a factor above 0.",
            )
        self._client = client
        self._downloads = {download.name: download for download in downloads}
        self._batch_bytes = batch_bytes
        self._max_expansion = max_expansion

    def streams(self) -> Sequence[Stream]:
        """One stream per file."""
        return [download.stream for download in self._downloads.values()]

    @contextmanager
    def plan(self, stream: Stream, since: Position | None) -> Iterator[Plan]:
        """One split with the file; none where the file is the one that was loaded.

        The split's id holds the ETag; without one a file may be another each time, and so is the id.

        Raises:
            ConfigurationError: there is no such download, or the position is of another source.

        """
        download = self._downloads.get(stream.name)
        if download is None:
            raise ConfigurationError(
                f"stream {stream.name!r}",
                "is no download of this source",
                f"There are: {', '.join(self._downloads)}.",
            )
        if since is not None and set(since) != {"etag", "as"}:
            raise ConfigurationError(
                f"the position {dict(since)!r} of {stream.name!r}",
                "was not left by a download",
                "Begin anew, under a new name of the pipeline.",
            )
        file = RemoteFile(self._client, download.path, download.params, download.headers)
        etag, reading = file.told().etag, download.reading(self._client.base_url)
        position = {"etag": etag, "as": reading}
        if etag is not None and since == position:
            yield Plan((), since)
            return
        # Columns that are inferred depend on how much is read at first.
        content = repr((reading, etag, self._batch_bytes if download.schema is None else None))
        told = uuid.uuid4().hex if etag is None else hashlib.sha256(content.encode()).hexdigest()[:32]
        split = _Split(f"{download.name}-{told}", file, download, etag, self._batch_bytes, self._max_expansion)
        yield Plan((split,), position, whole=True)


@dataclass(frozen=True, slots=True)
class _Split:
    """A file, from front to back."""

    id: str
    file: RemoteFile
    download: Download
    etag: str | None
    batch_bytes: int
    max_expansion: float

    def read(self) -> Iterator[Batch]:
        """The rows as they arrive."""
        where = self.file.url
        download = self.download
        heard: dict[str, str] = {}
        pieces = unpacked_file(self.file.pieces(self.etag, heard), download.compression, where, self.max_expansion)
        if _is_of_utf8(download.format):
            pieces = utf8_pieces(pieces, heard, where)
        for records, rejected in download.format.batches(
            pieces, download.schema, self.batch_bytes, table=download.name, where=where, misfits=download.misfits
        ):
            yield Batch(records, rejected=rejected)


def _is_of_utf8(form: FileFormat) -> bool:
    """Whether a text is wanted as UTF-8, where the user has not said that it is in something else."""
    return isinstance(form, Ndjson) or (isinstance(form, Csv) and form.encoding == "utf-8")


# --- To an object store -----------------------------------------------------------------------------------------------


class FileWriter(Protocol):
    """A binary file that becomes an object when its `with` ends well, and leaves nothing when it fails."""

    def write(self, data: bytes, /) -> int:
        """Take all of the data."""
        ...


class FileStore(Protocol):
    """What a download needs of an object store; `de_classes.storage.objects.ObjectStore` has it."""

    def open_writer(self, key: str, *, expected_bytes: int = 0) -> AbstractContextManager[FileWriter]:
        """Open the object for writing."""
        ...


@dataclass(frozen=True, slots=True)
class Downloaded:
    """What was stored."""

    key: str
    bytes: int
    sha256: str
    """In hexadecimal digits."""
    etag: str | None
    """The strong ETag that the server gave."""


def download_to(  # noqa: PLR0913 -- from where, to where, and what it must be
    client: ApiClient,
    path: str,
    store: FileStore,
    key: str,
    *,
    params: Mapping[str, Param] | None = None,
    headers: Mapping[str, str | Secret] | None = None,
    sha256: str | None = None,
    retry: RetryPolicy = _AGAIN,
) -> Downloaded:
    """Put a file into a store as it arrives, as it is; the object appears when it is whole, or not at all.

    A download that breaks off goes on where it broke if the server gives a strong ETag, and begins anew otherwise, as
    often as `retry` says.

    Raises:
        ApiError: the file cannot be had whole.
        InvalidAnswer: it has another checksum than `sha256`.
        StoreError: it cannot be stored.

    """
    file = RemoteFile(client, path, params or {}, headers or {})
    attempt = _Storing(file, store, key, sha256)
    return retry.call(
        attempt.once,
        # What the client could not reach at all it has tried often enough.
        on=lambda error: isinstance(error, ApiUnreachable) and attempt.begun and not error.context.get("for_good"),
        name=f"GET {path.partition('?')[0]}",
    )


@dataclass
class _Storing:
    """One file on its way into a store."""

    file: RemoteFile
    store: FileStore
    key: str
    sha256: str | None
    begun: bool = False

    def once(self) -> Downloaded:
        self.begun = False
        told = self.file.told()
        digest, size = hashlib.sha256(), 0
        with self.store.open_writer(self.key, expected_bytes=told.bytes or 0) as writer:
            for piece in self.file.pieces(told.etag):
                self.begun = True
                writer.write(piece)
                digest.update(piece)
                size += len(piece)
            found = digest.hexdigest()
            if self.sha256 is not None and found != self.sha256.lower():
                raise InvalidAnswer(
                    self.file.path.partition("?")[0],
                    f"its SHA-256 is {found}, and {self.sha256.lower()} was expected",
                    "It is not stored. Has the file changed, or was it changed on the way?",
                )
        return Downloaded(self.key, size, found, told.etag)


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.api._doors.downloads")
