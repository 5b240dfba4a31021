from __future__ import annotations

from pathlib import Path

import pytest

from de_classes.testing.faults import read_log
from de_classes.utils import faults
from tests.faults.bench import ROUTES, Bench
from tests.faults.cases import POINTS, Case, chosen, everything, kills
from tests.faults.cuts import BREAKS
from tests.faults.trial import NO_DISK, tried


@pytest.mark.parametrize("route", ROUTES)
def test_the_matrix_knows_every_point_of_a_route(bench: Bench, tmp_path: Path, route: str) -> None:
    """A load reaches the points that the matrix has for its route and no others, so none is left out."""
    site, log = bench.site(ROUTES[route]), tmp_path / "log"
    assert site.run(1, log=str(log)).outcome == "done"
    assert set(read_log(log)) == set(POINTS[route])
    assert site.rows() == site.expected(1)
    assert site.leftovers() == []


def test_every_point_is_in_the_matrix() -> None:
    """There is no point in the code at which no route is killed, and there are many pairs of the two."""
    assert {case.place for case in kills()} == set(faults.POINTS)
    assert {case.place for case in chosen() if case.fault == "kill"} == set(faults.POINTS)
    assert {case.place for case in chosen() if case.fault == "cut"} == set(BREAKS)
    assert len({(case.route, case.place) for case in kills()}) > 100
    assert len(set(everything())) == len(everything())


@pytest.mark.parametrize("case", chosen(), ids=str)
def test_run_again_after_a_fault(bench: Bench, case: Case) -> None:
    """The next run makes it whole: nothing lost, doubled or changed, and nothing left lying."""
    if tried(bench, case).outcome == NO_DISK:
        pytest.skip("takes root that may mount a disk")
