from __future__ import annotations

from collections.abc import Iterator

import pytest

from de_classes.testing.postgres import EmbeddedPostgres
from de_classes.testing.s3 import S3Server
from tests.faults.bench import Bench


@pytest.fixture(scope="session")
def bench(postgres_server: EmbeddedPostgres, s3_server: S3Server) -> Iterator[Bench]:
    """Sources, and a process that forks runs; each case has a target of its own."""
    with Bench(postgres_server, s3_server) as opened:
        yield opened
