"""Whether transforms are still the ones that they were."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from de_classes.contracts import Transform

__all__ = ["fingerprint"]


def fingerprint(transforms: Iterable[Transform]) -> str:
    """16 hexadecimal digits that change when the transforms do, and are the same in another process.

    What an interrupted run has written is only taken over when it went through the same transforms. Functions are told
    by their code and what they close over, not by their names alone; that a function they call has changed is not
    seen. What cannot be told (an object that shows its address only) never has the same fingerprint in another run.
    """
    told = hashlib.blake2b(digest_size=8)
    for word in _words(list(transforms)):
        told.update(word.encode("utf-8", "surrogateescape") + b"\0")
    return told.hexdigest()


def _words(value: Any) -> Iterator[str]:
    """What there is to say of a value, down to what it holds."""
    yield f"{type(value).__module__}.{type(value).__qualname__}"
    for part in _parts(value):
        if isinstance(part, str):
            yield part
        else:
            yield from _words(part[0])


def _parts(value: Any) -> Iterator[str | tuple[Any]]:
    """Words, and values to go into (each alone in a tuple)."""
    if isinstance(value, FunctionType):
        yield f"{value.__module__}.{value.__qualname__}"
        closed = [cell.cell_contents for cell in value.__closure__ or ()]
        yield from ((part,) for part in (value.__code__, value.__defaults__, value.__kwdefaults__, closed))
    elif isinstance(value, MethodType):
        yield from ((value.__func__,), (value.__self__,))
    elif isinstance(value, CodeType):
        yield value.co_code.hex()
        yield " ".join((*value.co_names, *value.co_varnames))
        yield (value.co_consts,)
    elif isinstance(value, partial):
        yield from ((value.func,), (value.args,), (value.keywords,))
    elif is_dataclass(value) and not isinstance(value, type):
        yield from ((getattr(value, field.name),) for field in fields(value))
    elif isinstance(value, Mapping):
        yield from ((item,) for item in value.items())
    elif isinstance(value, AbstractSet):
        yield from sorted(map(repr, value))
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        yield from ((item,) for item in value)
    else:
        yield repr(value)
