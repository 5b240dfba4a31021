"""The matrix as data: which route meets what, where, and at which passing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from tests.faults.cuts import BREAKS, of_route
from tests.faults.points import FIRST, POINTS, WRITES_LOCAL, states
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
    yield from (Case("pg->s3", "kill", f"s3.upload.{when}_completion", 1, 2) for when in ("before", "after"))
    # Into a dataset whose 64th commit this is.
    yield Case("api->objects", "kill", "dataset.checkpoint.before_put")


_OF_SPLITS = {"dataset.read.batch", "files.read.batch", "postgres.read.before", "api.page.read"}


def _passings(route: str, point: str, state: int) -> tuple[int, ...]:
    """At which passings: those that each split or page brings are met early and late."""
    source = ROUTES[route].source
    if point == "local.write.before_publish":
        few = 7 if not source else 8 if source == "more files" and state > 1 else 12
        return tuple(range(1, few + 1))
    if point == "local.delete.before" and (source or route == "vacuum"):
        return (1, 2, 3)
    if point == "local.write.after_link":
        return (1, 2)
    if point in {"dataset.probe.between", "runner.before_plan", *FIRST} or not source:
        return (1,)
    return _of_each(source, state, often=".write." in point or point in _OF_SPLITS)


def _of_each(source: str, state: int, *, often: bool) -> tuple[int, ...]:
    """Of points that every commit reaches, or more `often` every page, split and file."""
    if source == "api":
        # It is loaded in three commits, and then in two.
        return (1, 3) if state == 1 else (1, 2)
    if not often or (state > 1 and source in {"local", "s3", "more files"}):
        return (1,)
    # Then there is the file that changed and the one that is new.
    return (1, 2) if source == "files" and state > 1 else (1, 3)


_PAUSES = {
    "pg": ("postgres.write.in_copy", "postgres.write.after_commit"),
    "local": (
        "dataset.write.in_upload",
        "local.write.after_rename",
        "dataset.write.after_receipt",
        "dataset.commit.before_put",
    ),
    "s3": ("dataset.write.in_upload", "dataset.commit.before_put"),
}


def overtaken() -> Iterator[Case]:
    """SIGSTOP at a point before a commit, while another run of the pipeline comes to its end; then SIGCONT."""
    yield Case("compaction", "overtake", "dataset.write.in_upload")
    yield Case("compaction", "overtake", "dataset.commit.before_put")
    for route in (route for route in ROUTES.values() if route.source):
        for place in ("runner.before_plan", *_PAUSES[route.target], "runner.before_commit"):
            for state in (1, 2):
                # The first file that is renamed is one of a probe, and comes before the load begins.
                yield Case(route.name, "overtake", place, 3 if place == "local.write.after_rename" else 1, state)
    yield Case("pg->s3", "overtake", "s3.upload.part", 1, 2)


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
        for place in of_route(route):
            for state in (2,) if BREAKS[place].in_parts else (1, 2):
                yield Case(route.name, "cut", place, state=state)


def everything() -> list[Case]:
    """The whole matrix."""
    return [*kills(), *overtaken(), *full(), *full_elsewhere(), *cuts()]


def chosen() -> list[Case]:
    """What a plain run of the tests takes: every point dies on one route or another, and some of the rest."""
    some = [*overtaken()][::15] + [*full()][::10] + [*full_elsewhere()][2::3]
    # What was once wrong, and what else changes rows that are there.
    some += [
        Case("pg->csv", "overtake", "local.write.after_rename", 3),
        Case("compaction", "kill", "dataset.commit.after_put"),
        Case("pg->pg, history", "kill", "postgres.commit.after_move", state=2),
        Case("pg->pg, deleted", "kill", "postgres.write.after_commit", 3, state=2),
        Case("files->pg", "kill", "postgres.commit.after_position", state=2),
    ]
    return list(dict.fromkeys([*_a_kill_of_each_point(), *some, *_each_break()]))


def _a_kill_of_each_point() -> Iterator[Case]:
    """On the route that has had the fewest; in the first load where there is one, which takes half of the time."""
    of_point: dict[str, list[Case]] = {}
    for case in kills():
        of_point.setdefault(case.place, []).append(case)
    had = Counter[str]()
    for cases in of_point.values():
        case = min(cases, key=lambda case: (had[case.route], case.state, -case.nth))
        had[case.route] += 1
        yield case


def _each_break() -> Iterator[Case]:
    """Into a table that is there, and on the way to or from a bucket that is empty."""
    of_place: dict[str, Case] = {}
    for case in cuts():
        if case.state == (1 if BREAKS[case.place].kind == "s3" else 2):
            of_place.setdefault(case.place, case)
    yield from of_place.values()
