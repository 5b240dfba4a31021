from __future__ import annotations

from pathlib import Path

import pytest

from de_classes.testing.faults import read_log
from de_classes.utils import faults
from tests.faults.bench import Bench
from tests.faults.cases import Case, chosen, everything, kills
from tests.faults.cuts import BREAKS
from tests.faults.points import POINTS, states
from tests.faults.routes import ROUTES
from tests.faults.trial import NO_DISK, tried


@pytest.mark.parametrize("route", ROUTES)
def test_the_matrix_knows_every_point_of_a_route(bench: Bench, tmp_path: Path, route: str) -> None:
    """A load reaches the points that the matrix has for its route and no others, so none is left out."""
    site = bench.site(ROUTES[route])
    for state in (1, 2) if site.route.source else (1,):
        log = tmp_path / f"log-{state}"
        assert site.run(state, log=str(log)).outcome == "done"
        assert set(read_log(log)) == {point for point in POINTS[route] if state in states(site.route, point)}
        assert site.rows() == site.expected(state)
        assert site.leftovers() == []


def test_every_point_is_in_the_matrix() -> None:
    """There is no point in the code at which no route is killed, and there are many pairs of the two."""
    assert {case.place for case in kills()} == set(faults.POINTS)
    assert {case.place for case in chosen() if case.fault == "kill"} == set(faults.POINTS)
    assert {case.place for case in chosen() if case.fault == "cut"} == {
        name for name, place in BREAKS.items() if not place.in_parts
    }
    assert len({(case.route, case.place) for case in kills()}) > 100
    assert len(set(everything())) == len(everything())


@pytest.mark.parametrize("case", chosen(), ids=str)
def test_run_again_after_a_fault(bench: Bench, case: Case) -> None:
    """The next run makes it whole: nothing lost, doubled or changed, and nothing left lying."""
    if tried(bench, case).outcome == NO_DISK:
        pytest.skip("takes root that may mount a disk")
