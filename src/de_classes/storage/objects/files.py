"""Plain files that others put into an object store, as a Source: each file is loaded once.

    source = FileSource(
        S3Store("landing"),
        {
            "orders": Files("incoming/orders-*.csv.gz", Csv(null_values=("",)), primary_key=("id",)),
            "events": Files("events/**/*.parquet", Parquet()),
        },
    )
    Pipeline("landing", source, PostgresDestination("postgresql://..."), mode="append").run()

Which files are loaded, the destination remembers in the commit of their rows, each by its key, etag and size. So a run
that is killed loads none twice, files may come in any order, and a run that finds nothing new does nothing. A
destination that remembers no files is given all of them in each run, which it can replace or merge.

The position of a stream is `{"columns": ...}`: the columns that its files have shown, where none are declared.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from de_classes.contracts import Plan, Stream
from de_classes.errors import ConfigurationError
from de_classes.formats.csv_files import Csv
from de_classes.formats.ndjson_files import Ndjson
from de_classes.formats.packing import COMPRESSIONS
from de_classes.storage.objects._entry import decode_schema, encode_schema
from de_classes.storage.objects._file_columns import columns_of, united_columns
from de_classes.storage.objects._file_split import FileSplit, version_of
from de_classes.storage.objects._foreign_parquet import Parquet
from de_classes.storage.objects._keys import check_store
from de_classes.storage.objects._patterns import found, wrong_with
from de_classes.utils.fingerprint import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from de_classes.contracts import Ledger, Position
    from de_classes.formats.file_format import FileFormat
    from de_classes.formats.packing import Compression
    from de_classes.storage.objects.store import ObjectInfo, ObjectStore
    from de_classes.utils.schemas import SchemaChanges

__all__ = ["Changed", "Csv", "FileSource", "Files", "Ndjson", "NoFilesFound", "Parquet"]

Changed: TypeAlias = Literal["reload", "ignore", "fail"]
"""What becomes of a file that was loaded, and is another one now."""

_ASKED_AT_ONCE = 1000
_MOST_TOLD = 10


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one table."""

    pattern: str
    """Of keys: `*` and `?` stand for signs of a name, `[a-z]` for one, `{a,b}` for either, and `**` for any folders.
    Names that begin with a dot or an underscore, such as `_SUCCESS`, are met only by a pattern that says so."""
    format: FileFormat | Parquet = field(default_factory=Ndjson)
    schema: pa.Schema | None = None
    """Without one, columns are sampled: Parquet tells them, NDJSON shows them, and CSV is text (see `Csv.guess`)."""
    primary_key: tuple[str, ...] = ()
    compression: Compression = "auto"
    """Of the files themselves: "gzip", "zstd", "bz2" or "none"; "auto" sees it by the first bytes."""
    changed: Changed = "fail"
    """What becomes of a file that was loaded and is another one now: `fail` tells all of them before anything is read,
    `ignore` leaves what was loaded, `reload` replaces its rows, found by `file_column`, in the commit of the new."""
    file_column: str | None = None
    """A column to add that has the file's key in each row."""
    allowed_misfits: float = 0.0
    """Which share of a file's rows may be set aside since they do not fit (malformed, or of other values than the
    columns hold): they are kept beside the stream with file and line, see `de_classes.utils.quarantine`. 0: the first
    ends the run; 1: all may."""
    schema_changes: SchemaChanges = "evolve"
    """Whether columns that were sampled grow with what new files show (`evolve`), or stay as they are (`freeze`)."""

    def check(self, name: str) -> None:
        """Refuse what cannot be, all at once.

        Raises:
            ConfigurationError: some of the settings mean nothing, or do not go together.

        """
        problems = [wrong] if (wrong := wrong_with(self.pattern)) else []
        if self.compression not in COMPRESSIONS:
            problems.append(f"compression={self.compression!r} is none of {', '.join(COMPRESSIONS)}")
        if self.changed not in get_args(Changed):
            problems.append(f"changed={self.changed!r} is none of {', '.join(get_args(Changed))}")
        if self.changed == "reload" and self.file_column is None:
            problems.append("changed='reload' needs file_column=..., by which the rows of a file are found again")
        if not 0 <= self.allowed_misfits <= 1:
            problems.append(f"allowed_misfits={self.allowed_misfits} is no share from 0 to 1")
        if self.schema_changes not in {"evolve", "freeze"}:
            problems.append(f"schema_changes={self.schema_changes!r} is neither 'evolve' nor 'freeze'")
        problems += self._wrong_columns()
        if problems:
            raise ConfigurationError(f"files {name!r}", "; ".join(problems), "Correct the settings.")
        self.format.check(name, self.schema)

    def _wrong_columns(self) -> Iterator[str]:
        given: Any = self.primary_key
        if isinstance(given, str):
            yield f"primary_key={given!r} is one text: write primary_key=({given!r},)"
        elif self.schema is not None:
            there = {*self.schema.names, self.file_column}
            yield from (f"the primary key {key!r} is no column of the schema" for key in given if key not in there)
        if self.schema is not None and self.file_column in self.schema.names:
            yield f"file_column={self.file_column!r} is a column of the schema, too"

    def stream(self, name: str) -> Stream:
        """The stream that they give."""
        schema = None if self.schema is None else united_columns(self.schema, self.file_column)
        return Stream(name, self.primary_key, schema)


