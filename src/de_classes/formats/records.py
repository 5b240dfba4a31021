"""JSON records to Arrow, column by column, and nothing changed in silence.

The records are what `Response.json(exact=True)` gives: dict, list, str, bool, None, int of any size, and Decimal for
numbers with a fraction. A column is gathered from all the records of a page at once and converted by Arrow, nested
ones level by level, so the work per value is done in C.

What a declared type takes:

=====================  ===========================================================================================
bool                   true and false
integers               whole numbers (also 1.0 and 1e3) within their range
floats                 numbers, to the nearest float; infinite results and whole numbers that would change are refused
decimals               numbers, and texts of numbers, that fit precision and scale without rounding
strings                texts
timestamp with zone    ISO 8601 texts with an offset or Z, with no more digits than the unit holds
timestamp, date, time  ISO 8601 texts without an offset
uuid, json             texts of UUIDs; anything at all, kept as JSON text
list, struct, map      arrays; objects with known names; objects with any names
=====================  ===========================================================================================

null, and a name that is missing in an object, become null where the field is nullable. A name in an object that is not
declared is refused, or left out if that was asked for.
"""

from __future__ import annotations

import math
import operator
import uuid
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa

from de_classes.errors import ConfigurationError, SchemaMismatch
from de_classes.utils.decimals import decimals_of_numbers, number_of_text

from .json_columns.columns import schema_of
from .json_columns.inference import Inference
from .json_columns.unfit import Unfit, json_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from de_classes.errors import DeClassesError

    from .json_columns.inference import Shape
    from .shaping import ExtraFields

__all__ = ["RecordConverter", "infer_schema", "infer_shape"]

_JSON = msgspec.json.Encoder(decimal_format="number")
_DECLARE = "Declare the columns: schema=..."


@dataclass(frozen=True, slots=True)
class RecordConverter:
    """Turns pages of records into batches of one schema."""

    table: str
    schema: pa.Schema
    extra_fields: ExtraFields = "refuse"

    def __post_init__(self) -> None:
        for field in self.schema:
            _check_type(self.table, field.name, field.type)

    def batch(self, records: Sequence[Any], where: str) -> pa.RecordBatch:
        """The records as one batch; `where` names the page in errors.

        Raises:
            SchemaMismatch: a record has a field that is not declared, or is no object.
            ValueNotHeld: a value that its column cannot hold; `table`, `column` and `row` (in the page) say which.

        """
        try:
            return self.converted(records)
        except Unfit as first:
            raise self._located(records, where, first) from None

    def converted(self, records: Sequence[Any]) -> pa.RecordBatch:
        """The records as one batch.

        Raises:
            Unfit: some do not fit; which of them is not looked for.

        """
        wrong = _types(records) - {dict}
        if wrong:
            raise Unfit("", f"a record is {json_names(wrong)}, not an object", SchemaMismatch)
        fields = list(self.schema)
        columns = _Columns(self.extra_fields == "ignore").children(records, fields, "", nulls=0)
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _located(self, records: Sequence[Any], where: str, first: Unfit) -> DeClassesError:
        """Find the record that does not fit; slow, and only done once something is known to be wrong."""
        row, found = 0, first
        for row, record in enumerate(records):  # noqa: B007 -- it is used afterwards
            try:
                self.converted([record])
            except Unfit as unfit:
                found = unfit
                break
        return found.error(self.table, row, where, _remedy(found.kind))


def _remedy(kind: type[DeClassesError]) -> str:
    if kind is SchemaMismatch:
        return 'Declare the field in the schema, or leave such fields out: extra_fields="ignore".'
    return "Declare a type that holds such values."


def infer_schema(table: str, records: Sequence[Any], where: str) -> pa.Schema:
    """The schema of some records, as is inferred for a resource, in the order in which names first come.

    Raises:
        SchemaMismatch: a column has values of several kinds, or a record is no object.

    """
    return schema_of(infer_shape(table, records, where))


def infer_shape(table: str, records: Sequence[Any], where: str) -> Shape:
    """The same as a shape, which `columns.told` makes JSON of."""
    wrong = _types(records) - {dict}
    if wrong:
        fact = f"{where}: a record is {json_names(wrong)}, not an object"
        raise SchemaMismatch(table, fact, "Name where the list of objects stands: records_at=...")
    try:
        return Inference().widened({}, records)
    except Unfit as unfit:
        raise SchemaMismatch(
            f"{table}.{unfit.path}" if unfit.path else table, f"{where}: {unfit.fact}", _DECLARE, table=table
        ) from None


