"""Pages to batches, with columns that follow what the pages hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pyarrow as pa

from de_classes.errors import InvalidAnswer, SchemaMismatch
from de_classes.formats.records import RecordConverter
from de_classes.utils.quarantine import REJECTED

from .arrow_json import ArrowJson
from .columns import schema_of, shape_of, told
from .inference import Declared, Inference, settled
from .pages import Records
from .unfit import Unfit, json_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from de_classes.contracts import JsonValue
    from de_classes.formats.shaping import Shaping

    from .inference import Path, Shape

__all__ = ["Converter"]

_JSON = msgspec.json.Encoder(decimal_format="number")


class Converter:
    """Turns the pages of a walk into batches, and knows the columns so far.

    Records are taken in order. Each fits the columns that are known with those before it, or makes them wider, or is a
    misfit: it ends the walk, or is rejected and leaves the columns as they are. A page whose records all fit is
    converted at once, by Arrow's parser where that is exact.

    Args:
        shaping: what the columns are to be.
        columns: what the position has kept; None before any.

    Raises:
        ConfigurationError: the position's columns are none that were inferred, or are declared no more.

    """

    def __init__(self, shaping: Shaping, columns: Mapping[str, JsonValue] | None = None) -> None:
        self.shaping = shaping
        self._evolves, self._infers = shaping.evolves, shaping.infers
        ignores = shaping.extra_fields == "ignore"
        self._inference = Inference(_declared(shaping), timestamps=shaping.timestamps, ignore_extra=ignores)
        self._shape = self._known(columns)
        self._refuse_without_key()
        self._exact = self._exact_for(self._shape)
        self._fast = self._fast_now()

    def _known(self, columns: Mapping[str, JsonValue] | None) -> Shape:
        schema = self.shaping.schema
        beside = columns if self._infers else None
        if schema is None and beside is None:
            return "null"
        told = cast("Mapping[str, Shape]", shape_of(beside or {}, self._inference.declared))
        declared = {} if schema is None else {column.name: Declared(column) for column in schema}
        return settled({**declared, **told}, fixed=not self._evolves)

    @property
    def told(self) -> Mapping[str, JsonValue] | None:
        """The columns for a position; None before any are known, and where all are declared."""
        return cast("Mapping[str, JsonValue]", told(self._shape)) if self._infers and self._shape != "null" else None

    def batch(
        self,
        records: Sequence[Any],
        where: str,
        unfit: Mapping[int, Unfit] | None = None,
        own: Sequence[int] | None = None,
    ) -> tuple[pa.RecordBatch, Any]:
        """The records that fit, and those that were rejected (None if none were); there are no columns before any fits.

        Args:
            records: those of a page, or of some lines of a file.
            where: names it, in errors and in quarantine.
            unfit: what is already known not to fit, by number in the page.
            own: the numbers of the records that are wanted; None for all.

        Raises:
            SchemaMismatch: a record does not fit, and misfits fail; `column` and `row` (in the page) say where.
            ValueNotHeld: it has a value that its declared column cannot hold, likewise.

        """
        if isinstance(records, Records) and not unfit:
            batch = self.quickly(records if own is None else records.chosen(own))
            if batch is not None:
                return batch, None
        taking = _Taking(self, records, where, self._shape)
        taking.take(taking.readable(range(len(records)) if own is None else own, unfit or {}))
        if taking.fitting:
            self._follow(taking.shape)
        return self._gathered(taking), taking.rejected_batch()

    def nothing(self) -> pa.RecordBatch:
        """A batch of no rows, of the columns that are known."""
        return self.batch((), "")[0]

    def quickly(self, records: Records) -> pa.RecordBatch | None:
        """The records of one page or of several, where all of them fit the columns that are known, for certain."""
        batch = self._fast.read(records)
        if batch is not None and self._lacks_key(batch):
            return None
        if batch is None or self.shaping.schema is not None or not all(column.null_count for column in batch.columns):
            return batch
        return None if records.have_empty else batch

    def _gathered(self, taking: _Taking) -> pa.RecordBatch:
        only = taking.batches[0] if len(taking.batches) == 1 else None
        if only is not None and only.schema.equals(self._exact.schema, check_metadata=True):
            return only
        return self._exact.converted(taking.fitting)

    def _follow(self, shape: Shape) -> None:
        """Go on with the columns that a page has led to."""
        after = settled(shape, fixed=not self._evolves)
        if self._infers and after != self._shape:
            self._shape, self._exact = after, self._exact_for(after)
            self._refuse_without_key()
            self._fast = self._fast_now()

    def _refuse_without_key(self) -> None:
        """See that every record has what the primary key names, as soon as it is known what they have."""
        there = self._shape if isinstance(self._shape, Mapping) else None
        missing = [key for key in self.shaping.primary_key if there is not None and key not in there]
        if missing:
            raise SchemaMismatch(
                repr(self.shaping.table),
                f"the records have no {', '.join(map(repr, missing))}, which is in its primary key;"
                f" they have {', '.join(map(repr, there or ()))}",
                "Correct primary_key=...",
                table=self.shaping.table,
                column=missing[0],
            )

    def widened(self, shape: Shape, records: Sequence[Any]) -> tuple[Shape, pa.RecordBatch]:
        """The shape that holds these records, too, and the records in it.

        Raises:
            Unfit: one of them does not fit.

        """
        wrong = set(map(type, records)) - {dict}
        if wrong:
            raise Unfit("", f"a record is {json_names(wrong)}, not an object", SchemaMismatch)
        if self.shaping.schema is None and not all(records):
            raise Unfit("", "a record has no fields, and no columns are declared that it could have", SchemaMismatch)
        if self._infers:
            shape = self._inference.widened(shape, records, "null" if self._evolves else self._shape)
        exact = self._exact if shape is self._shape else self._exact_for(shape)
        batch = exact.converted(records)
        if lacking := self._lacks_key(batch):
            raise Unfit(lacking, "it has no value there, and it is part of the primary key")
        return shape, batch

    def _lacks_key(self, batch: pa.RecordBatch) -> str | None:
        """A column of the primary key that has a null, where such records are set aside.

        Where misfits fail, it is for the destination to say whether it minds.
        """
        shaping = self.shaping
        if shaping.misfits == "fail":
            return None
        names = set(batch.schema.names)
        return next((key for key in shaping.primary_key if key in names and batch.column(key).null_count), None)

    def _exact_for(self, shape: Shape) -> RecordConverter:
        schema = schema_of(shape) if self._infers else self.shaping.schema
        return RecordConverter(self.shaping.table, cast("pa.Schema", schema), self.shaping.extra_fields)

    def _fast_now(self) -> ArrowJson:
        return ArrowJson(
            self._exact.schema, ignore_extra=self.shaping.extra_fields == "ignore", as_written=self._infers
        )


@dataclass(slots=True)
class _Taking:
    """One page whose records are looked at: which of them fit, and in which shape."""

    converter: Converter
    records: Sequence[Any]
    where: str
    shape: Shape
    fitting: list[Any] = field(default_factory=list)
    batches: list[pa.RecordBatch] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def readable(self, rows: Sequence[int], unfit: Mapping[int, Unfit]) -> list[tuple[int, Any]]:
        """The records of these numbers, without those that cannot be read or are known not to fit."""
        if self.converter.shaping.misfits == "fail" and not unfit:
            return [(row, self.records[row]) for row in rows]
        records = []
        for row in rows:
            try:
                record = self.records[row]
            except InvalidAnswer as error:
                if self.converter.shaping.misfits == "fail":
                    raise
                self._reject(row, Unfit(error.context.get("column") or "", error.fact))
                continue
            if row in unfit:
                self._reject(row, unfit[row])
            else:
                records.append((row, record))
        return records

    def take(self, records: Sequence[tuple[int, Any]]) -> None:
        """Take the records in order; what does not fit as a whole is halved until the misfits are alone.

        A shape holds all of some records exactly if it holds them one after the other, so that this is the same as
        taking each by itself, only faster.
        """
        if not records:
            return
        try:
            self.shape, batch = self.converter.widened(self.shape, [record for _, record in records])
        except Unfit as unfit:
            if len(records) == 1:
                self._reject(records[0][0], unfit)
                return
            middle = len(records) // 2
            self.take(records[:middle])
            self.take(records[middle:])
        else:
            self.fitting += [record for _, record in records]
            self.batches.append(batch)

    def _reject(self, row: int, unfit: Unfit) -> None:
        shaping = self.converter.shaping
        if shaping.misfits == "fail":
            raise unfit.error(shaping.table, row, self.where, _remedy(shaping, unfit)) from None
        self.rejected.append(
            {
                "record": self._text(row),
                "reason": unfit.fact,
                "path": unfit.path or None,
                "place": self.where,
                "row": row,
            }
        )

    def _text(self, row: int) -> str:
        records = self.records
        return records.text(row) if isinstance(records, Records) else _JSON.encode(records[row]).decode()

    def rejected_batch(self) -> pa.RecordBatch | None:
        """The rejected records in order; None if there are none."""
        rows = sorted(self.rejected, key=lambda one: one["row"])
        return pa.RecordBatch.from_pylist(rows, schema=REJECTED) if rows else None


def _declared(shaping: Shaping) -> Mapping[Path, pa.Field[Any]]:
    if shaping.schema is not None:
        return {(column.name,): column for column in shaping.schema}
    paths = [(tuple(path.split(".")), kind) for path, kind in shaping.types.items()]
    return {path: pa.field(path[-1], kind) for path, kind in paths}


def _remedy(shaping: Shaping, unfit: Unfit) -> str:
    aside = 'set such records aside: misfits="quarantine", of files allowed_misfits=...'
    if shaping.schema is None:
        column = f"the column with types={{{unfit.path!r}: ...}}, or " if unfit.path else ""
        return f"Declare {column}all columns with schema=..., or {aside}"
    if unfit.kind is SchemaMismatch:
        return f'Declare the field in the schema, leave such fields out: extra_fields="ignore", or {aside}'
    return f"Declare a type that holds such values, or {aside}"
