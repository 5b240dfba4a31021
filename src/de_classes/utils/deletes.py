"""How many rows may be deleted without being asked."""

from __future__ import annotations

from de_classes.errors import ConfigurationError, TooManyDeletes

__all__ = ["check_share", "refuse_too_many"]


def check_share(subject: str, share: float) -> None:
    """Refuse what is no share.

    Raises:
        ConfigurationError: it is not between 0 and 1.

    """
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise ConfigurationError(subject, f"max_deleted_share={share!r} is no share (0 to 1)", "Give 0.2, or so.")


def refuse_too_many(name: str, deleted: int, rows: int, share: float) -> None:
    """Refuse to delete so many of the rows, since a source that lost its rows looks like one that deleted them.

    Raises:
        TooManyDeletes: they are more than the share.

    """
    if deleted > rows * share:
        raise TooManyDeletes(
            name,
            f"{deleted} of its {rows} rows are gone at the source, more than max_deleted_share={share:g} lets go",
            "Nothing was changed. If they are to go, allow it once with max_deleted_share=1.",
            deleted=deleted,
            rows=rows,
        )
