"""Parquet files that others wrote: their columns, and their rows under the columns that are asked for."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from de_classes.errors import ConfigurationError, InvalidFile, SchemaMismatch
from de_classes.storage.objects._errors import BeyondEnd
from de_classes.storage.objects._int96 import Int96, exact
from de_classes.storage.objects.parquet import opened, rows_per_batch
from de_classes.utils.schemas import fitted, grown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from de_classes.formats.shaping import ExtraFields

__all__ = ["Parquet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parquet:
    """A Parquet file of any writer. Columns are found by name, and widened where nothing of a value is lost."""

    extra_columns: ExtraFields = "refuse"
    """What becomes of columns that a declared schema does not have: `refuse` or `ignore`."""

    def check(self, table: str, schema: pa.Schema | None) -> None:
        """Refuse a setting that means nothing."""
        del schema
        if self.extra_columns not in {"refuse", "ignore"}:
            raise ConfigurationError(
                f"Parquet of {table!r}",
                f"extra_columns={self.extra_columns!r} is neither 'refuse' nor 'ignore'",
                "Correct the setting.",
            )

    def columns(self, file: BinaryIO, where: str) -> pa.Schema:
        """The columns that the footer tells, without what its writer noted for itself.

        Raises:
            InvalidFile: it is no Parquet.

        """
        with _readable(where):
            there = pq.read_schema(file)
        _refuse_twice(there, where)
        return pa.schema([_plain(field) for field in there])

    def batches(self, file: BinaryIO, schema: pa.Schema, batch_bytes: int, where: str) -> Iterator[pa.RecordBatch]:
        """The rows under a schema, in batches of about `batch_bytes`; columns that the file lacks are null.

        Raises:
            InvalidFile: it is no Parquet, or damaged.
            SchemaMismatch: it has columns more, lacks one that must not be null, or has one that does not fit.

        """
        with _readable(where):
            metadata = pq.read_metadata(file)
            parquet, moments = opened(file, metadata, 4 * batch_bytes), Int96(file, metadata)
            names = self._checked(parquet.schema_arrow, schema, where)
            for group in range(parquet.metadata.num_row_groups):
                about = parquet.metadata.row_group(group)
                step = rows_per_batch(about, 0, batch_bytes)
                micros, first = moments.of_group(group, names), 0
                for batch in parquet.iter_batches(step, row_groups=[group], columns=names):
                    told = None if micros is None else micros.slice(first, batch.num_rows)
                    yield _under(batch, told, schema, where)
                    first += batch.num_rows

    def _checked(self, there: pa.Schema, schema: pa.Schema, where: str) -> list[str]:
        """The names of the columns to read."""
        _refuse_twice(there, where)
        extra = sorted(set(there.names) - set(schema.names))
        lacking = [field.name for field in schema if field.name not in there.names and not field.nullable]
        problems = [f"it lacks {', '.join(lacking)}"] if lacking else []
        both = [field for field in there if field.name in schema.names]
        if there.names and not both:
            problems.append("it has none of the columns")
        problems += [
            f"{field.name} is {field.type} and not {schema.field(field.name).type}"
            for field in both
            if not _fits(field, schema.field(field.name))
        ]
        if extra and self.extra_columns == "refuse":
            problems.append(f"it has {', '.join(extra)}, not declared")
        if problems:
            raise SchemaMismatch(
                where,
                "; ".join(problems),
                'Correct the schema or the file; columns that are not wanted: Parquet(extra_columns="ignore").'
                " Where columns are sampled, declare them with schema=..., or look at more files:"
                " FileSource(sampled_files=...).",
            )
        return [field.name for field in both]


def _refuse_twice(there: pa.Schema, where: str) -> None:
    twice = sorted({name for name in there.names if there.names.count(name) > 1})
    if twice:
        raise SchemaMismatch(where, f"it has {', '.join(twice)} more than once", "Give each column its own name.")


def _plain(field: pa.Field[Any]) -> pa.Field[Any]:
    """The field without what Parquet's writers say of it; a dictionary is a way to write, no type."""
    kind: Any = field.type
    kept: dict[bytes | str, bytes | str] = {
        name: value for name, value in (field.metadata or {}).items() if not name.startswith(b"PARQUET:")
    }
    plain: pa.Field[Any] = field.with_type(kind.value_type) if pa.types.is_dictionary(kind) else field
    return plain.with_metadata(kept)


def _under(batch: pa.RecordBatch, micros: pa.Table | None, schema: pa.Schema, where: str) -> pa.RecordBatch:
    """The batch under a schema; `micros` has its moments of INT96 in microseconds."""
    columns = {}
    try:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            there: Any = column
            there = there.dictionary_decode() if pa.types.is_dictionary(there.type) else there
            wanted = schema.field(name).type
            if micros is not None and name in micros.column_names:
                there = exact(there, micros.column(name).combine_chunks(), wanted)
            columns[name] = there.cast(wanted) if _are_moments(there.type, wanted) else there
        return _not_null(fitted(pa.RecordBatch.from_arrays(list(columns.values()), list(columns)), schema), where)
    except (pa.ArrowException, ValueError) as error:
        raise InvalidFile(
            where, f"its values do not fit: {str(error).splitlines()[0]}", "Declare columns that hold the values."
        ) from None


def _fits(field: pa.Field[Any], wanted: pa.Field[Any]) -> bool:
    """Whether the column's values are values of the one that is wanted, so that nothing is guessed."""
    wider = grown(_plain(field), wanted)
    return _are_moments(field.type, wanted.type) or (wider is not None and wider.type == wanted.type)


def _are_moments(one: Any, other: Any) -> bool:
    """Whether both are timestamps with a zone, or both without: another unit is another spelling, where it fits."""
    return pa.types.is_timestamp(one) and pa.types.is_timestamp(other) and (one.tz is None) == (other.tz is None)


def _not_null(batch: pa.RecordBatch, where: str) -> pa.RecordBatch:
    wrong = [
        field.name
        for field, column in zip(batch.schema, batch.columns, strict=True)
        if not field.nullable and column.null_count
    ]
    if wrong:
        raise SchemaMismatch(where, f"it has nulls in {', '.join(wrong)}", "Let the columns be null in the schema.")
    return batch


@contextmanager
def _readable(where: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, EOFError, BeyondEnd) as error:
        told = str(error).splitlines()[0] if str(error) else "it ends too early"
        raise InvalidFile(where, f"it cannot be read as Parquet: {told}", "Is it Parquet, and whole?") from error