@dataclass(frozen=True, slots=True)
class _Columns:
    """Converts columns of Python values, level by level."""

    ignore_extra: bool

    def children(
        self, objects: Sequence[Any], fields: Sequence[pa.Field[Any]], path: str, nulls: int
    ) -> list[pa.Array[Any]]:
        """One array per field out of objects, `nulls` of which are None."""
        names = [field.name for field in fields]
        present = [value for value in objects if value is not None] if nulls else objects
        extra = set(chain.from_iterable(present)).difference(names)
        if extra and not self.ignore_extra:
            listed = ", ".join(repr(name) for name in sorted(extra))
            raise Unfit(path, f"it has fields that are not declared: {listed}", SchemaMismatch)
        complete = not nulls and not extra and all(size == len(names) for size in map(len, objects))
        arrays = []
        for field in fields:
            name = field.name
            values = (
                list(map(operator.itemgetter(name), objects))
                if complete
                else [None if value is None else value.get(name) for value in objects]
            )
            arrays.append(self.column(values, field, _join(path, name), nulls))
        return arrays

    def column(self, values: list[Any], field: pa.Field[Any], path: str, parent_nulls: int = 0) -> pa.Array[Any]:
        """The array of one field."""
        array = self._of_type(values, field.type, path)
        if not field.nullable and array.null_count > parent_nulls:
            raise Unfit(path, "the value is missing or null, and the column may not be")
        return array

    def _of_type(self, values: list[Any], arrow: pa.DataType, path: str) -> pa.Array[Any]:
        if pa.types.is_struct(arrow):
            nulls = _count_nulls(values, dict, arrow, path)
            children = self.children(values, list(arrow), path, nulls)
            mask = _null_mask(values) if nulls else None
            if not children:
                return pa.array([None if value is None else {} for value in values], arrow)
            return pa.StructArray.from_arrays(children, fields=list(arrow), mask=mask)
        if pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
            return self._lists(values, arrow, path)
        if pa.types.is_map(arrow):
            return self._maps(values, arrow, path)
        return self._leaves(values, arrow, path)

    def _lists(self, values: list[Any], arrow: Any, path: str) -> pa.Array[Any]:
        nulls = _count_nulls(values, list, arrow, path)
        filled = [value or () for value in values] if nulls else values
        items = self.column(list(chain.from_iterable(filled)), arrow.value_field, path)
        kind: Any = pa.ListArray if pa.types.is_list(arrow) else pa.LargeListArray
        width = np.int32 if kind is pa.ListArray else np.int64
        mask = _null_mask(values) if nulls else None
        array: pa.Array[Any] = kind.from_arrays(_offsets(filled, width), items, type=arrow, mask=mask)
        return array

    def _maps(self, values: list[Any], arrow: Any, path: str) -> pa.Array[Any]:
        nulls = _count_nulls(values, dict, arrow, path)
        filled = [value or {} for value in values] if nulls else values
        keys = self.column(list(chain.from_iterable(filled)), arrow.key_field, path)
        items = self.column(list(chain.from_iterable(map(dict.values, filled))), arrow.item_field, path)
        offsets = _offsets(filled, np.int32)
        mask = _null_mask(values) if nulls else None
        maps: Any = pa.MapArray  # the stubs know an older signature
        array: pa.Array[Any] = maps.from_arrays(offsets, keys, items, type=arrow, mask=mask)
        return array

    def _leaves(self, values: list[Any], arrow: pa.DataType, path: str) -> pa.Array[Any]:
        accepted, convert = _leaf(arrow)
        kinds = _types(values)
        kinds.discard(type(None))
        if accepted is not None and not kinds <= accepted:
            raise Unfit(path, f"{json_names(kinds - accepted)} where {arrow} is declared")
        try:
            return convert(values, arrow, kinds)
        except (pa.ArrowException, ValueError, ArithmeticError, TypeError) as error:
            raise Unfit(path, f"{_shown(values)} does not fit {arrow} ({_first_line(error)})") from None


_Convert: TypeAlias = "Callable[[list[Any], Any, set[type]], pa.Array[Any]]"


def _as_is(values: list[Any], arrow: pa.DataType, kinds: set[type]) -> pa.Array[Any]:  # noqa: ARG001 -- one signature for all
    return pa.array(values, arrow)


def _integers(values: list[Any], arrow: pa.DataType, kinds: set[type]) -> pa.Array[Any]:
    if Decimal in kinds:
        values = [_whole(value) if type(value) is Decimal else value for value in values]
    return pa.array(values, arrow)


def _whole(value: Decimal) -> int:
    # Adjusted exponents first: 1e999999999 as an int would fill the memory.
    if value.adjusted() > 20 or value != value.to_integral_value():  # noqa: PLR2004 -- 2 ** 64 has 20 digits
        raise ValueError("not a whole number of 64 bits")
    return int(value)


def _floats(values: list[Any], arrow: pa.DataType, kinds: set[type]) -> pa.Array[Any]:
    if Decimal in kinds:
        values = [float(value) if type(value) is Decimal else value for value in values]
    if any(map(math.isinf, filter(None, values))):
        raise ValueError("beyond the range of a float")
    array = pa.array(values, arrow)
    if pa.types.is_float16(arrow) and any(
        type(n) is int and n != at.as_py() for n, at in zip(values, array, strict=True)
    ):
        raise ValueError("not exactly a float of 16 bits")  # of wider ones, Arrow says so
    if not pa.types.is_float64(arrow) and np.isinf(array.drop_null().to_numpy(zero_copy_only=False)).any():
        raise ValueError("beyond the range of a float")
    return array


