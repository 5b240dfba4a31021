"""Columns in other types, value for value the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from de_classes.errors import ConfigurationError, SchemaMismatch, ValueNotHeld
from de_classes.utils.decimals import decimals_of_texts
from de_classes.utils.value_hash import hash_values

from ._schema import check_names, require, with_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Cast"]


@dataclass(frozen=True, init=False, repr=False)
class Cast:
    """Give columns other types, where every value fits: `Cast({"total": pa.decimal128(12, 2)})`.

    Nothing is rounded, cut or wrapped. A value fits when casting it back would give it again; so `1.5` is no integer,
    `2` no boolean, and half past noon no date. A float becomes the decimal that its shortest text shows (0.1 is 0.1),
    if the decimal has the digits for it. Text is read as Arrow reads it (ISO dates and times, with an offset exactly if
    the type has a zone), and must fit too, but the float nearest to a text will do. Between moments with a zone and
    times without there is no cast: which zone is meant, an expression says, with `assume_timezone` or
    `local_timestamp`. A column that changes its type loses its metadata, which told of the old one.
    """

    types: tuple[tuple[str, pa.DataType], ...]

    def __init__(self, types: Mapping[str, pa.DataType]) -> None:
        if not hasattr(types, "items"):
            raise ConfigurationError("Cast", f"{types!r} is no mapping", 'Pass {"column": pyarrow type}.')
        check_names("Cast", list(types))
        strangers = [f"{type_!r} for {name!r}" for name, type_ in types.items() if not isinstance(type_, pa.DataType)]
        if strangers:
            raise ConfigurationError(
                "Cast", f"no Arrow types: {', '.join(strangers)}", "Pass types such as pyarrow.int64()."
            )
        object.__setattr__(self, "types", tuple(types.items()))

    def __repr__(self) -> str:
        return f"Cast({{{', '.join(f'{name!r}: {type_}' for name, type_ in self.types)}}})"

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Cast one batch.

        Raises:
            ValueNotHeld: naming the column and the first row, counted from 0 in the batch, whose value does not fit.
            SchemaMismatch: a column is missing, or there is no cast between its type and the wanted one.

        """
        require(self, (name for name, _ in self.types), batch.schema)
        changed = []
        for name, type_ in self.types:
            field = batch.schema.field(name)
            if field.type != type_:
                new_field: pa.Field[Any] = pa.field(name, type_, field.nullable)
                changed.append((new_field, self._column(name, batch.column(name), type_)))
        return with_columns(batch, changed)

    def _column(self, name: str, column: pa.Array[Any], type_: pa.DataType) -> pa.Array[Any]:
        try:
            _cast(column.slice(0, 0), type_)
        except (_NoCastError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SchemaMismatch(
                repr(self),
                f"there is no cast of column {name!r} from {column.type} to {type_} that keeps its values",
                "Use Derive with an expression or a function that says what is meant.",
            ) from error
        try:
            cast: pa.Array[Any] = _cast(column, type_)
        except (_UnfitError, ValueError) as error:
            row = _first_unfit(column, type_)
            raise ValueNotHeld(
                repr(self),
                f"{_shown(column[row])} in column {name!r}, row {row} of the batch, does not fit in {type_}",
                "Choose a type that holds it, or filter or mend such values before.",
                table=None,
                column=name,
                row=row,
            ) from error
        return cast


class _UnfitError(Exception):
    """Some value does not fit."""


class _NoCastError(Exception):
    """No value of the one type has an equal in the other."""


def _first_unfit(column: pa.Array[Any], type_: pa.DataType) -> int:
    """The first row that cannot be cast: looked for by halves, where a half that holds it is cast again."""
    first, rows = 0, len(column)
    while rows > 1:
        half = rows // 2
        if _fits(column.slice(first, half), type_):
            first += half
            rows -= half
        else:
            rows = half
    return first


def _fits(column: pa.Array[Any], type_: pa.DataType) -> bool:
    try:
        _cast(column, type_)
    except (_UnfitError, ValueError):
        return False
    return True


def _shown(value: pa.Scalar[Any]) -> str:
    """A value in a message: told short, since it may be a whole document."""
    limit = 80
    text = repr(value.as_py()) if _is_text(value.type) else str(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


# --- One array ------------------------------------------------------------------------------------------------------


def _cast(array: Any, type_: Any) -> Any:
    """Cast, or raise _UnfitError, _NoCastError, ValueError, or what Arrow raises."""
    if array.type == type_:
        return array
    if pt.is_dictionary(array.type):
        return _cast(array.dictionary_decode(), type_)
    if pt.is_null(array.type):
        return pa.nulls(len(array), type_)
    if _is_plain_list(array.type) and _is_plain_list(type_):
        return _cast_lists(array, type_)
    if pt.is_struct(array.type) and pt.is_struct(type_):
        return _cast_structs(array, type_)
    return _cast_flat(array, type_)


def _cast_flat(array: Any, type_: Any) -> Any:
    if isinstance(array.type, pa.BaseExtensionType) and array.type.storage_type == type_:
        return array.storage
    if isinstance(array.type, pa.BaseExtensionType) or isinstance(type_, pa.BaseExtensionType):
        raise _NoCastError  # what its storage means, only the extension type knows
    if _zoned(array.type) is not _zoned(type_) and _tells_time(array.type) and _tells_time(type_):
        raise _NoCastError
    cast = _convert(array, type_)
    if not _is_text(array.type) and not _is_text(type_):
        _check_same(_convert(cast, array.type), array)
    return cast


def _convert(array: Any, type_: pa.DataType) -> Any:
    """Cast by the way that loses least; what is lost nevertheless shows when the result is converted back."""
    if pt.is_decimal(type_) and pt.is_integer(array.type):
        return array.cast(pa.decimal256(76, max(type_.scale, 0))).cast(type_)  # Arrow asks for room for any integer
    if (pt.is_decimal(type_) and pt.is_floating(array.type)) or (pt.is_floating(type_) and pt.is_decimal(array.type)):
        array = array.cast(pa.string())  # the shortest text, which names one float only
    if pt.is_decimal(type_) and _is_text(array.type):
        return decimals_of_texts(array, type_)
    cast = array.cast(type_)
    if pt.is_floating(type_) and _is_text(array.type):
        _check_finite(array, cast)
    return cast


def _check_same(back: pa.Array[Any], array: pa.Array[Any]) -> None:
    if not np.array_equal(hash_values(back), hash_values(array)):
        raise _UnfitError


def _check_finite(texts: Any, floats: Any) -> None:
    """Arrow reads numbers that are too large as infinite."""
    infinite = pc.is_inf(floats).fill_null(fill_value=False)
    if not pc.all(pc.match_substring(texts.filter(infinite), "inf", ignore_case=True), min_count=0).as_py():
        raise _UnfitError


def _cast_lists(array: Any, type_: Any) -> Any:
    lengths = pc.list_value_length(array).fill_null(0).to_numpy()
    offsets = np.zeros(len(array) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    values = _cast(array.flatten(), type_.value_type)
    from_arrays: Callable[..., pa.Array[Any]] = pa.LargeListArray.from_arrays
    return from_arrays(pa.array(offsets), values, mask=array.is_null()).cast(type_)


def _cast_structs(array: Any, type_: Any) -> Any:
    if sorted(field.name for field in array.type) != sorted(field.name for field in type_):
        raise _NoCastError
    children = dict(zip((field.name for field in array.type), array.flatten(), strict=True))
    cast = [_cast(children[field.name], field.type) for field in type_]
    return pa.StructArray.from_arrays(cast, fields=list(type_), mask=array.is_null())


def _is_plain_list(type_: pa.DataType) -> bool:
    return pt.is_list(type_) or pt.is_large_list(type_)


def _is_text(type_: pa.DataType) -> bool:
    return any(
        is_such(type_)
        for is_such in (pt.is_string, pt.is_large_string, pt.is_string_view, pt.is_binary, pt.is_large_binary)
    )


def _zoned(type_: Any) -> bool:
    return pt.is_timestamp(type_) and type_.tz is not None


def _tells_time(type_: pa.DataType) -> bool:
    return pt.is_timestamp(type_) or pt.is_date(type_) or pt.is_time(type_)
