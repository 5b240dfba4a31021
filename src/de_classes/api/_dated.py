"""How old a kept answer is, by what its headers say (RFC 9111, 4.2.3)."""

from __future__ import annotations

import re
from email.utils import formatdate, parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    import hishel

__all__ = ["Dated"]

_NOT_KEPT = re.compile(r"set-cookie|content-encoding|content-length|transfer-encoding|retry-after|.*rate-?limit.*")
"""Headers of one answer only: cookies, bytes on the wire, and quotas, which are others when it is given again."""


class Dated(NamedTuple):
    """Headers of an answer whose Date says how old it is (RFC 9111, 4.2.3), which hishel takes for granted.

    An answer may come without a Date, with one of a clock that is ahead, or from a cache on the way that tells its Age.
    """

    headers: dict[str, str]

    @classmethod
    def of(cls, headers: Mapping[str, str], began: float, now: float) -> Dated:
        """The headers as they are kept, of an answer that was asked for at `began`."""
        kept = {name: value for name, value in headers.items() if not _NOT_KEPT.fullmatch(name) and name != "age"}
        date, told_age = _moment(headers.get("date")), headers.get("age", "")
        age = int(told_age) if told_age.isascii() and told_age.isdecimal() else 0
        made = now - max(0.0, now - (now if date is None else date), age + now - began)
        kept["date"] = formatdate(made, usegmt=True)
        # Without an Expires, hishel would make a guess where it does not find max-age, which goes before.
        expires = _moment(headers.get("expires"))
        lasts = 0.0 if expires is None else max(0.0, expires - (now if date is None else date))
        kept["expires"] = formatdate(made + lasts, usegmt=True)
        return cls(kept)

    def response(self, status: int) -> hishel.Response:
        """The answer as hishel's states want it."""
        import hishel  # noqa: PLC0415 -- an extra

        return hishel.Response(status, hishel.Headers(self.headers))


def _moment(text: str | None) -> float | None:
    try:
        return None if text is None else parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
