"""A small disk that can really be full: a file system in memory, for those who may mount one."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ROOMY = 256


class SmallDisk:
    """A file system of so many megabytes as it is given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def of(self, megabytes: int) -> Iterator[None]:
        """Let it be so small for a while."""
        self._mounted(f"remount,size={megabytes}m")
        try:
            yield
        finally:
            self._mounted(f"remount,size={_ROOMY}m")

    def _mounted(self, options: str) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)], check=True)


@contextmanager
def small_disk() -> Iterator[SmallDisk | None]:
    """A disk of one's own, or None where it may not be mounted: that takes root, and not in every container."""
    folder = Path(tempfile.mkdtemp(prefix="de-classes-disk-"))
    folder.chmod(0o711)
    command = ["mount", "-t", "tmpfs", "-o", f"size={_ROOMY}m", "tmpfs", str(folder)]
    mounted = False
    try:
        with suppress(OSError):
            mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        yield SmallDisk(folder) if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()
