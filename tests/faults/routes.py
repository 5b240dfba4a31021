"""The routes of the matrix: from which kind of place to which, and in which mode."""

from __future__ import annotations

from dataclasses import dataclass

from de_classes.contracts import Mode
from tests.faults.jobs import COMPACT, VACUUM
from tests.faults.rows import Unfit


@dataclass(frozen=True, slots=True)
class Route:
    """From one kind of place to another."""

    name: str
    source: str
    target: str
    mode: str
    deletes: bool = False
    """Whether rows are gone from the later state of the source."""
    csv: bool = False
    changes: bool = False
    """Whether a column of the source tells what has changed, and only that is read."""
    partitions: bool = False
    """Whether only the partitions are replaced that rows of the later state come for."""
    unfit: Unfit = ""
    """What keeps some of the rows out of the target, so that they go to its quarantine."""
    verified: bool = False
    """Whether values are read back before they are committed."""

    @property
    def grows(self) -> bool:
        """Whether its later state has more rows, and no others."""
        return self.source in {"api", "more files"}

    @property
    def walks(self) -> bool:
        """Whether it commits on the way: then a beginning of the rows may be seen."""
        return self.source == "api"


ROUTES = {
    route.name: route
    for route in (
        Route("api->pg", "api", "pg", Mode.APPEND),
        Route("api->objects", "api", "local", Mode.APPEND),
        Route("objects->pg", "local", "pg", Mode.MERGE),
        Route("files->pg", "files", "pg", Mode.APPEND),
        Route("files->objects", "more files", "local", Mode.APPEND),
        Route("pg->objects", "pg", "local", Mode.REPLACE),
        Route("pg->csv", "pg", "local", Mode.REPLACE, csv=True),
        Route("pg->pg", "pg", "pg", Mode.MERGE),
        Route("pg->pg, replaced", "pg", "pg", Mode.REPLACE),
        Route("pg->pg, deleted", "pg", "pg", Mode.MERGE, deletes=True),
        Route("pg->pg, history", "pg", "pg", Mode.HISTORY),
        Route("pg->pg, changes", "changing", "pg", Mode.MERGE, changes=True),
        Route("pg->pg, verified", "pg", "pg", Mode.REPLACE, verified=True),
        Route("pg->partitions", "pg", "local", Mode.REPLACE, partitions=True, verified=True),
        Route("api->pg, unfit", "api", "pg", Mode.APPEND, unfit="value"),
        Route("pg->pg, unfit", "pg", "pg", Mode.REPLACE, unfit="column"),
        Route("api->s3", "api", "s3", Mode.APPEND),
        Route("s3->pg", "s3", "pg", Mode.MERGE),
        Route("pg->s3", "pg", "s3", Mode.REPLACE),
        Route("compaction", "", "local", COMPACT),
        Route("vacuum", "", "local", VACUUM),
    )
}
