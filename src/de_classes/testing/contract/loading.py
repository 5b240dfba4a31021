"""What the tests of destinations share: what its author gives, and loads into a stream of orders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import pyarrow as pa
import pytest

from de_classes.contracts import Batch, Mode, Stream
from de_classes.testing.contract.elsewhere import in_time
from de_classes.testing.contract.sample import VALUES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from de_classes.contracts import Destination, Load, Position, Receipt

__all__ = [
    "ANOTHER",
    "ORDERS",
    "PIPELINE",
    "Leftovers",
    "Loading",
    "ReadBack",
    "breaking",
    "loaded",
    "orders",
    "written",
]

ReadBack: TypeAlias = Callable[[str], "pa.Table | None"]
Leftovers: TypeAlias = Callable[[], Sequence[str]]

ORDERS = Stream("orders", ("id",))
PIPELINE = "contract"
ANOTHER = "another"


def orders(first: int, count: int, status: str = "new") -> pa.RecordBatch:
    """Rows with ids from `first` on."""
    ids = range(first, first + count)
    return pa.record_batch(
        {"id": pa.array(ids, pa.int64()), "status": pa.array([status] * count, pa.string())},
    )


def written(load: Load, *pieces: pa.RecordBatch, named: str = "split") -> list[Receipt]:
    """The receipts of pieces, each written as a split."""
    return [load.write(f"{named}-{n}", iter([Batch(piece)])) for n, piece in enumerate(pieces)]


def breaking(*pieces: pa.RecordBatch) -> Iterator[Batch]:
    """Batches of a source that fails after them."""
    yield from map(Batch, pieces)
    raise ConnectionResetError


def loaded(
    destination: Destination, mode: Mode, *pieces: pa.RecordBatch, position: Position | None, pipeline: str = PIPELINE
) -> None:
    """Begin, write each piece as a split, and commit them."""
    with destination.begin(pipeline, ORDERS, mode) as load:
        load.commit(written(load, *pieces), position)


class Loading:
    """What a destination's author gives, and what its tests use."""

    modes: ClassVar[frozenset[Mode]] = frozenset(Mode) - {Mode.HISTORY}
    """The modes that it has; add `Mode.HISTORY` for a destination that keeps one."""
    deletes: ClassVar[bool] = False
    """Whether a merge deletes the rows whose keys are not alive, where keys are told, and no more than half of them."""
    values: ClassVar[Mapping[str, pa.Array[Any]]] = VALUES
    """The columns that it is to give back as they were. Leave out the kinds that it refuses to hold."""
    crosses_processes: ClassVar[bool] = True
    """False for what lives in this process's memory; its loads then need not write elsewhere."""
    patience: ClassVar[float] = 60.0
    """Seconds after which a load that stands still beside another is taken to wait for it."""
    interruptions: ClassVar[int] = 60
    """At how many instants, spread over a commit, it is interrupted."""

    @pytest.fixture
    def destination(self) -> Destination:
        """The destination under test, empty."""
        raise NotImplementedError("override the fixture `destination`")

    @pytest.fixture
    def read_back(self, destination: Destination) -> ReadBack:
        """Reads the visible rows of a stream; None when the destination has no such thing."""
        raise NotImplementedError("override the fixture `read_back`")

    @pytest.fixture
    def leftovers(self, destination: Destination) -> Leftovers:
        """Names everything that is written and not visible: files, tables, lines of a ledger."""
        pytest.fail(
            "override the fixture `leftovers`: return a function that names all that lies in the destination and is not"
            f" visible ({type(destination).__name__} may list a folder, or the tables of its staging schema)",
            pytrace=False,
        )

    def visible(self, read_back: ReadBack) -> list[tuple[int, str]]:
        """Ids and statuses of the orders that can be seen, sorted."""
        table = read_back(ORDERS.name)
        return sorted((row["id"], row["status"]) for row in table.to_pylist()) if table is not None else []

    def keys(self, read_back: ReadBack) -> list[int]:
        """Ids of the orders that can be seen, sorted."""
        return [key for key, _ in self.visible(read_back)]

    def needs(self, mode: Mode) -> None:
        """Skip the test where the destination lacks the mode."""
        if mode not in self.modes:
            pytest.skip(f"this destination does not {mode}")

    def beside(self, load: Callable[[], None]) -> None:
        """Run a load while another is under way."""
        in_time(load, self.patience, "a load waits for another live one; it must begin, and commit first if it can")
