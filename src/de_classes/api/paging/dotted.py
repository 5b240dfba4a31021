"""Selectors: where something stands in an answer, and where it goes in a body.

A selector is a dotted path of names, or, where it begins with `$`, JSONPath (RFC 9535), which needs the extra
`jsonpath`: `meta.next`, `$.links[?@.rel == 'next'].href`. What goes into a body is told by dotted paths only.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from de_classes.errors import ConfigurationError, InvalidAnswer, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable

    from de_classes.contracts import JsonValue

__all__ = ["check_selectors", "dig", "is_jsonpath", "listed", "placed"]


def dig(answer: Any, path: str) -> Any:
    """What stands at a selector: `"meta.pages"`; None when there is no such place.

    Raises:
        InvalidAnswer: JSONPath leads to several places, and one was wanted.

    """
    if is_jsonpath(path):
        found = _compiled(path)[0](answer)
        if len(found) > 1:
            raise InvalidAnswer(
                f"the selector {path!r}", f"leads to {len(found)} places where one is wanted", "Narrow it."
            )
        return found[0] if found else None
    for name in path.split("."):
        if not isinstance(answer, Mapping):
            return None
        answer = answer.get(name)
    return answer


def listed(answer: Any, path: str) -> Any:
    """The list at a selector. JSONPath that may lead to many places, as `$.groups[*].items[*]`, lists what is there."""
    if not is_jsonpath(path):
        return dig(answer, path)
    find, single = _compiled(path)
    return dig(answer, path) if single else find(answer)


def is_jsonpath(path: str) -> bool:
    """Whether the selector is JSONPath."""
    return path.startswith("$")


def check_selectors(of: str, paths: Mapping[str, str | None]) -> None:
    """Refuse JSONPath that is none, or that cannot be read here.

    Raises:
        ConfigurationError: one of them is no JSONPath.
        MissingExtra: the package that reads it is not installed.

    """
    for name, path in paths.items():
        if path is not None and is_jsonpath(path):
            try:
                _compiled(path)
            except MissingExtra:
                raise
            except ConfigurationError as error:
                raise ConfigurationError(of, f"{name}={path!r} {error.fact}", error.remedy) from error


def placed(body: Mapping[str, Any], values: Mapping[str, JsonValue]) -> dict[str, Any]:
    """The body with each value at its dotted path; objects on the way are made. The body given stays as it is.

    Raises:
        ConfigurationError: a path leads through something that is no object.

    """
    filled = dict(body)
    for path, value in values.items():
        name, _, further = path.partition(".")
        if not further:
            filled[name] = value
            continue
        inner = filled.get(name, {})
        if not isinstance(inner, Mapping):
            raise ConfigurationError(
                f"the body's {name!r}", f"is no object, and {path!r} leads through it", "Correct the body or the path."
            )
        filled[name] = placed(inner, {further: value})
    return filled


@lru_cache(maxsize=256)
def _compiled(path: str) -> tuple[Callable[[Any], list[Any]], bool]:
    """What finds all that a JSONPath leads to, and whether that is one place at most."""
    try:
        from jsonpath import JSONPath, JSONPathEnvironment  # noqa: PLC0415 -- an extra
        from jsonpath.exceptions import JSONPathError  # noqa: PLC0415 -- same
    except ImportError:
        raise MissingExtra(
            f"the selector {path!r}",
            "the package python-jsonpath is not installed",
            "pip install 'de-classes[jsonpath]'",
        ) from None
    try:
        query = JSONPathEnvironment(strict=True).compile(path)
    except JSONPathError as error:
        told = " ".join(str(error.args[0] if error.args else error).split())
        raise ConfigurationError(
            f"the selector {path!r}", f"is no JSONPath ({told})", "Correct it as RFC 9535 has it."
        ) from error
    return query.findall, isinstance(query, JSONPath) and query.singular_query()
