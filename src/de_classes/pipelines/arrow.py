"""Anything that speaks Arrow, as a source: Polars, DuckDB, pandas, pyarrow, ADBC."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import pyarrow as pa

from de_classes.contracts import Batch, Plan, Stream
from de_classes.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from de_classes.contracts import Position

__all__ = ["ArrowSource", "ArrowStreamExportable"]

BATCH_ROWS = 65_536


@runtime_checkable
class ArrowStreamExportable(Protocol):
    """An object with the method of the Arrow PyCapsule interface for streams."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Export as an ArrowArrayStream capsule."""
        ...


class ArrowSource:
    """Tables that are already here, by name.

    Every run gives all rows, so a pipeline replaces or merges with them; it may append once. With `version`, a name for
    what the tables hold now (a date, a number), rows are loaded once for each version, in any mode. An object that can
    be read only once, such as a RecordBatchReader, is read once.
    """

    def __init__(
        self,
        tables: Mapping[str, ArrowStreamExportable],
        *,
        primary_key: Sequence[str] = (),
        version: str | int | None = None,
    ) -> None:
        strangers = [name for name, table in tables.items() if not isinstance(table, ArrowStreamExportable)]
        if strangers:
            raise ConfigurationError(
                f"ArrowSource({', '.join(strangers)})",
                "no such objects as speak Arrow (they have no __arrow_c_stream__)",
                "Pass a pyarrow, Polars or pandas table, or a DuckDB relation.",
            )
        self._tables = dict(tables)
        self._primary_key = tuple(primary_key)
        self._version = version

    def __repr__(self) -> str:
        return f"ArrowSource({', '.join(self._tables)})"

    def streams(self) -> Sequence[Stream]:
        """One per table, with its columns where it is a table of pyarrow's; others show them as they are read."""
        return [Stream(name, self._primary_key, _columns_of(table)) for name, table in self._tables.items()]

    @contextmanager
    def plan(self, stream: Stream, since: Position | None) -> Iterator[Plan]:
        """One split: the whole table; none where this version was loaded.

        Raises:
            ConfigurationError: there is no such table.

        """
        if stream.name not in self._tables:
            raise ConfigurationError(f"stream {stream.name!r}", f"{self!r} does not offer it")
        position: Position = {"version": self._version}
        if self._version is not None and since == position:
            yield Plan((), position)
            return
        # Nobody knows whether a table without a version is the one of the run before.
        content = uuid.uuid4().hex if self._version is None else self._version
        split = ArrowSplit(f"{stream.name}@{content}", self._tables[stream.name])
        yield Plan([split], position, whole=self._version is None)


def _columns_of(table: ArrowStreamExportable) -> pa.Schema | None:
    schema = getattr(table, "schema", None)
    return schema if isinstance(schema, pa.Schema) else None


@dataclass(frozen=True)
class ArrowSplit:
    """A whole table. It pickles if the table does."""

    id: str
    table: ArrowStreamExportable

    def read(self) -> Iterator[Batch]:
        """The rows in batches of at most 65,536."""
        reader = pa.RecordBatchReader.from_stream(self.table)
        for records in reader:
            for offset in range(0, records.num_rows, BATCH_ROWS):
                yield Batch(records.slice(offset, BATCH_ROWS))


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.pipelines._doors.arrow")
