"""Where a proxy breaks connections, and how a run may end then: right, or with an error that says what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from de_classes.testing.proxy import Cut
from tests.faults.jobs import STREAM
from tests.faults.routes import Route

When: TypeAlias = Literal["sent", "answered", "unnoticed"]

_ALWAYS = 10_000
_PART, _COMPLETION = "partNumber=2", "<CompleteMultipartUpload"


@dataclass(frozen=True, slots=True)
class Break:
    """A place at which the connections of a run to its source or its target break."""

    side: Literal["source", "target"]
    kind: Literal["pg", "s3"]
    at: str
    """What is sent there; `*` stands for the bucket."""
    when: When
    ends: str
    """How the run ends."""
    after: str = ""
    more: int = 0
    times: int = 1

    def cut(self, bucket: str) -> Cut:
        """As the proxy is told."""
        at = self.at.replace("*", f"/{bucket}/{STREAM}")
        return Cut(at.encode(), self.after.encode(), self.more, self.when, self.times)

    def concerns(self, route: Route) -> bool:
        """Whether a route has such connections."""
        has_parts = route.source == "pg" or not self.in_parts
        return self.kind == (route.source if self.side == "source" else route.target) and has_parts

    @property
    def in_parts(self) -> bool:
        """Whether it is of an upload in parts, which takes an object above 8 MiB."""
        return self.at in {_PART, _COMPLETION}


_NO_SERVER, _NO_STORE = "PostgresUnreachable", "StoreUnreachable"

BREAKS = {
    "first words": Break("target", "pg", "positions", "sent", _NO_SERVER),
    "inside COPY": Break("target", "pg", "FROM STDIN", "sent", _NO_SERVER, more=400),
    "COPY's end": Break("target", "pg", "INSERT INTO", "sent", _NO_SERVER, after="FROM STDIN"),
    "COMMIT of a split, sent": Break("target", "pg", "COMMIT", "sent", _NO_SERVER, after="FROM STDIN"),
    "COMMIT of a split, answered": Break("target", "pg", "COMMIT", "answered", _NO_SERVER, after="FROM STDIN"),
    "COMMIT, sent": Break("target", "pg", "COMMIT", "sent", _NO_SERVER, after="epoch + 1"),
    "COMMIT, answered": Break("target", "pg", "COMMIT", "answered", "done", after="epoch + 1"),
    "COMMIT, unnoticed": Break("target", "pg", "COMMIT", "unnoticed", _NO_SERVER, after="epoch + 1"),
    "snapshot": Break("source", "pg", "pg_export_snapshot", "answered", _NO_SERVER),
    "reading": Break("source", "pg", "COPY (", "answered", _NO_SERVER),
    "upload": Break("target", "s3", "PUT */data/", "sent", "done", more=900),
    "upload, always": Break("target", "s3", "PUT */data/", "sent", _NO_STORE, more=900, times=_ALWAYS),
    "upload, answered": Break("target", "s3", "PUT */data/", "answered", "done"),
    "part": Break("target", "s3", _PART, "sent", "done", more=900),
    "part, always": Break("target", "s3", _PART, "sent", _NO_STORE, more=900, times=_ALWAYS),
    "parts' end": Break("target", "s3", _COMPLETION, "sent", "done"),
    "parts' end, answered": Break("target", "s3", _COMPLETION, "answered", "done"),
    "ledger, always": Break("target", "s3", "PUT */_staged/", "sent", _NO_STORE, times=_ALWAYS),
    "conditional put": Break("target", "s3", "PUT */_commits/", "sent", "done"),
    "conditional put, always": Break("target", "s3", "PUT */_commits/", "sent", _NO_STORE, times=_ALWAYS),
    "conditional put, answered": Break("target", "s3", "PUT */_commits/", "answered", "done"),
    "conditional put, never answered": Break("target", "s3", "PUT */_commits/", "answered", "done", times=_ALWAYS),
    "download": Break("source", "s3", "GET */data/", "answered", "done"),
    "download, always": Break("source", "s3", "GET */data/", "answered", _NO_STORE, times=_ALWAYS),
}


def of_route(route: Route) -> Iterator[str]:
    """The names of the places that a route has."""
    return (name for name, place in BREAKS.items() if place.concerns(route))
