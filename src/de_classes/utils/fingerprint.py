"""Whether things are still the ones that they were, in another process and on another day."""

from __future__ import annotations

import hashlib
import pickle
import uuid
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["fingerprint"]


def fingerprint(things: Iterable[object]) -> str:
    """16 hexadecimal digits that change when the things do, and are the same in another process.

    What an interrupted run has written is only taken over when it went through the same transforms, and came by the
    same questions. Functions are told by their code and what they close over, not by their names alone; that a function
    they call has changed is not seen. An object is told by what it shows and what a pickle of it would carry. What
    cannot be told (an object that shows its address only) never has the same fingerprint in another run.
    """
    told = hashlib.blake2b(digest_size=8)
    for word in _words(list(things), {}):
        told.update(word.encode("utf-8", "surrogateescape") + b"\0")
    return told.hexdigest()


_PLAIN = (bool, int, float, complex, str, bytes, type(None), date, time, timedelta, Decimal, type(Ellipsis))
"""What shows itself whole and means the same in every process."""

_OF_LIBRARIES = ("pyarrow", "numpy", "pandas", "polars")
"""Their objects show themselves shortened, and pickle whole."""


def _words(value: Any, functions: dict[FunctionType, int], within: frozenset[int] = frozenset()) -> Iterator[str]:
    """What there is to say of a value, down to what it holds.

    A function is told once: those that call each other would be told once for every way between them. Of other values
    it may depend on the interpreter whether two that are equal are one, so only a circle is cut.
    """
    yield f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, _PLAIN):
        yield repr(value)
    elif type(value).__module__.partition(".")[0] in _OF_LIBRARIES:
        yield _pickled(value)
    elif isinstance(value, FunctionType) and value in functions:
        yield f"function {functions[value]}"
    elif id(value) not in within:
        if isinstance(value, FunctionType):
            functions[value] = len(functions)
        for part in _parts(value):
            yield from _words(part, functions, within | {id(value)})


def _pickled(value: Any) -> str:
    try:
        return pickle.dumps(value, protocol=5).hex()
    except Exception:  # noqa: BLE001 -- whatever a library raises: it cannot be told, so it is never the same
        return uuid.uuid4().hex


def _parts(value: Any) -> Iterator[Any]:
    """The values that make up a value; what cannot be taken apart shows itself, with its address if that is all."""
    if isinstance(value, FunctionType):
        closed = [cell.cell_contents for cell in value.__closure__ or ()]
        yield from (value.__module__, value.__qualname__, value.__code__, value.__defaults__, value.__kwdefaults__)
        yield from (closed, _globals_of(value))
    elif isinstance(value, MethodType):
        yield from (value.__func__, value.__self__)
    elif isinstance(value, CodeType):
        yield from (value.co_code, value.co_names, value.co_varnames, value.co_consts)
    elif isinstance(value, type | ModuleType | BuiltinFunctionType):
        yield f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value.__name__)}"
    elif isinstance(value, partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, AbstractSet):
        yield from sorted(map(repr, value))
    elif isinstance(value, Sequence):
        yield from value
    elif is_dataclass(value):
        yield vars(type(value)).get("__call__")
        yield from (getattr(value, field.name) for field in fields(value))
    else:
        yield repr(value)
        yield _state(value)


def _state(value: Any) -> Any:
    try:
        return value.__getstate__()
    except Exception:  # noqa: BLE001 -- whatever it raises: it cannot be told, so it is never the same
        return uuid.uuid4().hex


def _globals_of(function: FunctionType) -> list[tuple[str, Any]]:
    """What a function finds in its own module: constants, and other functions of that module."""
    found = ((name, function.__globals__.get(name)) for name in function.__code__.co_names)
    return [
        (name, value)
        for name, value in found
        if isinstance(value, (*_PLAIN, list, tuple, dict, set, frozenset))
        or (isinstance(value, FunctionType) and value.__module__ == function.__module__)
    ]