class NoFilesFound(UserWarning):
    """A pattern means no file of its store, and none was ever loaded by it: one of the two may be misspelt."""


class FileSource:
    """Files as streams, a split for each, or for some small ones together.

    Args:
        store: where the files are.
        files: which of them are a table, by the name of the stream.
        split_bytes: small files are read together, up to this many bytes as they are stored.
        batch_bytes: of a file's text to a batch; a record must be shorter than this.
        max_expansion: how many times its size a packed file of more than 16 MiB may grow to.
        sampled_files: how many new files are looked at for their columns, where none are declared.

    """

    def __init__(  # noqa: PLR0913 -- the signature is the configuration schema
        self,
        store: ObjectStore,
        files: Mapping[str, Files],
        *,
        split_bytes: int = 64 << 20,
        batch_bytes: int = 8 << 20,
        max_expansion: float = 200.0,
        sampled_files: int = 10,
    ) -> None:
        subject = f"files in {check_store(store).url}"
        if not files or "" in files:
            raise ConfigurationError(subject, "there are none, or some without a name", "Name one stream or more.")
        if min(split_bytes, max_expansion, sampled_files) <= 0 or not 1 <= batch_bytes < 2**31:
            raise ConfigurationError(
                subject, "sizes must be more than 0, and batch_bytes below 2 GiB", "Give bytes, a factor, a number."
            )
        for name, some in files.items():
            some.check(name)
        self._store, self._files = store, dict(files)
        self._split_bytes, self._batch_bytes = split_bytes, batch_bytes
        self._max_expansion, self._sampled = max_expansion, sampled_files

    def streams(self) -> Sequence[Stream]:
        """One for each table."""
        return [files.stream(name) for name, files in self._files.items()]

    @contextmanager
    def plan(self, stream: Stream, since: Position | None) -> Iterator[Plan]:
        """Plan all files that there are.

        Warns:
            NoFilesFound: there are none, and never were.

        Raises:
            ConfigurationError: there is no such stream, or the position is of another source.
            InvalidFile: a file that is sampled is not of its format.
            SchemaMismatch: the files that are sampled have columns that no type holds together.

        """
        files = self._named(stream)
        there = list(found(self._store, files.pattern))
        if not there and since is None:
            self._warn_of_none(stream, files)
        yield self._planned(stream, files, there, since, whole=True)

    @contextmanager
    def plan_items(self, stream: Stream, since: Position | None, ledger: Ledger) -> Iterator[Plan]:
        """Plan the files that were not loaded, or are other ones now and to be loaded again.

        Warns:
            NoFilesFound: there are none, and never were.

        Raises:
            ConfigurationError: as above, or files have changed that must not.
            InvalidFile, SchemaMismatch: as above.

        """
        files = self._named(stream)
        fresh, changed = _sorted_out(found(self._store, files.pattern), ledger)
        if since is None and next(found(self._store, files.pattern), None) is None:
            self._warn_of_none(stream, files)
        if changed and files.changed == "fail":
            told = ", ".join(info.key for info in changed[:_MOST_TOLD])
            more = f" and {len(changed) - _MOST_TOLD} more" if len(changed) > _MOST_TOLD else ""
            raise ConfigurationError(
                f"files {stream.name!r}",
                f"{len(changed)} of them were loaded, and are others now: {told}{more}",
                "Load them again (changed='reload' with file_column=...), leave them (changed='ignore'), or put the"
                " files back.",
            )
        if files.changed == "reload":
            fresh = sorted([*fresh, *changed], key=lambda info: info.key)
        yield self._planned(stream, files, fresh, since, whole=False)

    def _warn_of_none(self, stream: Stream, files: Files) -> None:
        warnings.warn(
            f"files {stream.name!r}: there is none in {self._store.url} that {files.pattern!r} means. Check both,"
            " unless the first is still to come.",
            NoFilesFound,
            stacklevel=2,
        )

    def _named(self, stream: Stream) -> Files:
        try:
            return self._files[stream.name]
        except KeyError:
            raise ConfigurationError(
                f"stream {stream.name!r}",
                f"no files in {self._store.url} have that name",
                f"There are: {', '.join(self._files)}.",
            ) from None

    def _planned(
        self, stream: Stream, files: Files, there: Sequence[ObjectInfo], since: Position | None, *, whole: bool
    ) -> Plan:
        known = self._known(stream, since)
        columns = files.schema if files.schema is not None else self._columns(stream, files, there, known)
        if not there or columns is None:
            return Plan((), since, whole=whole)
        told = None if files.schema is not None else encode_schema(columns)
        splits = [self._split(stream, files, some, columns) for some in _grouped(there, self._split_bytes)]
        return Plan(splits, {"columns": told}, whole=whole)

    def _known(self, stream: Stream, since: Position | None) -> pa.Schema | None:
        if since is None:
            return None
        told: Any = since.get("columns")
        if set(since) != {"columns"} or not isinstance(told, str | None):
            raise ConfigurationError(
                f"the position {dict(since)!r} of {stream.name!r}",
                "was not left by a source of files",
                "Begin anew, under a new name of the pipeline.",
            )
        return decode_schema(told)

    def _columns(
        self, stream: Stream, files: Files, there: Sequence[ObjectInfo], known: pa.Schema | None
    ) -> pa.Schema | None:
        """What is known of the columns, and what some of the files show."""
        if known is not None and files.schema_changes == "freeze":
            return known
        return columns_of(
            self._store, there[: self._sampled], files, self._max_expansion, table=stream.name, known=known
        )

    def _split(self, stream: Stream, files: Files, some: Sequence[ObjectInfo], columns: pa.Schema) -> FileSplit:
        names = [(info.key, version_of(info)) for info in some]
        how = (files.format, files.compression, files.allowed_misfits, files.file_column, self._batch_bytes, columns)
        return FileSplit(
            f"files-{fingerprint([names, *how])}",
            self._store,
            tuple(some),
            files,
            columns,
            stream.name,
            self._batch_bytes,
            self._max_expansion,
        )


def _sorted_out(there: Iterable[ObjectInfo], ledger: Ledger) -> tuple[list[ObjectInfo], list[ObjectInfo]]:
    """The files that were never loaded, and those that were others then."""
    fresh: list[ObjectInfo] = []
    changed: list[ObjectInfo] = []
    for some in _in_thousands(there):
        known = ledger([info.key for info in some])
        for info in some:
            if info.key not in known:
                fresh.append(info)
            elif known[info.key] != version_of(info):
                changed.append(info)
    return fresh, changed


def _in_thousands(there: Iterable[ObjectInfo]) -> Iterator[Sequence[ObjectInfo]]:
    some: list[ObjectInfo] = []
    for info in there:
        some.append(info)
        if len(some) == _ASKED_AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def _grouped(there: Sequence[ObjectInfo], most: int) -> Iterator[Sequence[ObjectInfo]]:
    """Cut into runs of at most `most` bytes; a larger file is alone."""
    group: list[ObjectInfo] = []
    size = 0
    for info in there:
        if group and size + info.size > most:
            yield group
            group, size = [], 0
        group.append(info)
        size += info.size
    if group:
        yield group


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.storage.objects._doors.files")
