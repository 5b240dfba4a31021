"""Names of tables and columns: always quoted, never cut in silence.

PostgreSQL keeps 63 bytes of a name and drops the rest with a notice; two columns that differ after that become one.
Here a longer name keeps its beginning and ends with a hash of the whole, so it stays itself, in every run and on every
machine.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from de_classes.errors import ConfigurationError

__all__ = ["MAX_BYTES", "TableName", "quoted", "shortened"]

MAX_BYTES = 63
"""NAMEDATALEN - 1 of a PostgreSQL that was compiled as usual; counted in bytes of UTF-8."""

_HASH_DIGITS = 10

_PLAIN = re.compile(r'[^".\s](?:[^".]*[^".\s])?')
_PART = re.compile(rf'(?:"((?:[^"]|"")*)"|({_PLAIN.pattern}))')
_NAME = re.compile(rf"\s*{_PART.pattern}\s*(?:\.\s*{_PART.pattern}\s*)?")


def shortened(name: str) -> str:
    """The name itself, or, beyond 63 bytes, its beginning with a hash of the whole; no character is split."""
    encoded = name.encode()
    if len(encoded) <= MAX_BYTES:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:_HASH_DIGITS]
    beginning = encoded[: MAX_BYTES - _HASH_DIGITS - 1].decode(errors="ignore")
    return f"{beginning}_{digest}"


def quoted(name: str) -> str:
    """The name as it stands in SQL: shortened if need be, in double quotes.

    Raises:
        ConfigurationError: PostgreSQL has no such names (empty, or with a NUL).

    """
    if not name or "\0" in name:
        raise ConfigurationError(
            f"name {name!r}", "PostgreSQL has no names that are empty or contain NUL", "Rename it."
        )
    return '"' + shortened(name).replace('"', '""') + '"'


@dataclass(frozen=True, slots=True, order=True)
class TableName:
    """A table and the schema it is in, as they are: `Orders` is not `orders`."""

    schema: str
    table: str

    @classmethod
    def parse(cls, text: str, schema: str = "public") -> TableName:
        """Read `table` or `schema.table`; a part that contains a dot or a quote stands in double quotes, as in SQL.

        Unlike in SQL, a part without quotes keeps its capitals.

        Raises:
            ConfigurationError: the text is no name of a table.

        """
        found = _NAME.fullmatch(text)
        parts = [plain or inside.replace('""', '"') for inside, plain in _PART.findall(text)] if found else []
        if not parts or not all(parts):
            raise ConfigurationError(
                f"table {text!r}", "it is no name of a table", 'Write table, schema.table or "Odd.Schema"."Table".'
            )
        return cls(parts[0] if len(parts) > 1 else schema, parts[-1])

    @property
    def sql(self) -> str:
        """Both names, quoted."""
        return f"{quoted(self.schema)}.{quoted(self.table)}"

    def __str__(self) -> str:
        return ".".join(
            part if _PLAIN.fullmatch(part) else '"' + part.replace('"', '""') + '"'
            for part in (self.schema, self.table)
        )


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.storage.postgres._doors.identifiers")
