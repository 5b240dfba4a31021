"""A destination as a stranger would write it: Arrow files in a folder, and one state file that says which are visible.

It keeps the contract. The tests of the suite derive from it what does not.
"""

from __future__ import annotations

import fcntl
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from de_classes.contracts import Batch, Mode, Position, Receipt, Stream
from de_classes.errors import ConfigurationError, CountMismatch, Overtaken, SchemaMismatch

FRESH: dict[str, Any] = {"files": [], "positions": {}, "epochs": {}}


@dataclass(frozen=True)
class FolderLoad:
    destination: FolderDestination
    pipeline: str
    stream: Stream
    mode: Mode
    epoch: int
    staged: Mapping[str, Receipt]

    @property
    def folder(self) -> Path:
        return self.destination.folder(self.stream)

    def write(self, split_id: str, batches: Iterator[Batch]) -> Receipt:
        first = next(batches, None)
        if first is None:
            return Receipt(split_id, 0, 0, None)
        name = f"{self.pipeline}-{self.epoch}-{uuid.uuid4().hex}"
        path, rows, position = self.folder / f"{name}.part", 0, None
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, first.records.schema) as sink:
            for batch in chain([first], batches):
                sink.write_batch(self.destination.changed(batch.records))
                rows, position = rows + batch.records.num_rows, batch.position or position
        path.rename(path.with_suffix(".arrow"))
        size = path.with_suffix(".arrow").stat().st_size
        receipt = Receipt(split_id, rows, size, first.records.schema, position, {"name": name})
        self.folder.joinpath(f"{name}.json").write_text(json.dumps(asdict(replace(receipt, schema=None))))
        return receipt

    def commit(self, receipts: Sequence[Receipt], position: Position | None) -> None:
        with self.destination.locked(self.stream):
            state = self.destination.state(self.stream)
            if state["epochs"].get(self.pipeline, 0) != self.epoch:
                raise Overtaken(f"stream {self.stream.name!r}", "another run has committed since this load began")
            names = [str(receipt.details["name"]) for receipt in receipts if receipt.details]
            tables = [self.destination.read(self.stream, name) for name in names]
            for table, receipt in zip(tables, receipts, strict=False):
                if table.num_rows != receipt.rows:
                    raise CountMismatch(f"split {receipt.split_id!r}", f"{receipt.rows} rows were promised")
            if not tables and self.stream.schema is not None:
                tables, names = [self.stream.schema.empty_table()], [f"empty-{uuid.uuid4().hex}"]
                self.destination.put(self.stream, names[0], tables[0])
            files = [] if self.mode is Mode.REPLACE else state["files"]
            there = [self.destination.read(self.stream, name).schema for name in files]
            if len({str(schema) for schema in [*there, *(table.schema for table in tables)]}) > 1:
                raise SchemaMismatch(f"stream {self.stream.name!r}", "its columns are others")
            self.show(state, [*files, *names], position)
            self.destination.clean(self.stream, self.pipeline, self.epoch)

    def show(self, state: Mapping[str, Any], files: Sequence[str], position: Position | None) -> None:
        epochs = {**state["epochs"], self.pipeline: self.epoch + 1}
        positions = {**state["positions"], self.pipeline: position}
        self.destination.put_state(self.stream, {"files": files, "positions": positions, "epochs": epochs})


class FolderDestination:
    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, stream: Stream) -> Path:
        folder = self.root / stream.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def state(self, stream: Stream) -> dict[str, Any]:
        path = self.folder(stream) / "state"
        return dict(json.loads(path.read_text())) if path.exists() else FRESH

    def put_state(self, stream: Stream, state: Mapping[str, Any]) -> None:
        text, path = json.dumps(state), self.folder(stream) / "state"
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").replace(path)

    def read(self, stream: Stream, name: str) -> pa.Table:
        with pa.memory_map(str(self.folder(stream) / f"{name}.arrow")) as file:
            return pa.ipc.open_file(file).read_all()

    def put(self, stream: Stream, name: str, table: pa.Table) -> None:
        path = self.folder(stream) / f"{name}.arrow"
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as sink:
            sink.write_table(table)

    def changed(self, records: pa.RecordBatch) -> pa.RecordBatch:
        return records

    @contextmanager
    def locked(self, stream: Stream) -> Iterator[None]:
        with (self.folder(stream) / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def visible(self, name: str) -> pa.Table | None:
        tables = [self.read(Stream(name), file) for file in self.state(Stream(name))["files"]]
        return pa.concat_tables(tables) if tables else None

    def leftovers(self) -> list[str]:
        known = {f"{name}.arrow" for path in self.root.iterdir() for name in self.state(Stream(path.name))["files"]}
        return [path.name for path in self.root.glob("*/*.*") if path.name not in known and path.suffix != ".new"]

    def position(self, pipeline: str, stream: Stream) -> Position | None:
        position: Position | None = self.state(stream)["positions"].get(pipeline)
        return position

    def owned(self, stream: Stream, pipeline: str) -> Iterator[tuple[int, Path]]:
        """What the pipeline's loads have written, committed or not, with the epochs."""
        for path in self.folder(stream).glob(f"{pipeline}-*.*"):
            yield int(path.name.split("-")[1]), path

    def clean(self, stream: Stream, pipeline: str, epoch: int) -> None:
        shown = {f"{name}.arrow" for name in self.state(stream)["files"]}
        for at, path in self.owned(stream, pipeline):
            if at <= epoch and path.name not in shown:
                path.unlink()

    def taken_over(self, stream: Stream, pipeline: str, epoch: int) -> Mapping[str, Receipt]:
        ledger = [path for at, path in self.owned(stream, pipeline) if at == epoch and path.suffix == ".json"]
        receipts = [Receipt(**json.loads(path.read_text())) for path in ledger]
        return {receipt.split_id: receipt for receipt in receipts}

    @contextmanager
    def begin(self, pipeline: str, stream: Stream, mode: Mode) -> Iterator[FolderLoad]:
        if mode in {Mode.MERGE, Mode.HISTORY}:
            raise ConfigurationError(f"stream {stream.name!r}", f"a folder has no mode {mode}")
        with self.locked(stream):
            epoch = self.state(stream)["epochs"].get(pipeline, 0)
            self.clean(stream, pipeline, epoch - 1)
            staged = self.taken_over(stream, pipeline, epoch)
        yield self.load(pipeline, stream, mode, epoch, staged)

    def load(self, *parts: Any) -> FolderLoad:
        return FolderLoad(self, *parts)
