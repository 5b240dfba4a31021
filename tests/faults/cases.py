"""The matrix as data: which route meets what, where, and at which passing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from tests.faults.cuts import of_route
from tests.faults.points import POINTS, WRITES_LOCAL, states
from tests.faults.routes import ROUTES


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that goes wrong in one run."""

    route: str
    fault: str
    """`kill`, `overtake`, `full`, `disk full`, `bucket full`, `cut`."""
    place: str
    """A point, or for `cut` where the connection breaks."""
    nth: int = 1
    state: int = 1
    """Of the source: 1 into an empty target, 2 into one that holds state 1."""

    def __str__(self) -> str:
        return f"{self.route} {self.fault} {self.place} {self.nth} {'again' if self.state > 1 else 'first'}"


def kills() -> Iterator[Case]:
    """SIGKILL at every point that a route has, in its first load and in a later one, now early, now late."""
    for route, points in POINTS.items():
        for point in points:
            for state in states(ROUTES[route], point):
                yield from (Case(route, "kill", point, nth, state) for nth in _passings(route, point, state))
    # An object above 8 MiB goes up in parts.
    yield from (Case("pg->s3", "kill", "s3.upload.part", nth, 2) for nth in (1, 2))


OF_SPLITS = {"dataset.read.batch", "files.read.batch", "postgres.read.before", "api.page.read"}


def _passings(route: str, point: str, state: int) -> tuple[int, ...]:
    """At which passings: those that each split or page brings are met early and late."""
    if point == "local.write.before_publish":
        return tuple(range(1, 13 if ROUTES[route].source else 8))
    if point in {"dataset.probe.between", "runner.before_plan"} or not ROUTES[route].source:
        return (1,)
    if point == "local.write.after_link":
        return (1, 2)
    # An API is loaded in three commits, and then in two; pages, splits and files are more than commits elsewhere.
    of_splits = ".write." in point or point in {
        "dataset.read.batch",
        "files.read.batch",
        "postgres.read.before",
        "api.page.read",
    }
    if ROUTES[route].source == "api":
        return (1, 3) if state == 1 else (1, 2)
    if ROUTES[route].source == "files" and of_splits and state > 1:
        return (1, 2)  # the file that changed and the one that is new
    alone = not of_splits or (state > 1 and ROUTES[route].source in {"local", "s3"})
    return (1,) if alone else (1, 3)


_PAUSES = {
    "pg": ("postgres.write.in_copy", "postgres.write.after_commit"),
    "local": ("dataset.write.in_upload", "dataset.write.after_receipt", "dataset.commit.before_put"),
    "s3": ("dataset.write.in_upload", "dataset.commit.before_put"),
}


def overtaken() -> Iterator[Case]:
    """SIGSTOP at a point before a commit, while another run of the pipeline comes to its end; then SIGCONT."""
    yield Case("compaction", "overtake", "dataset.write.in_upload")
    yield Case("compaction", "overtake", "dataset.commit.before_put")
    for route in (route for route in ROUTES.values() if route.source):
        for place in ("runner.before_plan", *_PAUSES[route.target], "runner.before_commit"):
            for state in (1, 2):
                yield Case(route.name, "overtake", place, 1, state)


def full() -> Iterator[Case]:
    """The disk is full from a point on, so that each kind of write is once the first to fail."""
    for route, state in product(("api->objects", "pg->objects"), (1, 2)):
        for place in ("runner.before_plan", *WRITES_LOCAL[1:-1]):
            # What can only fail once the commit is there is left to the next run, and told as a warning.
            yield Case(route, "full", place, 1, state)


def full_elsewhere() -> Iterator[Case]:
    """The server's disk is full while rows are copied or moved, or a bucket has no room for a kind of object."""
    # Of 12 MB, and then of 24: the copy of them is too large, or what the table becomes with it.
    yield Case("pg->pg", "disk full", "COPY, 8 MB")
    yield Case("pg->pg", "disk full", "COPY, 30 MB", state=2)
    yield Case("pg->pg", "disk full", "moving, 50 MB", state=2)
    yield Case("pg->objects", "disk full", "upload, 4 MB")
    yield Case("pg->objects", "disk full", "upload, 10 MB", state=2)
    for folder, state in product(("data", "_staged", "_commits"), (1, 2)):
        yield Case("pg->s3", "bucket full", folder, state=state)


def cuts() -> Iterator[Case]:
    """A connection breaks at each place that a route has."""
    for route in ROUTES.values():
        for place, state in product(of_route(route), (1, 2)):
            yield Case(route.name, "cut", place, state=state)


def everything() -> list[Case]:
    """The whole matrix."""
    return [*kills(), *overtaken(), *full(), *full_elsewhere(), *cuts()]


def chosen() -> list[Case]:
    """What a plain run of the tests takes: every point dies on one route or another, and some of the rest."""
    of_point: dict[str, list[Case]] = {}
    for case in kills():
        of_point.setdefault(case.place, []).append(case)
    found = [cases[7 * n % len(cases)] for n, cases in enumerate(of_point.values())]
    broken = {case.place: case for case in cuts() if (case.state == 1) == (case.route in {"objects->pg", "pg->s3"})}
    some = [*overtaken()][::15] + [*full()][::10] + [*full_elsewhere()][2::3]
    # What was once wrong, and what else changes rows that are there.
    some += [
        Case("compaction", "kill", "dataset.commit.after_put"),
        Case("pg->pg, history", "kill", "postgres.commit.after_move", state=2),
        Case("pg->pg, deleted", "kill", "postgres.write.after_commit", 3, state=2),
    ]
    return list(dict.fromkeys([*found, *some, *broken.values()]))
