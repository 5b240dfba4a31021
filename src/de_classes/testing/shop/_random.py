"""Random values that are functions of their place: the same for any order of asking, in bulk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["below", "mixed"]


def mixed(seed: int, topic: int, places: Any) -> NDArray[np.uint64]:
    """64 random bits for each place: SplitMix64 (Steele, Lea and Flood 2014) over seed, topic and place."""
    with np.errstate(over="ignore"):
        x = np.asarray(places).astype(np.uint64)
        x = x * np.uint64(0x9E3779B97F4A7C15) + np.uint64(
            (seed * 0xD1342543DE82EF95 + topic * 0xBF58476D1CE4E5B9) % 2**64
        )
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def below(limit: Any, seed: int, topic: int, places: Any) -> NDArray[np.int64]:
    """A random whole number from 0 to below `limit` for each place; limits may differ from place to place."""
    return (mixed(seed, topic, places) % np.asarray(limit).astype(np.uint64)).astype(np.int64)
