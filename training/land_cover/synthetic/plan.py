"""Where the patches of the generated data set lie and what their labels are: everything but their pixels."""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from eo.errors import InvalidInput
from land_cover.labels import CLASSES
from training.land_cover.data.patches import SPLITS, Split

_FARMED = "Land principally occupied by agriculture, with significant areas of natural vegetation"

LANDSCAPES: dict[str, tuple[float, dict[str, float]]] = {
    "fields": (0.22, {
        "Arable land": 0.9, "Complex cultivation patterns": 0.4, _FARMED: 0.35, "Pastures": 0.35,
        "Urban fabric": 0.2, "Broad-leaved forest": 0.2, "Industrial or commercial units": 0.08, "Inland waters": 0.05,
    }),
    "orchards": (0.15, {
        "Permanent crops": 0.45, "Agro-forestry areas": 0.4, "Arable land": 0.5, "Complex cultivation patterns": 0.35,
        _FARMED: 0.3, "Transitional woodland, shrub": 0.3, "Broad-leaved forest": 0.2, "Urban fabric": 0.1,
        "Moors, heathland and sclerophyllous vegetation": 0.2,
    }),
    "taiga": (0.2, {
        "Coniferous forest": 0.75, "Mixed forest": 0.6, "Transitional woodland, shrub": 0.45, "Inland waters": 0.3,
        "Inland wetlands": 0.25, "Broad-leaved forest": 0.2,
    }),
    "mountains": (0.13, {
        "Natural grassland and sparsely vegetated areas": 0.5, "Coniferous forest": 0.5, "Broad-leaved forest": 0.35,
        "Moors, heathland and sclerophyllous vegetation": 0.35, "Transitional woodland, shrub": 0.3,
        "Mixed forest": 0.3,
    }),
    "coast": (0.12, {
        "Marine waters": 0.8, "Beaches, dunes, sands": 0.22, "Coastal wetlands": 0.3, "Urban fabric": 0.25,
        "Arable land": 0.25, "Pastures": 0.2, "Industrial or commercial units": 0.1,
    }),
    "town": (0.08, {
        "Urban fabric": 0.85, "Industrial or commercial units": 0.5, "Arable land": 0.4,
        "Complex cultivation patterns": 0.25, "Inland waters": 0.15,
    }),
    "meadows": (0.1, {
        "Pastures": 0.75, _FARMED: 0.35, "Arable land": 0.45, "Mixed forest": 0.2, "Coniferous forest": 0.2,
        "Inland wetlands": 0.15, "Moors, heathland and sclerophyllous vegetation": 0.15,
    }),
}  # fmt: skip
"""(share of the ground, probability of each class in a patch there): what makes classes occur together."""

TILES: dict[str, tuple[int, int, Split]] = {
    "T33UUQ": (300000, 5500020, "train"),
    "T33UVQ": (399960, 5500020, "train"),
    "T33UWQ": (499980, 5500020, "train"),
    "T33UXQ": (600000, 5500020, "test"),
    "T33UUP": (300000, 5400000, "train"),
    "T33UVP": (399960, 5400000, "train"),
    "T33UWP": (499980, 5400000, "validation"),
    "T33UXP": (600000, 5400000, "test"),
}
"""Left and top of Sentinel-2 tiles, in metres of EPSG:32633, and the split whose ground they are. Neighbours overlap by 10 km."""
SCENE = "S2A_MSIL2A_20170613T101031_N9999_R022"
EPSG = 32633
CELL, SIDE, BLOCK = 1200, 83, 6
"""Metres of a patch; patches along the part of a tile that no neighbour has; patches along a block of one landscape."""


@dataclass(frozen=True)
class Params:
    """What the data set is made from. Equal parameters give equal files."""

    patches: int = 12_000
    seed: int = 2026
    shares: tuple[float, float, float] = (0.6, 0.15, 0.25)
    """Of the patches, by split."""
    most: int = 5
    """Classes in a patch."""
    flipped: float = 0.03
    """Share of the training labels, as 0s and 1s of 19 classes, that are wrong. Validation and test have none."""

    def __post_init__(self) -> None:
        """Raises InvalidInput where there would be no patch in a split, or more than its ground has room for."""
        room = SIDE**2 * min(sum(split == name for _, _, split in TILES.values()) / share
                             for name, share in zip(SPLITS, self.shares, strict=True))  # fmt: skip
        if not 20 <= self.patches <= room:
            raise InvalidInput(f"{self.patches} patches: the generated ground has room for 20 to {int(room)}")


@dataclass(frozen=True)
class Row:
    """A patch to be made."""

    patch_id: str
    tile: str
    column: int
    row: int
    """Counted in patches from the tile's corner, as in the name."""
    split: Split
    truth: tuple[str, ...]
    """Classes whose pattern it has."""
    labels: tuple[str, ...]
    """What the metadata say."""

    @property
    def corner(self) -> tuple[int, int]:
        """(left, top) in metres of EPSG:32633."""
        left, top, _ = TILES[self.tile]
        return left + CELL * self.column, top - CELL * self.row


def plan(params: Params) -> list[Row]:
    """All patches, in the order of their splits."""
    rows: list[Row] = []
    counts = [round(params.patches * share) for share in params.shares[1:]]
    for number, (split, count) in enumerate(zip(SPLITS, (params.patches - sum(counts), *counts), strict=True)):
        rng = np.random.default_rng((params.seed, number))
        rows += _rows(split, count, params, rng)
    return rows


def digest(params: Params) -> str:
    """SHA-256 of the parameters and of all that is planned."""
    planned = [asdict(row) for row in plan(params)]
    said = {"params": asdict(params), "rows": planned, "landscapes": LANDSCAPES}
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _rows(split: Split, count: int, params: Params, rng: np.random.Generator) -> list[Row]:
    tiles = [tile for tile, (_, _, of) in TILES.items() if of == split]
    blocks = -(-SIDE // BLOCK)
    shares = np.array([share for share, _ in LANDSCAPES.values()])
    kinds = rng.choice(len(LANDSCAPES), (len(tiles), blocks, blocks), p=shares / shares.sum())
    places = rng.choice(len(tiles) * SIDE**2, count, replace=False)
    truth = np.zeros((count, len(CLASSES)), bool)
    cells = []
    for at, place in enumerate(places):
        which, rest = divmod(int(place), SIDE**2)
        row, column = divmod(rest, SIDE)
        cells.append((tiles[which], column, row))
        truth[at] = _drawn(list(LANDSCAPES.values())[kinds[which, row // BLOCK, column // BLOCK]][1], params.most, rng)
    wrong = rng.random(truth.shape) < params.flipped if split == "train" else np.zeros_like(truth)
    said = truth ^ wrong
    # A patch without a label is no patch of BigEarthNet: where all were flipped away, they stay.
    said[~said.any(1)] = truth[~said.any(1)]
    return [
        Row(f"{SCENE}_{tile}_{column:02d}_{row:02d}", tile, column, row, split, _names(truth[at]), _names(said[at]))
        for at, (tile, column, row) in enumerate(cells)
    ]


def _drawn(chances: dict[str, float], most: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    chance = np.array([chances.get(name, 0.0) for name in CLASSES])
    while True:
        drawn: NDArray[np.bool_] = rng.random(len(CLASSES)) < chance
        if 1 <= drawn.sum() <= most:
            return drawn


def _names(hot: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(name for name, there in zip(CLASSES, hot, strict=True) if there)
