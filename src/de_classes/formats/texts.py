"""Columns of texts to columns of declared types: a text that is not exactly a value of the type is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from de_classes.errors import ConfigurationError
from de_classes.utils.decimals import decimals_of_texts

from .json_columns.unfit import Unfit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["check_types", "misfitting", "typed"]

_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_SPELLINGS: Mapping[Callable[[Any], bool], str] = {
    pa.types.is_integer: r"^-?[0-9]+$",  # Arrow would read 0x10, too
    pa.types.is_floating: rf"{_NUMBER}|^[+-]?(nan|NaN|inf|Infinity|infinity|Inf)$",
}
_TRUE = pa.array(["true", "True", "TRUE", "t", "1"])
_FALSE = pa.array(["false", "False", "FALSE", "f", "0"])
_HELD: tuple[Callable[[Any], bool], ...] = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_float32,
    pa.types.is_float64,
    pa.types.is_decimal,
    pa.types.is_timestamp,
    pa.types.is_date32,
    pa.types.is_time,
)


def check_types(table: str, schema: pa.Schema) -> None:
    """Refuse types that no text has a value of, all at once.

    Raises:
        ConfigurationError: there are some, or a name comes twice.

    """
    wrong = [f"{field.name!r} is {field.type}" for field in schema if not any(is_such(field.type) for is_such in _HELD)]
    wrong += [f"{name!r} comes twice" for name in sorted({n for n in schema.names if schema.names.count(n) > 1})]
    if wrong:
        raise ConfigurationError(
            f"the schema of {table!r}", "; ".join(wrong), "Declare another type, such as a text, and convert it later."
        )


def typed(texts: pa.Table, schema: pa.Schema) -> pa.RecordBatch:
    """The columns of the schema, by name; those that there are no texts of are null.

    Raises:
        Unfit: a text is no value of its column; which row has it is not looked for.

    """
    columns = []
    for field in schema:
        if field.name not in texts.column_names:
            columns.append(pa.nulls(texts.num_rows, field.type))
            continue
        column: Any = texts.column(field.name).combine_chunks()
        try:
            columns.append(_converted(column, field))
        except (pa.ArrowException, ValueError) as error:
            raise Unfit(field.name, _fact(column, field, error)) from None
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def misfitting(texts: pa.Table, schema: pa.Schema) -> dict[int, Unfit]:
    """The rows that have a text which is no value of its column, each with the first such."""
    found: dict[int, Unfit] = {}
    for field in schema:
        if field.name in texts.column_names:
            column: Any = texts.column(field.name).combine_chunks()
            for row, fact in _wrong(column, field, 0):
                found.setdefault(row, Unfit(field.name, fact))
    return found


def _wrong(texts: Any, field: pa.Field[Any], first: int) -> Iterator[tuple[int, str]]:
    """The numbers of wrong texts: what does not fit as a whole is halved until they are alone."""
    try:
        _converted(texts, field)
    except (pa.ArrowException, ValueError) as error:
        if len(texts) == 1:
            yield first, _fact(texts, field, error)
            return
        middle = len(texts) // 2
        yield from _wrong(texts.slice(0, middle), field, first)
        yield from _wrong(texts.slice(middle), field, first + middle)


def _converted(texts: Any, field: pa.Field[Any]) -> Any:
    if not field.nullable and texts.null_count:
        raise ValueError("it is null, and the column may not be")
    kind: Any = field.type
    if pa.types.is_boolean(kind):
        return _booleans(texts)
    if pa.types.is_decimal(kind):
        return decimals_of_texts(texts, kind)
    for is_such, spelling in _SPELLINGS.items():
        if is_such(kind) and pc.all(pc.match_substring_regex(texts, spelling)).as_py() is False:
            raise ValueError(f"no {kind}")
    if pa.types.is_time(kind):
        # Arrow parses timestamps but no times, so these get a day and lose it again.
        dated: Any = pc.binary_join_element_wise(pa.scalar("1970-01-01T"), texts, pa.scalar(""))
        return dated.cast(pa.timestamp(kind.unit)).cast(kind)
    array = texts.cast(kind)
    if pa.types.is_floating(kind):
        told = pc.match_substring_regex(texts, "[iI]nf")
        if pc.any(pc.and_not(pc.is_inf(array), told)).as_py():
            raise ValueError("beyond the range of a float")
    return array


def _booleans(texts: Any) -> Any:
    yes, no = pc.is_in(texts, _TRUE), pc.is_in(texts, _FALSE)
    if pc.all(pc.or_(pc.or_(yes, no), pc.is_null(texts))).as_py() is False:
        raise ValueError("neither true nor false")
    return pc.if_else(pc.is_valid(texts), yes, pa.scalar(None, pa.bool_()))


def _fact(texts: Any, field: pa.Field[Any], error: Exception) -> str:
    told = str(error).partition("\n")[0]
    if len(texts) != 1 or not texts[0].is_valid:
        return told
    return f"{texts[0].as_py()[:80]!r} does not fit {field.type} ({told})"
