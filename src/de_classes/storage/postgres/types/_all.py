"""The type table: PostgreSQL <-> Arrow <-> DDL. Every part that needs to know a type asks here.

=====================================  ============================  ===================================================
PostgreSQL                             Arrow                         remarks
=====================================  ============================  ===================================================
smallint, integer, bigint              int16, int32, int64
real, double precision                 float32, float64              NaN, infinities and -0.0 included
numeric(p,s), p up to 38 | 76          decimal128 | decimal256       NaN is refused: a decimal cannot hold it
numeric, numeric(p,s) beyond 76        string                        exact text, NaN and Infinity included
text, varchar, varchar(n), char(n)     string                        char(n) comes padded, as PostgreSQL gives it
boolean, bytea                         bool, binary
date                                   date32                        `infinity` is refused
timestamp                              timestamp[us]                 `infinity` and after 294247-01-10 are refused
timestamptz                            timestamp[us, UTC]            same; the instant is kept, as in PostgreSQL
time                                   time64[us]                    24:00 is refused
uuid                                   string                        every engine and file format has strings
json, jsonb                            string                        the text as PostgreSQL gives it
enum                                   string                        the labels travel in the metadata
arrays of these                        list of these                 one dimension, counted from 1; others are refused
=====================================  ============================  ===================================================

"Refused" is `ValueNotHeld`, which names table, column and row. The type itself travels in the field's metadata under
`de_classes.postgres_type`, so that PostgreSQL -> Parquet -> PostgreSQL gives back the same DDL; it counts as long as
the field has the Arrow type of the table. Other Arrow types get the DDL that holds all their values (`natural_type`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.errors import UnknownType
from de_classes.storage.postgres.identifiers import TableName, quoted, shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "TYPE_KEY",
    "Column",
    "PgType",
    "arrow_type",
    "columns_of_schema",
    "holds",
    "natural_type",
    "refuse_unknown",
    "type_from_catalogue",
]

TYPE_KEY = b"de_classes.postgres_type"

_ARROW: Mapping[str, pa.DataType] = {
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "text": pa.string(),
    "varchar": pa.string(),
    "char": pa.string(),
    "bpchar": pa.string(),
    "boolean": pa.bool_(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
    "time": pa.time64("us"),
    "uuid": pa.string(),
    "json": pa.string(),
    "jsonb": pa.string(),
    "enum": pa.string(),
}

_CATALOGUE = {
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "numeric": "numeric",
    "text": "text",
    "varchar": "varchar",
    "bpchar": "char",
    "bool": "boolean",
    "bytea": "bytea",
    "date": "date",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
    "time": "time",
    "uuid": "uuid",
    "json": "json",
    "jsonb": "jsonb",
}
"""pg_type.typname -> the name that DDL uses."""

_DECIMAL128, _DECIMAL256 = 38, 76
_NO_MODIFIER = -1

_TEXT = re.compile(r"([a-z][a-z ]*?)(?:\((-?\d+(?:,-?\d+)*)\))?(\[\])?")
_ENUM = re.compile(r'enum "((?:[^"]|"")*)" \(((?:\'(?:[^\']|\'\')*\'(?:, )?)*)\)(\[\])?', re.DOTALL)
_LABEL = re.compile(r"'((?:[^']|'')*)'", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PgType:
    """A PostgreSQL type: `numeric(12,2)`, `timestamptz(3)[]`, an enum with its labels.

    A `base` that is not in the type table is one that exists in some database and that de-classes cannot read.
    """

    base: str
    arguments: tuple[int, ...] = ()
    array: bool = False
    enum: str = ""
    """The name of an enum, without its schema: in a destination it belongs to the destination's schema."""
    labels: tuple[str, ...] = ()

    @property
    def element(self) -> PgType:
        """The type of an array's elements; for others, the type itself."""
        return replace(self, array=False)

    @property
    def known(self) -> bool:
        """Whether it is in the type table."""
        return self.base in _ARROW or self.base == "numeric"

    def ddl(self, schema: str) -> str:
        """The type as DDL, with enums in this schema."""
        name = TableName(schema, self.enum).sql if self.base == "enum" else self._plain()
        return name + "[]" * self.array

    def _plain(self) -> str:
        return self.base + (f"({','.join(map(str, self.arguments))})" if self.arguments else "")

    def __str__(self) -> str:
        if self.base != "enum":
            return self._plain() + "[]" * self.array
        labels = ", ".join("'" + label.replace("'", "''") + "'" for label in self.labels)
        return f"enum {quoted(self.enum)} ({labels})" + "[]" * self.array

    @classmethod
    def parse(cls, text: str) -> PgType | None:
        """Read what `str` gave; None for what is no type of the table."""
        if found := _ENUM.fullmatch(text):
            name, labels, array = found.groups()
            told = tuple(label.replace("''", "'") for label in _LABEL.findall(labels))
            return cls("enum", array=bool(array), enum=name.replace('""', '"'), labels=told)
        if found := _TEXT.fullmatch(text):
            base, arguments, array = found.groups()
            type_ = cls(base, tuple(map(int, arguments.split(","))) if arguments else (), bool(array))
            return type_ if type_.known and base != "enum" else None
        return None


