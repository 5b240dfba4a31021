"""What happens in a case, and what must hold after it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from de_classes.contracts import Mode
from tests.faults.bench import Bench
from tests.faults.cuts import BREAKS
from tests.faults.jobs import COMPACT, VACUUM
from tests.faults.nursery import Ended
from tests.faults.routes import ROUTES
from tests.faults.rows import ROWS, rows
from tests.faults.site import Site

if TYPE_CHECKING:
    from tests.faults.cases import Case

NO_DISK = "no disk to fill"
"""The outcome where no small disk may be mounted."""
# Where a commit is lasting already: what is stopped or fails from there on has nothing to lose.
_COMMITTED = ("dataset.commit.after_put", "dataset.commit.after", "dataset.cleanup", "postgres.commit.after")


@dataclass(frozen=True, slots=True)
class Told:
    """What became of the run that met the fault; that the next one made it whole is what a trial asserts."""

    outcome: str
    seconds: float


def tried(bench: Bench, case: Case) -> Told:
    """Go through a case.

    Raises:
        AssertionError: a promise of docs/guarantees.md was broken.

    """
    began = time.perf_counter()
    in_parts = case.place.startswith("s3.upload.") or (case.fault == "cut" and BREAKS[case.place].in_parts)
    site = bench.site(ROUTES[case.route], wide=in_parts, old=case.place.startswith("dataset.checkpoint."))
    if case.state > 1:
        _done(site.run(1))
    outcome = _FAULTS[case.fault](site, case)
    _whole(site, case.state)
    # Those of a process that is killed nobody can know; the others must give theirs up.
    assert case.fault == "kill" or site.uploads() == []
    return Told(outcome, time.perf_counter() - began)


def _killed(site: Site, case: Case) -> str:
    ended = site.run(case.state, f"{case.place}:{case.nth}")
    assert ended.outcome == "killed", ended
    _see_nothing_half(site, case.state)
    return ended.outcome


def _overtaken(site: Site, case: Case) -> str:
    # It may be connecting in another thread while it is stopped, and the time goes on.
    job = replace(site.job(case.state, f"{case.place}:{case.nth}:stop"), patience_seconds=60)
    paused = site.bench.nursery.start(job)
    assert (stopped := paused.wait()).outcome == "stopped", stopped
    _done(site.run(case.state))
    assert site.rows() == site.expected(case.state)
    paused.go_on()
    ended = paused.wait()
    # A run that looks what there is only now finds every file loaded, and has nothing to do.
    late = "files" in site.route.source and case.place == "runner.before_plan"
    assert ended.outcome == ("done" if late else "Overtaken"), ended
    assert site.rows() == site.expected(case.state)
    return ended.outcome


def _full(site: Site, case: Case) -> str:
    ended = site.run(case.state, f"{case.place}:{case.nth}:full")
    harmless = case.place.startswith(_COMMITTED) and not site.route.walks
    assert ended.outcome == ("done" if harmless else "OutOfSpace"), ended
    _see_nothing_half(site, case.state)
    return ended.outcome


def _cut(site: Site, case: Case) -> str:
    place = BREAKS[case.place]
    job = site.job(case.state)
    there = getattr(job, place.side)
    with site.bench.through(there, place.cut(there.partition(":")[2].partition("@")[0])) as (way, proxy):
        ended = site.run(case.state, **{place.side: way})
        assert proxy.cuts > 0, ended
    assert ended.outcome == place.ends, ended
    _see_nothing_half(site, case.state)
    return ended.outcome


def _disk_full(site: Site, case: Case) -> str:
    small = site.bench.small_site(site.route)
    if small is None or small.bench.disk is None:
        return NO_DISK
    if case.state > 1:
        _done(small.run(1))
    with small.bench.disk.of(int(case.place.split()[-2])):
        ended = small.run(case.state)
    assert ended.outcome == ("PostgresOutOfSpace" if site.route.target == "pg" else "OutOfSpace"), ended
    assert small.rows() == small.expected(case.state - 1)
    _whole(small, case.state)
    return ended.outcome


def _full_bucket(site: Site, case: Case) -> str:
    site.bench.s3.failing("PUT", f"/{site.name}/orders/{case.place}/", 507, times=1000)
    ended = site.run(case.state)
    site.bench.s3.forgive()
    assert ended.outcome == "OutOfSpace", ended
    assert site.rows() == site.expected(case.state - 1)
    return ended.outcome


_FAULTS = {
    "kill": _killed,
    "overtake": _overtaken,
    "full": _full,
    "cut": _cut,
    "disk full": _disk_full,
    "bucket full": _full_bucket,
}


def _see_nothing_half(site: Site, state: int) -> None:
    """See that what is visible is the state before or the one after, or for a walk what its commits brought so far."""
    there, before, after = site.rows(), site.expected(state - 1), site.expected(state)
    if site.route.walks:
        assert len(before) <= len(there)
        assert there == after[: len(there)]
    else:
        assert there in (before, after)


def _whole(site: Site, state: int) -> None:
    """Run it again to its end, appending once more: everything is there as it should be, and nothing else."""
    site.age()
    for _ in range(2 if site.route.mode in {Mode.APPEND, COMPACT, VACUUM} else 1):
        _done(site.run(state))
        assert site.rows() == site.expected(state)
        assert (left := site.leftovers()) == [], left
        assert (aside := site.set_aside(state)) == [], aside
        if site.route.mode == Mode.HISTORY:
            assert site.closed() == sorted(set(rows(ROWS)) - set(site.expected(state)))


def _done(ended: Ended) -> None:
    assert ended.outcome == "done", ended
