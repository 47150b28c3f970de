"""Where patches lie, that no place is in two splits, and a split by geography for patches that come without one."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from training.land_cover.data.patches import SPLITS

EUROPE = "EPSG:3035"
"""ETRS89 / LAEA Europe: one grid of metres for all countries of BigEarthNet, whatever their UTM zones."""
BLOCK = 24_000
"""Metres along a block of one split: twenty patches, so that few lie on the border of another."""
SHARES = (0.5, 0.25, 0.25)
"""Of the blocks in train, validation and test, about as reBEN divides its patches."""
TOUCHING = 1.0
"""Metres by which footprints may overlap and still be neighbours: those of two UTM zones are compared with roundings."""


@dataclass(frozen=True)
class Footprints:
    """Ground of patches."""

    corners: NDArray[np.int64]
    """(patches, 5): EPSG code, left, bottom, right, top in metres."""

    def in_europe(self) -> NDArray[np.float64]:
        """(patches, 4, 2): their corners, in order around, in metres of EPSG:3035."""
        made = np.empty((len(self.corners), 4, 2))
        for code in np.unique(self.corners[:, 0]):
            own = self.corners[:, 0] == code
            left, bottom, right, top = self.corners[own, 1:].T.astype(np.float64)
            change = Transformer.from_crs(f"EPSG:{code}", EUROPE, always_xy=True)
            x, y = change.transform(np.stack([left, right, right, left], -1), np.stack([top, top, bottom, bottom], -1))
            made[own] = np.stack([x, y], -1)
        return made


def block_splits(footprints: Footprints) -> NDArray[np.str_]:
    """The split of each patch by the block of ground that it lies in; "" where it reaches into a block of another split.

    A block's split is a hash of its place, so it does not depend on which other patches there are.
    """
    blocks = np.floor(footprints.in_europe() / BLOCK).astype(np.int64)
    found = []
    for corners in blocks:
        splits = {_block_split(int(x), int(y)) for x, y in corners}
        found.append(splits.pop() if len(splits) == 1 else "")
    return np.array(found, np.str_)


def _block_split(x: int, y: int) -> str:
    digest = hashlib.sha256(f"BigEarthNet {x} {y}".encode()).digest()
    at = int.from_bytes(digest[:8], "big") / 2**64
    return SPLITS[int(np.searchsorted(np.cumsum(SHARES)[:2], at, "right"))]


class Shared(NamedTuple):
    """Two patches of different splits that show the same ground."""

    first: int
    second: int


def shared_places(footprints: Footprints, splits: Sequence[str] | NDArray[np.str_]) -> list[Shared]:
    """Pairs of patches of different splits whose ground overlaps, as places in the sequences, whatever their CRS."""
    import shapely  # noqa: PLC0415

    shapes = shapely.polygons(footprints.in_europe())
    names = np.asarray(splits)
    one, other = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    apart = (one < other) & (names[one] != names[other])
    one, other = one[apart], other[apart]
    common = shapely.area(shapely.intersection(shapes[one], shapes[other]))
    real = common > TOUCHING * 1200
    return [Shared(int(a), int(b)) for a, b in zip(one[real], other[real], strict=True)]


def warning(footprints: Footprints, splits: Sequence[str] | NDArray[np.str_], names: Sequence[str]) -> str | None:
    """What is to be said where a place is in two splits, naming two patches; None where none is."""
    found = shared_places(footprints, splits)
    if not found:
        return None
    a, b = found[0]
    return (
        f"{names[a]} ({splits[a]}) and {names[b]} ({splits[b]}) show the same ground, and {len(found) - 1} more pairs do: "
        "scores on it are of places that were trained on; leave one of each pair out"
    )