def type_from_catalogue(  # noqa: PLR0913 -- the columns of one catalogue query
    name: str, modifier: int, *, builtin: bool, array: bool, labels: Sequence[str], formatted: str
) -> PgType:
    """Make the type of what the catalogue says: typname of the element, atttypmod, labels of an enum, format_type."""
    if labels:
        return PgType("enum", array=array, enum=name, labels=tuple(labels))
    base = _CATALOGUE.get(name) if builtin else None
    if base is None:
        return PgType(formatted)
    if modifier == _NO_MODIFIER:
        return PgType("bpchar" if base == "char" else base, array=array)
    return PgType(base, _arguments(base, modifier), array)


def _arguments(base: str, modifier: int) -> tuple[int, ...]:
    """Take a modifier apart (numeric.c: precision above 16 bits, scale in 11 bits with a sign; both offset by 4)."""
    if base == "numeric":
        packed = modifier - 4
        return (packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024
    if base in {"varchar", "char"}:
        return (modifier - 4,)
    return (modifier,) if base in {"timestamp", "timestamptz", "time"} else ()


def arrow_type(type_: PgType) -> pa.DataType:
    """The Arrow type that holds the values of a type of the table."""
    if type_.array:
        return pa.list_(arrow_type(type_.element))
    if type_.base != "numeric":
        return _ARROW[type_.base]
    if not type_.arguments:
        return pa.string()
    precision, scale = type_.arguments
    # numeric(2,5) holds 0.00099, numeric(2,-3) holds 99000: Arrow and Parquet want 0 <= scale <= precision.
    digits, places = max(precision, scale, precision - scale), max(scale, 0)
    if digits <= _DECIMAL128:
        return pa.decimal128(digits, places)
    return pa.decimal256(digits, places) if digits <= _DECIMAL256 else pa.string()


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table or of a query's result."""

    name: str
    type: PgType
    nullable: bool = True

    @property
    def field(self) -> pa.Field[Any]:
        """The Arrow field, with the type in its metadata."""
        return pa.field(self.name, arrow_type(self.type), self.nullable, {TYPE_KEY: str(self.type).encode()})


def refuse_unknown(subject: str, columns: Sequence[Column]) -> None:
    """Raise UnknownType that names all columns whose types are not in the table."""
    unknown = [f"{column.name} {column.type.base}" for column in columns if not column.type.known]
    if unknown:
        raise UnknownType(
            subject,
            f"de-classes does not read these columns' types yet: {', '.join(unknown)}",
            "Read it by a query that leaves them out or casts them, such as SELECT column::text.",
            columns=unknown,
        )


# --- From Arrow -------------------------------------------------------------------------------------------------------


def columns_of_schema(subject: str, schema: pa.Schema) -> list[Column]:
    """The columns that hold a schema's values, in its order; names over 63 bytes are shortened.

    Raises:
        UnknownType: for some columns there is no such type; all are named.

    """
    found = [(field, natural_type(field)) for field in schema]
    unknown = [f"{field.name} {field.type}" for field, type_ in found if type_ is None]
    if unknown:
        raise UnknownType(
            subject,
            f"PostgreSQL has no type here for these columns: {', '.join(unknown)}",
            "Cast or drop them in a transform.",
            columns=unknown,
        )
    return [Column(shortened(field.name), type_, field.nullable) for field, type_ in found if type_]


def natural_type(field: pa.Field[Any]) -> PgType | None:
    """The type that holds every value of a field: the one it came from, or the smallest that will do; None if none."""
    plain = _plain(field.type)
    told = PgType.parse((field.metadata or {}).get(TYPE_KEY, b"").decode(errors="replace"))
    if told is not None and arrow_type(told) == plain:
        return told
    if pa.types.is_list(plain):
        element = _scalar(plain.value_type)
        # A list within a list is no array of PostgreSQL's (those have no NULL rows and one length), but it is JSON.
        if element is None or element.base == "jsonb":
            return PgType("jsonb") if _is_json(plain) else None
        return replace(element, array=True)
    return _scalar(plain)


_FROM_ARROW: Mapping[pa.DataType, PgType] = {
    pa.null(): PgType("text"),
    pa.bool_(): PgType("boolean"),
    pa.int8(): PgType("smallint"),
    pa.int16(): PgType("smallint"),
    pa.int32(): PgType("integer"),
    pa.int64(): PgType("bigint"),
    pa.uint8(): PgType("smallint"),
    pa.uint16(): PgType("integer"),
    pa.uint32(): PgType("bigint"),
    pa.uint64(): PgType("numeric", (20, 0)),
    pa.float16(): PgType("real"),
    pa.float32(): PgType("real"),
    pa.float64(): PgType("double precision"),
    pa.string(): PgType("text"),
    pa.binary(): PgType("bytea"),
    pa.date32(): PgType("date"),
    pa.date64(): PgType("date"),
}


def _scalar(plain: Any) -> PgType | None:  # noqa: PLR0911 -- the rest of the table
    if plain in _FROM_ARROW:
        return _FROM_ARROW[plain]
    if pa.types.is_decimal(plain):
        # A negative scale means trailing zeros before the point.
        return PgType("numeric", (plain.precision - min(plain.scale, 0), max(plain.scale, 0)))
    if pa.types.is_timestamp(plain):
        return PgType("timestamptz" if plain.tz else "timestamp")
    if pa.types.is_time(plain):
        return PgType("time")
    if isinstance(plain, pa.UuidType):
        return PgType("uuid")
    if isinstance(plain, pa.JsonType) or _is_json(plain):
        return PgType("jsonb")
    return None


def _is_json(plain: Any) -> bool:
    """Whether it is nested of what JSON holds exactly: structs and lists of truth values, numbers, text and moments."""
    if pa.types.is_struct(plain):
        # Of two fields of one name, jsonb keeps one.
        names = {field.name for field in plain}
        return plain.num_fields == len(names) and all(_is_json_value(_plain(field.type)) for field in plain)
    return pa.types.is_list(plain) and _is_json_value(_plain(plain.value_type))


def _is_json_value(plain: Any) -> bool:
    type_ = _scalar(plain)
    return _is_json(plain) or (type_ is not None and type_.base != "bytea" and not isinstance(plain, pa.JsonType))


def _plain(type_: Any) -> Any:
    """The type without the ways of Arrow to lay the same values out: large, view, dictionary, run-end, fixed size."""
    if pa.types.is_dictionary(type_):
        return _plain(type_.value_type)
    if pa.types.is_run_end_encoded(type_):
        return _plain(type_.value_type)
    if pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return pa.string()
    if pa.types.is_large_binary(type_) or pa.types.is_binary_view(type_) or pa.types.is_fixed_size_binary(type_):
        return pa.binary()
    if pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_):
        return pa.list_(_plain(type_.value_type))
    return type_