def _decimals(values: list[Any], arrow: pa.DataType, kinds: set[type]) -> pa.Array[Any]:
    if kinds - {Decimal}:
        values = [_decimal(value) for value in values]
    array: pa.Array[Any] = decimals_of_numbers(values, arrow)
    return array


def _decimal(value: Any) -> Decimal | None:
    if type(value) is str:
        return number_of_text(value)
    return None if value is None else Decimal(value)


def _from_text(values: list[Any], arrow: pa.DataType, kinds: set[type]) -> pa.Array[Any]:  # noqa: ARG001 -- one signature for all
    return pa.array(values, pa.string()).cast(arrow)


def _times(values: list[Any], arrow: Any, kinds: set[type]) -> pa.Array[Any]:  # noqa: ARG001 -- one signature for all
    # Arrow parses timestamps but no times, so these get a day and lose it again.
    dated = [None if value is None else f"1970-01-01T{value}" for value in values]
    return pa.array(dated, pa.string()).cast(pa.timestamp(arrow.unit)).cast(arrow)


def _uuids(values: list[Any], arrow: Any, kinds: set[type]) -> pa.Array[Any]:  # noqa: ARG001 -- one signature for all
    storage = [None if value is None else uuid.UUID(value).bytes for value in values]
    return pa.ExtensionArray.from_storage(arrow, pa.array(storage, pa.binary(16)))


def _json_texts(values: list[Any], arrow: Any, kinds: set[type]) -> pa.Array[Any]:  # noqa: ARG001 -- one signature for all
    texts = [None if value is None else _JSON.encode(value).decode() for value in values]
    return pa.ExtensionArray.from_storage(arrow, pa.array(texts, arrow.storage_type))


_LEAVES: tuple[tuple[Callable[[Any], bool], set[type] | None, _Convert], ...] = (
    (pa.types.is_boolean, {bool}, _as_is),
    (pa.types.is_integer, {int, Decimal}, _integers),
    (pa.types.is_floating, {int, Decimal, float}, _floats),
    (pa.types.is_decimal, {int, Decimal, str}, _decimals),
    (pa.types.is_string, {str}, _as_is),
    (pa.types.is_large_string, {str}, _as_is),
    (pa.types.is_string_view, {str}, _as_is),
    (pa.types.is_timestamp, {str}, _from_text),
    (pa.types.is_date32, {str}, _from_text),
    (pa.types.is_time, {str}, _times),
    (pa.types.is_null, set(), _as_is),
    (lambda arrow: isinstance(arrow, pa.UuidType), {str}, _uuids),
    (lambda arrow: isinstance(arrow, pa.JsonType), None, _json_texts),
)
"""Test of an Arrow type, the Python types that it takes (None: any), and the conversion."""


def _leaf(arrow: pa.DataType) -> tuple[set[type] | None, _Convert]:
    return next((accepted, convert) for test, accepted, convert in _LEAVES if test(arrow))


def _check_type(table: str, path: str, arrow: Any) -> None:
    if pa.types.is_struct(arrow):
        for child in arrow:
            _check_type(table, _join(path, child.name), child.type)
    elif pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
        _check_type(table, path, arrow.value_type)
    elif pa.types.is_map(arrow) and pa.types.is_string(arrow.key_type):
        _check_type(table, path, arrow.item_type)
    elif not any(test(arrow) for test, _, _ in _LEAVES):
        raise ConfigurationError(
            f"{table}.{path}",
            f"is declared as {arrow}, which is not read from JSON",
            "Declare it as text and convert it with a transform.",
        )


def _types(values: Sequence[Any]) -> set[type]:
    return set(map(type, values))


def _count_nulls(values: list[Any], wanted: type, arrow: pa.DataType, path: str) -> int:
    kinds = _types(values)
    wrong = kinds - {wanted, type(None)}
    if wrong:
        raise Unfit(path, f"{json_names(wrong)} where {arrow} is declared")
    return values.count(None) if type(None) in kinds else 0


def _null_mask(values: list[Any]) -> pa.Array[Any]:
    return pa.array([value is None for value in values], pa.bool_())


def _offsets(values: list[Any], width: Any) -> pa.Array[Any]:
    offsets = np.zeros(len(values) + 1, width)
    np.cumsum(np.fromiter(map(len, values), width, len(values)), out=offsets[1:])
    return pa.array(offsets)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shown(values: list[Any]) -> str:
    """The value, where there is only one, as it is once the record has been found."""
    present = [value for value in values if value is not None]
    if len(present) != 1:
        return "a value"
    text = repr(present[0]) if isinstance(present[0], str) else str(present[0])
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 -- enough to recognise it


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:160]
