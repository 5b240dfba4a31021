"""Which points a run of each route reaches: a test sees that it is these, and no others."""

from __future__ import annotations

from collections.abc import Mapping

from de_classes.contracts import Mode
from tests.faults.jobs import VACUUM
from tests.faults.routes import ROUTES, Route

_RUNNER = ("runner.before_plan", "runner.after_begin", "runner.before_commit", "runner.after_commit")
_READS = {
    "api": ("api.page.read",),
    "local": ("dataset.read.batch",),
    "s3": ("dataset.read.batch",),
    "files": ("files.read.batch",),
    "more files": ("files.read.batch",),
    "pg": ("postgres.plan.made", "postgres.read.before"),
    "changing": ("postgres.plan.made", "postgres.read.before"),
}
_DATASET = (
    "dataset.probe.between",
    "dataset.write.before_upload",
    "dataset.write.in_upload",
    "dataset.write.after_upload",
    "dataset.write.after_receipt",
    "dataset.commit.before",
    "dataset.commit.before_put",
    "dataset.commit.after_put",
    "dataset.commit.after",
    "dataset.cleanup.before",
    "dataset.cleanup.before_ledger",
    "dataset.cleanup.before_marker",
)
_LOCAL = ("local.write.before_publish", "local.write.after_link", "local.write.after_rename", "local.delete.before")
_WRITES = {
    "local": (*_DATASET, *_LOCAL),
    "s3": _DATASET,
    "pg": (
        "postgres.begin.before",
        "postgres.begin.after",
        "postgres.write.before_copy",
        "postgres.write.after_create",
        "postgres.write.in_copy",
        "postgres.write.after_copy",
        "postgres.write.before_commit",
        "postgres.write.after_commit",
        "postgres.commit.before_move",
        "postgres.commit.after_declaring",
        "postgres.commit.after_move",
        "postgres.commit.after_position",
        "postgres.commit.before",
        "postgres.commit.after",
    ),
}
_OF_MODE: Mapping[str, tuple[str, ...]] = {
    Mode.HISTORY: ("postgres.commit.after_closing",),
    Mode.REPLACE: ("postgres.commit.after_adopting", "postgres.commit.after_emptying"),
    Mode.MERGE: ("postgres.commit.after_adopting",),
    Mode.APPEND: ("postgres.commit.after_adopting",),
}
"""What a commit to PostgreSQL does, by its mode."""
_COMPACTION = (
    "dataset.probe.between",
    "dataset.write.in_upload",
    "dataset.commit.before_put",
    "dataset.commit.after_put",
    "dataset.cleanup.before_ledger",
    "dataset.cleanup.before_marker",
    *_LOCAL,
)
_VACUUM = ("dataset.vacuum.before_delete", "dataset.vacuum.before_sweep", "local.delete.before")
OF_A_NEW_TARGET = ("postgres.commit.after_adopting",)
"""Points that only a load reaches which makes its target: a narrow one is there."""
FIRST = ("postgres.commit.after_adopting", "postgres.commit.after_declaring")
"""Points that only a load into an empty target reaches."""
LATER = (
    "postgres.commit.after_replacing_items",
    "postgres.commit.after_emptying",
    "postgres.commit.after_deleting",
)
"""Points that only a load into what is there reaches."""


def _of(route: Route) -> tuple[str, ...]:
    if not route.source:
        return _VACUUM if route.mode == VACUUM else _COMPACTION
    points = [*_RUNNER, *_READS[route.source], *_WRITES[route.target]]
    points += _OF_MODE[route.mode] if route.target == "pg" else ()
    points = [point for point in points if not (route.unfit and point in OF_A_NEW_TARGET)]
    points += _VACUUM[:2] if route.target != "pg" and route.mode == Mode.REPLACE else ()
    points += ["postgres.commit.after_replacing_items"] if route.source == "files" else []
    points += ["postgres.commit.after_deleting"] if route.deletes else []
    return tuple(points)


def states(route: Route, point: str) -> tuple[int, ...]:
    """In which states of the source a run of the route reaches it."""
    if not route.source or point in FIRST:
        return (1,)
    return (2,) if point in LATER and not route.unfit else (1, 2)


POINTS: Mapping[str, tuple[str, ...]] = {route.name: _of(route) for route in ROUTES.values()}
WRITES_LOCAL = _WRITES["local"]
