"""What is done with a value that the Arrow type of its column cannot hold."""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["Unheld"]

Unheld: TypeAlias = Literal["fail", "text", "null", "quarantine"]
"""`infinity` in a date, 24:00, NaN in a decimal, an array with several dimensions or not counted from 1:

- fail: the read ends with ValueNotHeld, which names table, column and row.
- text: every column whose type may have such values is read as PostgreSQL's own text, whatever values happen to come,
  so that the schema does not depend on the data. It goes back into a column of its type.
- null: null takes its place, and is counted.
- quarantine: the row is left out, and goes as JSON to where the stream's rejected records are kept.
"""
