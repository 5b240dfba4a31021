"""Records of an API to columns; what each type takes stands in `de_classes.formats.records`."""

from __future__ import annotations

from de_classes.formats.records import RecordConverter

__all__ = ["RecordConverter"]


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.api._doors.records")
