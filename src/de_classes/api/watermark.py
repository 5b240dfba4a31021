"""The highest value seen of a field by which an API tells what is new.

A watermark is JSON, kept in a position for ever: a text or a whole number as it came; a number with a fraction as the
text of that number, so that no digit is lost. Comparing is by meaning: texts that are ISO 8601 timestamps compare as
instants, whatever their offsets and numbers of digits, numbers as numbers, and other texts letter by letter.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Watermark", "highest", "instant_of", "not_above", "number_in"]

Watermark: TypeAlias = "str | int | None"

_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:?\d\d)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


def highest(watermark: Watermark, values: Iterable[Any]) -> Watermark:
    """The highest of the watermark so far and the values; None among them counts as nothing.

    Raises:
        ValueError: values that cannot be compared with each other, or are neither texts nor numbers.

    """
    present = [value for value in values if value is not None]
    if not present:
        return watermark
    kinds = set(map(type, present))
    if kinds <= {int, Decimal}:
        top = max(present)
        if watermark is not None and top <= _number(watermark):
            return watermark
        return str(top) if isinstance(top, Decimal) else int(top)
    if kinds == {str}:
        return _highest_text(watermark, present)
    raise ValueError(f"values of the types {', '.join(sorted(kind.__name__ for kind in kinds))} have no order")


def _highest_text(watermark: Watermark, texts: list[str]) -> str:
    # UTC timestamps of one length, the usual case, compare rightly as they are.
    alike = len(set(map(len, texts))) == 1 and all(text.endswith("Z") and text[10:11] == "T" for text in texts)
    if alike and all(_TIMESTAMP.fullmatch(text) for text in (texts[0], max(texts))):
        texts = [max(texts)]
    if watermark is not None:
        if not isinstance(watermark, str):
            raise ValueError(f"texts such as {texts[0]!r} do not compare with the number {watermark}")
        texts = [watermark, *texts]
    keys = [_text_key(text) for text in texts]
    families = {key[0] for key in keys}
    if len(families) > 1:
        raise ValueError(f"{' and '.join(sorted(families))} do not compare with each other")
    # max() keeps the first of equals, so an equal value does not replace the watermark.
    return texts[max(range(len(texts)), key=keys.__getitem__)]


def not_above(watermark: str | int, values: Iterable[Any]) -> Any:
    """One of the values that is not above the watermark; None where all are. None among them counts as nothing.

    Raises:
        ValueError: they cannot be compared.

    """
    present = [value for value in values if value is not None]
    if not present:
        return None
    if set(map(type, present)) == {str}:
        alike = len(set(map(len, present))) == 1 and all(text.endswith("Z") and text[10:11] == "T" for text in present)
        present = [min(present)] if alike else present
    else:
        present = [min(present)]
    return next((value for value in present if highest(watermark, [value]) == watermark), None)


def instant_of(text: str) -> tuple[datetime, str] | None:
    """The second that an ISO 8601 timestamp names, with a zone where it has one, and the digits of its fraction.

    None where the text is no timestamp.
    """
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    moment, fraction, zone = match.groups()
    return datetime.fromisoformat(moment + (zone or "")), fraction or ""


def _text_key(text: str) -> tuple[str, Any, str]:
    found = instant_of(text)
    if not text:
        raise ValueError("an empty text is nothing to ask by")
    if found is None:
        # "999" is above "1000" letter by letter, which is hardly what an API means that counts.
        return ("texts" if not text.isdecimal() else f"texts of {len(text)} digits"), text, ""
    instant, fraction = found
    family = "timestamps without a zone" if instant.tzinfo is None else "timestamps"
    # Digits after the point compare letter by letter once the zeros at their end are gone.
    try:
        return family, instant.astimezone(UTC) if instant.tzinfo else instant, fraction.rstrip("0")
    except OverflowError:
        raise ValueError(f"{text!r} is outside the years 1 to 9999") from None


def number_in(watermark: str | int) -> Decimal | int | None:
    """The number that a watermark is, as it came or as a text; None where it is none."""
    if isinstance(watermark, str):
        return Decimal(watermark) if _NUMBER.fullmatch(watermark) else None
    return watermark


def _number(watermark: str | int) -> Decimal | int:
    number = number_in(watermark)
    if number is None:
        raise ValueError(f"numbers do not compare with the text {watermark!r}")
    return number


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.api._doors.watermark")
