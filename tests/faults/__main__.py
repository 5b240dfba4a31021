"""`python -m tests.faults`: go through the whole matrix, a line for each case, and sum it up.

Words choose among the cases: `python -m tests.faults kill pg->pg` takes those whose line has both.
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from de_classes.testing.postgres import EmbeddedPostgres
from de_classes.testing.s3 import S3Server
from tests.faults.bench import Bench
from tests.faults.cases import Case, everything
from tests.faults.trial import tried

SETTINGS = {"max_connections": "60", "shared_buffers": "32MB", "autovacuum": "off"}


def main(words: list[str]) -> int:
    """Try the cases; 1 where a promise was broken."""
    cases = [case for case in everything() if all(word in str(case) for word in words)]
    began, outcomes, broken = time.perf_counter(), Counter[str](), []
    _say(f"{'route':18} {'fault':9} {'place':34} {'nth':>3} {'load':6} {'outcome':18} seconds")
    with EmbeddedPostgres(settings=SETTINGS) as postgres, S3Server() as s3, Bench(postgres, s3) as bench:
        for case in cases:
            outcome = _line(bench, case)
            outcomes[f"{case.fault}: {outcome}"] += 1
            if outcome == "BROKEN":
                broken.append(case)
    pairs = {(case.route, case.place) for case in cases}
    _say(f"\n{len(cases)} cases of {len(pairs)} pairs of route and place, {time.perf_counter() - began:.0f} s")
    for outcome, count in sorted(outcomes.items()):
        _say(f"{count:5}  {outcome}")
    _say("every promise held" if not broken else f"{len(broken)} BROKEN: {'; '.join(map(str, broken))}")
    return 1 if broken else 0


def _line(bench: Bench, case: Case) -> str:
    load = "again" if case.state > 1 else "first"
    _say(f"{case.route:18} {case.fault:9} {case.place:34} {case.nth:3} {load:6} ", end="")
    try:
        told = tried(bench, case)
    except AssertionError as error:
        _say(f"BROKEN\n{str(error)[:2000]}")
        return "BROKEN"
    _say(f"{told.outcome:18} {told.seconds:.2f}")
    return told.outcome


def _say(line: str, end: str = "\n") -> None:
    print(line, end=end, flush=True)  # noqa: T201 -- this is a command


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
