"""The header `Link`, read as RFC 8288 (3 and B.2) has it."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Link", "MalformedLinksError", "parse_links"]

_TARGET = re.compile(r"<([^<>]*)>")
_PARAM = re.compile(
    r"""[ \t]*;[ \t]*
        (?:(?P<name>[!\#$%&'*+\-.^_`|~0-9A-Za-z]+)
           (?:[ \t]*=[ \t]*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[^\s"\\,;<>]+)))?)?""",
    re.VERBOSE,
)
_BETWEEN = re.compile(r"[ \t]*(?:,[ \t,]*|$)")
_LEADING = re.compile(r"[ \t,]*")


@dataclass(frozen=True, slots=True)
class Link:
    """A link: where it leads, and how that is related to where it stands."""

    target: str
    """As written; relative ones are relative to the page."""
    rels: frozenset[str]
    """In lower case."""
    anchor: str | None = None
    """What the link is about, where that is not the page itself."""


class MalformedLinksError(ValueError):
    """What is no list of links; the message says what stands where the reading stopped."""


def parse_links(header: str) -> list[Link]:
    """The links of a header, or of several that were joined with commas.

    The first `rel` and the first `anchor` of a link count. Relations are compared without regard to case. A header
    that breaks off is refused, not read as far as possible: a next page that is overlooked is rows that are missing.

    Raises:
        MalformedLinksError: it is no such list.

    """
    at = _end(_LEADING.match(header))
    links = []
    while at < len(header):
        target = _TARGET.match(header, at)
        if target is None:
            raise _malformed(header, at)
        at, params = _params(header, target.end())
        rels = frozenset(params.get("rel", "").lower().split())
        links.append(Link(target[1].strip(), rels, params.get("anchor")))
        between = _BETWEEN.match(header, at)
        if between is None:
            raise _malformed(header, at)
        at = between.end()
    return links


def _params(header: str, at: int) -> tuple[int, dict[str, str]]:
    params: dict[str, str] = {}
    while (param := _PARAM.match(header, at)) is not None:
        at = param.end()
        if param["name"] is not None:
            quoted = param["quoted"]
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else param["token"] or ""
            params.setdefault(param["name"].lower(), value)
    return at, params


def _end(match: re.Match[str] | None) -> int:
    return match.end() if match is not None else 0


def _malformed(header: str, at: int) -> MalformedLinksError:
    # Links hold parameters, which may be secret, so nothing of the header is shown.
    return MalformedLinksError(f"at character {at} of {len(header)}")
