"""Records to Arrow by Arrow's own JSON parser: fast, and trusted only where it is exact.

`RecordConverter` says what a page means and why it is wrong; it makes an object of every value. Arrow's parser makes
none, and is several times as fast, but it rounds large whole numbers into floats, knows no defaults of ours and tells
errors in its own words. So a page goes through it only when its columns are of types that it reads as we do, and what
it gives is used only when nothing in the page could have been changed: otherwise `read` returns None, and the converter
decides. A property test holds the two against each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute
import pyarrow.json

from de_classes.utils.schemas import is_within_floats

from .digits import MOST_SCALE, decimals_are_safe, floats_hold
from .inference import WITHIN_FLOATS, are_moments

if TYPE_CHECKING:
    from collections.abc import Callable

    from .pages import Records

__all__ = ["ArrowJson"]

pc: Any = pyarrow.compute
"""The kernels; the stubs want to know types that are known only when a page comes."""

_EXACT_BELOW = 2.0**53
"""Whole numbers up to this are floats, each of them."""
_INFERRED_DECIMAL = pa.decimal128(38, 0)
_INFERRED_TIMESTAMP = pa.timestamp("us", "UTC")
_MOST_BYTES = 2**31 - 1
"""Arrow counts the bytes of a block, and of a column of texts, in 32 bits."""


class ArrowJson:
    """Reads pages into batches of one schema, where that is certain to be exact.

    Args:
        schema: of the batches. A column of a type that is not read here makes every page come back as None.
        ignore_extra: leave fields out that the schema does not name, instead of giving the page back.
        as_written: read only what `inference` would find these very columns in: give a page back in which a float could
            be another number than the one that is written, one with fractions or texts in a decimal of 38 digits, and
            one whose timestamps are not of the usual kind.

    Whole numbers beyond 2 ** 53 in a column that is marked as without such give a page back, too.
    """

    def __init__(self, schema: pa.Schema, *, ignore_extra: bool, as_written: bool) -> None:
        self._schema = schema
        self._readable = _is_read(pa.struct(list(schema)))
        self._infers = as_written
        self._as_written = as_written and _has(schema, pa.types.is_floating)
        self._whole = None
        if as_written and self._readable:
            try:
                self._whole = _reader_of_whole(pa.struct(list(schema)))
            except ValueError:  # names with quotes and backslashes cannot be looked for
                self._readable = False
        self._parsing = _parsing(schema, ignore_extra=ignore_extra)
        self._scale = max(_scales(pa.struct(list(schema))), default=None)

    def read(self, records: Records) -> pa.RecordBatch | None:
        """The page as a batch; None where it is not certain that this is what it says."""
        if not self._readable or not records or not records.are_objects:  # the parser crashes on a null
            return None
        if self._whole is not None and not records.are_like(self._whole):
            return None
        text = records.lines()
        if len(text) >= _MOST_BYTES or (self._as_written and not floats_hold(text)):
            return None
        if self._scale is not None and not decimals_are_safe(text, self._scale):
            return None
        try:
            return self._read(text, len(records))
        except (pa.ArrowException, UnicodeDecodeError, _UncertainError):
            return None

    def _read(self, text: bytes, rows: int) -> pa.RecordBatch:
        text.decode()  # Arrow's parser does not look whether it is UTF-8
        # One block for the page: what is cut would have to be looked for line by line.
        options: Any = pyarrow.json.ReadOptions(use_threads=False, block_size=len(text) + 1)
        source: Any = pa.BufferReader(text)
        table = pyarrow.json.read_json(source, read_options=options, parse_options=self._parsing)
        if table.num_rows != rows or table.schema.names != self._schema.names:
            raise _UncertainError
        columns = [
            self._as_declared(column.combine_chunks(), field)
            for column, field in zip(table.columns, self._schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _as_declared(self, array: Any, field: pa.Field[Any], parent: Any = None) -> Any:
        """The array in the field's type; `parent` is the struct that it is in."""
        kind: Any = field.type
        if pa.types.is_struct(kind):
            children = [self._as_declared(array.field(n), child, array) for n, child in enumerate(kind)]
            array = pa.StructArray.from_arrays(children, fields=list(kind), mask=array.is_null())
        elif pa.types.is_list(kind):
            array = pa.ListArray.from_arrays(
                array.offsets, self._as_declared(array.values, kind.value_field), type=kind, mask=array.is_null()
            )
        elif pa.types.is_float64(kind):
            _check_floats(array)
        elif pa.types.is_int64(kind) and is_within_floats(field):
            _check_range(array)
        elif array.type != kind:
            if self._infers and kind == _INFERRED_TIMESTAMP and not are_moments(array):
                raise _UncertainError
            array = array.cast(kind)
        if not field.nullable and _has_gaps(array, parent):
            raise _UncertainError
        return array


