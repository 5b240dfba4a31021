"""The contract suite: what the runner relies on, as tests that any source or destination can be put through.

Subclass in a test module of yours, give the fixtures, and pytest does the rest::

    class TestMySource(SourceContract):
        @pytest.fixture
        def source(self):
            return MySource(...)            # at least one stream with at least a few rows

        @pytest.fixture
        def grown(self, source):
            def grow():
                ...                         # add rows to what it reads
                return source               # or another source, that reads the more
            return grow

    class TestMyDestination(DestinationContract):
        @pytest.fixture
        def destination(self):
            return MyDestination(...)       # empty

        @pytest.fixture
        def read_back(self, destination):
            return lambda name: ...         # the visible rows as a pyarrow.Table, or None when there is no such table

        @pytest.fixture
        def leftovers(self, destination):
            return lambda: [...]            # names of all that lies there and is not visible

A destination that lets columns grow, or keeps what does not fit, gives `evolving` and `read_quarantine` as well (see
`GrowingContract`). What yours cannot do is told by class attributes: `modes`, `values`, `crosses_processes`,
`reaches_an_end`, `grows`; that it deletes by key, by `deletes`.
"""

import pytest

# Before they are imported, so that a failure tells the values that differ.
pytest.register_assert_rewrite(
    *(f"{__name__}.{part}" for part in ("committing", "deleting", "destination", "growing", "source"))
)

from de_classes.testing.contract.destination import DestinationContract  # noqa: E402 -- see above
from de_classes.testing.contract.growing import GrowingContract, ReadQuarantine  # noqa: E402 -- see above
from de_classes.testing.contract.loading import Leftovers, ReadBack  # noqa: E402 -- see above
from de_classes.testing.contract.source import SourceContract  # noqa: E402 -- see above

__all__ = ["DestinationContract", "GrowingContract", "Leftovers", "ReadBack", "ReadQuarantine", "SourceContract"]
