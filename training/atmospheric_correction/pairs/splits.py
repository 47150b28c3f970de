"""Train, validation and test by MGRS tile, so that no place is in two of them."""

import hashlib
from collections.abc import Sequence

from pyproj import Transformer

from eo.grid import RasterGrid, Window
from training.atmospheric_correction.pairs.config import PairConfig, Split
from training.atmospheric_correction.pairs.find import Pair

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def split_of(tile: str, config: PairConfig) -> Split | None:
    """The split of a tile: the same whatever other tiles there are; None where lists are given and none names it."""
    if config.tiles is not None:
        return next((split for split, tiles in config.tiles.items() if tile in tiles), None)
    digest = hashlib.sha256(f"{config.seed} {tile}".encode()).digest()
    at = int.from_bytes(digest[:8], "big") / 2**64
    train, validation, _ = config.shares
    return "train" if at < train else "validation" if at < train + validation else "test"


class Elsewhere:
    """The ground of other splits' tiles: neighbours overlap by 10 km, in which neither split may have patches."""

    def __init__(self, pairs: Sequence[Pair], config: PairConfig) -> None:
        """`pairs` are those of all splits."""
        self._config = config
        self._grids = {pair.tile: pair.grid for pair in pairs}
        self._shapes: dict[tuple[str, str], tuple[float, float, float, float]] = {}

    def meets(self, pair: Pair, window: Window) -> str | None:
        """The tile of another split in which a window lies, wholly or in part; None where there is none.

        Tiles of another UTM zone are taken as the rectangle around them, which is larger: some patches too many are
        left out, none too few.
        """
        left, bottom, right, top = pair.grid.cropped(window).bounds
        own = split_of(pair.tile, self._config)
        for tile, grid in self._grids.items():
            if split_of(tile, self._config) in {own, None}:
                continue
            west, south, east, north = self._seen(tile, grid, pair.grid.crs)
            if left < east and right > west and bottom < north and top > south:
                return tile
        return None

    def _seen(self, tile: str, grid: RasterGrid, crs: str) -> tuple[float, float, float, float]:
        """A tile's bounds in another tile's CRS."""
        key = tile, crs
        if key not in self._shapes:
            same = grid.to_sibling(crs)
            change = None if same.crs == crs else Transformer.from_crs(grid.crs, crs, always_xy=True)
            self._shapes[key] = same.bounds if change is None else change.transform_bounds(*grid.bounds, densify_pts=51)
        return self._shapes[key]
