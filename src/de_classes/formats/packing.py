"""Bodies and files that come packed: by Arrow's codecs, a piece at a time, and what is too good to be true.

Arrow has them without a package more, reads gzip of several members, and tells a body that breaks off, which
zlib's own objects let pass.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from de_classes.errors import InvalidAnswer, InvalidFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from de_classes.errors import DeClassesError

__all__ = ["ACCEPTED", "COMPRESSIONS", "Compression", "bounded", "unpacked", "unpacked_file"]

ACCEPTED = "gzip, br, zstd"
_CODECS: dict[str, Any] = {"gzip": "gzip", "x-gzip": "gzip", "br": "brotli", "zstd": "zstd"}
Compression: TypeAlias = Literal["auto", "none", "gzip", "zstd", "bz2"]
"""Of a file itself; "auto" sees it by the first bytes."""
COMPRESSIONS: tuple[Compression, ...] = ("auto", "none", "gzip", "zstd", "bz2")
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
_PIECE = 256 * 1024
_UNSUSPICIOUS = 16 * 1024 * 1024
"""Up to this many bytes a body may be packed as well as it likes: a page of zeros is no attack."""


def unpacked(pieces: Iterator[bytes], coding: str, name: str, max_expansion: float) -> Iterator[bytes]:
    """The pieces as they were before they were packed; `coding` is the header's, `name` the request's.

    Raises:
        InvalidAnswer: another coding, not packed as it says, or grown to more than `max_expansion` times its size.

    """
    coding = coding.strip().lower()
    if coding in {"", "identity"}:
        yield from pieces
    elif coding in _CODECS:
        yield from _unpacked(pieces, _CODECS[coding], name, max_expansion, InvalidAnswer)
    else:
        raise InvalidAnswer(name, f"the body is packed as {coding!r}", f"What was asked for is {ACCEPTED}.")


def unpacked_file(pieces: Iterator[bytes], packed: Compression, name: str, max_expansion: float) -> Iterator[bytes]:
    """The pieces of what is in the file; "auto" sees by its first bytes whether it is packed.

    Raises:
        InvalidFile: it is not packed as was said, breaks off, or grows beyond `max_expansion`.

    """
    coding: str = packed
    if packed == "auto":
        head = b""
        for piece in pieces:
            head += piece
            if len(head) >= max(map(len, _MAGIC)):
                break
        coding = next((coding for magic, coding in _MAGIC.items() if head.startswith(magic)), "none")
        pieces = chain([head] if head else [], pieces)
    return pieces if coding == "none" else _unpacked(pieces, coding, name, max_expansion, InvalidFile)


def _unpacked(
    pieces: Iterator[bytes], codec: str, name: str, max_expansion: float, kind: type[DeClassesError]
) -> Iterator[bytes]:
    import pyarrow as pa  # noqa: PLC0415 -- loaded only where a body comes packed

    source: Any = _Source(pieces)
    given = 0
    try:
        with pa.CompressedInputStream(pa.PythonFile(source, mode="r"), cast("Any", codec)) as stream:
            while piece := stream.read(_PIECE):
                given += len(piece)
                if given > max(_UNSUSPICIOUS, max_expansion * source.taken):
                    raise kind(
                        name,
                        f"{source.taken} bytes grew to {given} and more when unpacked",
                        "It is not read further. If that is how it is packed, allow it: max_expansion=...",
                    )
                yield piece
    except (OSError, pa.ArrowException) as error:
        raise kind(
            name,
            f"it cannot be unpacked as {codec} ({error})",
            "It is damaged, cut off or packed in another way: see that it is whole, and fetch or deliver it again.",
        ) from error


def bounded(pieces: Iterator[bytes], max_bytes: int | None, name: str) -> Iterator[bytes]:
    """The pieces, up to so many bytes in all.

    Raises:
        InvalidAnswer: there are more.

    """
    given = 0
    for piece in pieces:
        given += len(piece)
        if max_bytes is not None and given > max_bytes:
            raise InvalidAnswer(
                name,
                f"the body has more than {max_bytes} bytes",
                "Ask for smaller pages, allow more (max_body_bytes=...), or read it in pieces: stream(...).",
            )
        yield piece


class _Source:
    """The file that Arrow reads from."""

    closed = False

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""
        self.taken = 0

    def read(self, size: int) -> bytes:
        if not self._rest:
            self._rest = next(self._pieces, b"")
            self.taken += len(self._rest)
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True