# --- Into columns that are there already ------------------------------------------------------------------------------

_INTEGERS = {"smallint", "integer", "bigint"}
_TEXTS = {"text", "varchar", "char", "bpchar"}
_WORDS = _TEXTS | {"uuid", "json", "jsonb", "enum"}
_FROM_WORDS = _WORDS | {"inet", "cidr", "macaddr", "macaddr8", "xml", "citext"}
_EXACT_IN = {
    "real": {"real", "smallint"},
    "double precision": {"double precision", "real", "smallint", "integer"},
}
_FRACTIONS = {"timestamp", "timestamptz", "time"}
_MICROSECONDS = 6


def holds(target: PgType, source: PgType) -> bool:  # noqa: PLR0911 -- a table of pairs
    """Whether a column of the target type takes every value of the source type unchanged, or refuses it aloud.

    Types that would round or cut in silence (a smaller scale, fewer digits of a second, a float for a decimal) do not.
    """
    if target.array or source.array:
        return target.array and source.array and holds(target.element, source.element)
    if target.base == "numeric":
        return _numeric_holds(target, source)
    if target.base in _INTEGERS:
        return source.base in _INTEGERS or (source.base == "numeric" and source.arguments[1:] == (0,))
    if target.base in _EXACT_IN:
        return source.base in _EXACT_IN[target.base]
    if target.base in _FRACTIONS:
        kept, needed = (type_.arguments[0] if type_.arguments else _MICROSECONDS for type_ in (target, source))
        return target.base == source.base and kept >= needed
    if target.base in _FROM_WORDS:
        return source.base in _WORDS or (target.base in {"text", "citext"} and source.base == "numeric")
    return target.known and target.base == source.base


def _numeric_holds(target: PgType, source: PgType) -> bool:
    if source.base in _INTEGERS:
        return not target.arguments or target.arguments[1] >= 0
    if source.base != "numeric":
        return False  # text such as 0x1F would be read as a number of another spelling
    if not target.arguments:
        return True
    return bool(source.arguments) and target.arguments[1] >= source.arguments[1]
