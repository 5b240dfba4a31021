"""Texts and numbers to decimals: the very number, or an error.

Arrow alone is not to be trusted with this. Its cast from text to decimal multiplies and divides within the width of
the type, and does not always see that the width was too small: a whole number of 40 digits, or 906 for a decimal of 38
digits behind the point, comes out as another number, and of 1e-41 it makes 0 or ends the process (Arrow 26; its issue
49817 tells of the first). So Arrow only gets texts short enough that nothing can be lost on the way, which are nearly
all, and Python's decimals do the others.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal, Inexact, InvalidOperation
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["decimals_of_numbers", "decimals_of_texts", "number_of_text"]

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DIGITS = 38
"""What a decimal of 128 bits holds; one of 256 holds twice as many."""


def decimals_of_texts(texts: Any, kind: Any) -> Any:
    """Decimals of that type as an array, from an array of texts such as `-12.5`, `.5`, `+7.` and `1e3`.

    Raises:
        ValueError: a text is no such number, or is one that the type cannot hold without rounding.

    """
    if not pa.types.is_string(texts.type):
        texts = texts.cast(pa.string())
    try:
        return _mostly_by_arrow(texts, kind)
    except pa.ArrowInvalid:  # of which Python tells more
        return decimals_of_numbers(_numbers(texts), kind)


def decimals_of_numbers(numbers: Iterable[Decimal | None], kind: Any) -> Any:
    """Decimals of that type as an array, from Python's.

    Raises:
        ValueError: the type cannot hold one of the numbers without rounding.

    """
    quantum, context = _unit(kind)
    exact = [None if number is None else _exactly(number, kind, quantum, context) for number in numbers]
    if kind.scale >= 0:
        return pa.array(exact, kind)
    # Arrow refuses some large ones of these, so it gets them without their zeros.
    unscaled = [None if number is None else number.scaleb(kind.scale, context) for number in exact]
    wide = _wide(kind)
    return pa.array(unscaled, wide(kind.precision, 0)).view(wide(kind.precision, kind.scale)).cast(kind)


def _mostly_by_arrow(texts: Any, kind: Any) -> Any:
    wide = _wide(kind)(kind.precision, kind.scale)  # of the narrow ones Arrow has no kernels that replace
    long = pc.invert(pc.match_substring_regex(texts, _short(kind))).fill_null(fill_value=False)
    decimals = pc.if_else(long, pa.scalar(None, texts.type), texts).cast(wide)
    others = decimals_of_numbers(_numbers(texts.filter(long)), wide)
    return pc.replace_with_mask(decimals, long, others).cast(kind)


def number_of_text(text: str) -> Decimal:
    """The number, whatever its size.

    Raises:
        ValueError: the text is no number in ASCII digits, or its exponent is beyond any.

    """
    try:
        if _NUMBER.fullmatch(text):
            return Decimal(text)
    except InvalidOperation:  # an exponent beyond any
        pass
    raise ValueError(f"{text[:80]!r} is no number")


def _numbers(texts: Any) -> list[Decimal | None]:
    return [None if text is None else number_of_text(text) for text in texts.to_pylist()]


def _exactly(number: Decimal, kind: Any, quantum: Decimal, context: Context) -> Decimal:
    if not number.is_finite():
        raise ValueError(f"{number} is no finite number")
    try:
        return number.quantize(quantum, context=context)
    except Inexact:
        raise ValueError(f"it has more than {max(kind.scale, 0)} digits behind the point") from None
    except InvalidOperation:
        raise ValueError(f"it has more than {kind.precision - kind.scale} digits before the point") from None


@lru_cache(maxsize=64)
def _unit(kind: Any) -> tuple[Decimal, Context]:
    """What all numbers of a type are multiples of, and how many digits they have."""
    context = Context(prec=kind.precision, Emin=-999_999, Emax=999_999, traps=[Inexact, InvalidOperation])
    return Decimal((0, (1,), -kind.scale)), context


def _wide(kind: Any) -> Any:
    return pa.decimal128 if kind.precision <= _DIGITS else pa.decimal256


def _short(kind: Any) -> str:
    """Numbers whose digits, with the zeros that scaling adds behind the point, are not too many while Arrow counts."""
    if kind.scale < 0:
        return "^$"  # none
    before = kind.precision - kind.scale
    behind = (_DIGITS if kind.precision <= _DIGITS else 2 * _DIGITS) - before
    return rf"^[+-]?0*[0-9]{{0,{before}}}(\.[0-9]{{0,{behind}}})?$"