class _UncertainError(Exception):
    """Something in the page might not be what it was parsed as."""


def _is_read(kind: Any) -> bool:
    """Whether Arrow's parser reads the type as we do, perhaps as text first."""
    if pa.types.is_struct(kind):
        names = [field.name for field in kind]
        return 0 < len(names) == len(set(names)) and all(_is_read(field.type) for field in kind)
    if pa.types.is_list(kind):
        return _is_read(kind.value_type)
    return (
        pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_float64(kind)
        or pa.types.is_string(kind)
        or pa.types.is_null(kind)
        or pa.types.is_timestamp(kind)
        or pa.types.is_date32(kind)
        or (pa.types.is_decimal128(kind) and 0 <= kind.scale <= MOST_SCALE)
    )


def _reader_of_whole(kind: Any) -> msgspec.json.Decoder[Any] | None:
    """A decoder that only takes whole numbers where there are decimals of 38 digits; None where there are none."""
    takes = _taking_whole(kind)
    return None if takes is Any else msgspec.json.Decoder(takes)


def _taking_whole(kind: Any) -> Any:
    if pa.types.is_struct(kind):
        inner = [(field.name, _taking_whole(field.type)) for field in kind]
        members = [(f"at{n}", of, msgspec.field(name=name, default=None)) for n, (name, of) in enumerate(inner)]
        members = [member for member in members if member[1] is not Any]
        return msgspec.defstruct("Whole", members) | None if members else Any
    if pa.types.is_list(kind):
        item = _taking_whole(kind.value_type)
        return Any if item is Any else list[item] | None  # type: ignore[valid-type]
    return int | None if kind == _INFERRED_DECIMAL else Any


def _parsing(schema: pa.Schema, *, ignore_extra: bool) -> Any:
    options: Any = pyarrow.json.ParseOptions
    return options(
        explicit_schema=pa.schema([pa.field(field.name, _parsed_as(field.type)) for field in schema]),
        unexpected_field_behavior="ignore" if ignore_extra else "error",
        newlines_in_values=True,
    )


def _parsed_as(kind: Any) -> Any:
    """The type itself; JSON has moments as texts, and they are cast as the converter casts them."""
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _parsed_as(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(pa.field(kind.value_field.name, _parsed_as(kind.value_type)))
    return pa.string() if pa.types.is_timestamp(kind) or pa.types.is_date32(kind) else kind


def _has(kind: Any, is_such: Callable[[Any], bool]) -> bool:
    """Whether a type, or a schema, holds such a type."""
    if isinstance(kind, pa.Schema) or pa.types.is_struct(kind):
        return any(_has(field.type, is_such) for field in kind)
    return _has(kind.value_type, is_such) if pa.types.is_list(kind) else is_such(kind)


def _scales(kind: Any) -> list[int]:
    """Of all decimals in a type."""
    if pa.types.is_struct(kind):
        return [scale for field in kind for scale in _scales(field.type)]
    if pa.types.is_list(kind):
        return _scales(kind.value_type)
    return [kind.scale] if pa.types.is_decimal(kind) else []


def _check_floats(array: Any) -> None:
    """Whole numbers beyond 2 ** 53 may have been rounded, and numbers beyond the range have become infinite."""
    largest = pc.max(pc.abs(array)).as_py()
    if largest is not None and largest >= _EXACT_BELOW:
        raise _UncertainError


def _check_range(array: Any) -> None:
    """A column that could still become floats must only have whole numbers that floats hold."""
    bounds = pc.min_max(array).as_py()
    if bounds["max"] is not None and max(bounds["max"], -bounds["min"]) > WITHIN_FLOATS:
        raise _UncertainError


def _has_gaps(array: Any, parent: Any) -> bool:
    """Whether there is a null where the parent is none."""
    if not array.null_count:
        return False
    if parent is None or not parent.null_count:
        return True
    return bool(pc.any(pc.and_(array.is_null(), parent.is_valid())).as_py())
