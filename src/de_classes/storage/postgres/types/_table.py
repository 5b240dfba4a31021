"""The type table itself: what every type of PostgreSQL becomes in Arrow. `docs/types.md` is its prose.

Exact native forms come first. Whatever Arrow or Parquet has no exact form for is PostgreSQL's own text, spelled the
same whatever the session's settings (see `PostgresClient.session`), with the type in the field's metadata ("tagged").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ARROW", "CATALOGUE", "ELEMENTWISE", "SPELLED", "TABLE", "WHOLE", "Form"]


@dataclass(frozen=True, slots=True)
class Form:
    """How the values of a type are held. In SQL, `{}` stands for the value."""

    arrow: pa.DataType
    spelled: str = ""
    """The SQL by which it crosses the wire as text; empty where the readers decode its own binary form."""
    unheld: str = ""
    """The condition in SQL for a value that the Arrow type has no place for; empty where it has one for all."""
    told: str = ""
    """What errors call such values."""


_MOMENT = "(NOT isfinite({}) OR {} > '294247-01-10 04:00:54.775807 UTC')"
_FAR = "infinity, or a moment after 294247-01-10,"
_TEXT = pa.string()

_NATIVE = {
    "smallint": Form(pa.int16()),
    "integer": Form(pa.int32()),
    "bigint": Form(pa.int64()),
    "real": Form(pa.float32()),
    "double precision": Form(pa.float64()),
    "text": Form(_TEXT),
    "varchar": Form(_TEXT),
    "char": Form(_TEXT),
    "bpchar": Form(_TEXT),
    "boolean": Form(pa.bool_()),
    "bytea": Form(pa.binary()),
    "date": Form(pa.date32(), unheld="NOT isfinite({})", told="infinity"),
    "timestamp": Form(pa.timestamp("us"), unheld=_MOMENT, told=_FAR),
    "timestamptz": Form(pa.timestamp("us", "UTC"), unheld=_MOMENT, told=_FAR),
    "time": Form(pa.time64("us"), unheld="{} = '24:00'", told="24:00"),
    "uuid": Form(_TEXT),
    "json": Form(_TEXT),
    "jsonb": Form(_TEXT),
    "enum": Form(_TEXT),
}
"""Those whose binary form the readers decode; `numeric`, whose form depends on its arguments, is one more."""

_CONVERTED = {
    "money": Form(pa.decimal128(19, 2), "{}::numeric::text"),
    "oid": Form(pa.uint32(), "{}::text"),
    "xid": Form(pa.uint32(), "{}::text"),
    "cid": Form(pa.uint32(), "{}::text"),
    "xid8": Form(pa.uint64(), "{}::text"),
}
"""Those that cross the wire as the text of a number."""

_FIELDS = [
    "year", "month", "day", "hour", "minute", "second", "year to month", "day to hour", "day to minute",
    "day to second", "hour to minute", "hour to second", "minute to second",
]  # fmt: skip
_PLAIN = [
    '"char"', "name", "timetz", "interval", *(f"interval {fields}" for fields in _FIELDS),
    "bit", '"bit"', "varbit", "cidr", "macaddr", "macaddr8", "xml", "tsvector", "tsquery", "jsonpath",
    "point", "line", "lseg", "box", "path", "polygon", "circle",
    "int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange",
    "int4multirange", "int8multirange", "nummultirange", "datemultirange", "tsmultirange", "tstzmultirange",
    "pg_lsn", "pg_snapshot", "txid_snapshot", "tid", "refcursor", "aclitem", "int2vector", "oidvector",
    "regnamespace", "regrole",
    "composite",
]  # fmt: skip

_IN_SCHEMA = (
    "CASE WHEN {{}}::oid = 0 THEN '-' ELSE coalesce((SELECT quote_ident(n.nspname) || '.' || quote_ident(o.{name})"
    " FROM (SELECT {{}}::oid) AS given (oid) JOIN pg_catalog.{catalogue} o ON o.oid = given.oid"
    " JOIN pg_catalog.pg_namespace n ON n.oid = o.{schema}), {{}}::oid::text) END"
)
"""The value stands in a query without a table of its own, where no column of the catalogue is taken for it."""
_IDENTITY = (
    "CASE WHEN {{}}::oid = 0 THEN '-' ELSE"
    " coalesce((pg_identify_object('pg_catalog.{catalogue}'::regclass, {{}}::oid, 0)).identity, {{}}::oid::text) END"
)
_QUALIFIED = {
    "regclass": _IN_SCHEMA.format(name="relname", catalogue="pg_class", schema="relnamespace"),
    "regproc": _IN_SCHEMA.format(name="proname", catalogue="pg_proc", schema="pronamespace"),
    "regoper": _IN_SCHEMA.replace("quote_ident(o.{name})", "o.{name}").format(
        name="oprname", catalogue="pg_operator", schema="oprnamespace"
    ),
    "regcollation": _IN_SCHEMA.format(name="collname", catalogue="pg_collation", schema="collnamespace"),
    "regconfig": _IN_SCHEMA.format(name="cfgname", catalogue="pg_ts_config", schema="cfgnamespace"),
    "regdictionary": _IN_SCHEMA.format(name="dictname", catalogue="pg_ts_dict", schema="dictnamespace"),
    "regprocedure": _IDENTITY.format(catalogue="pg_proc"),
    "regoperator": _IDENTITY.format(catalogue="pg_operator"),
    "regtype": _IDENTITY.format(catalogue="pg_type"),
}
"""Names of objects, with their schema: by themselves they are spelled as the session's search_path has them."""

SPELLED = {
    **dict.fromkeys(_PLAIN, "{}::text"),
    "inet": "textin(inet_out({}))",  # its cast to text adds /32 to single addresses
    **_QUALIFIED,
    "type": "CASE WHEN {} IS DISTINCT FROM NULL THEN format('%s', {}) END",  # a cast to text may be anybody's
}
"""Tagged text: the SQL that spells a value."""

TABLE: Mapping[str, Form] = {
    **_NATIVE,
    **_CONVERTED,
    **{name: Form(_TEXT, spelled) for name, spelled in SPELLED.items()},
}
"""The base of a `PgType` -> its form; `composite` and `type` (of an extension, or a user's own) are kinds of types."""

ARROW: Mapping[str, pa.DataType] = {name: form.arrow for name, form in TABLE.items()}

ELEMENTWISE = {name for name, form in TABLE.items() if form.spelled not in {"", "{}::text"}}
"""Types of which an array is not spelled by one cast."""

WHOLE = {"box", "type"}
"""Types of which an array is one text with its brackets: their arrays may part elements by other signs than commas."""

CATALOGUE: Mapping[str, str] = {
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "bpchar": "char",
    "bool": "boolean",
    "char": '"char"',
    "numeric": "numeric",
    **{
        name: name
        for name in TABLE
        if not name.startswith(("interval ", '"')) and name not in {"char", "bpchar", "enum", "composite", "type"}
    },
}
"""pg_type.typname -> the name that DDL uses, for types of pg_catalog."""
