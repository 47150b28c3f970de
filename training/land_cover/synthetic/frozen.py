"""What the generated data set was when it was frozen, before the first training, and the way to find out whether it still is.

A change of the generator that changes a label or a pixel changes these digests; results that were told before it are of
another data set then, and have to be made anew.
"""

from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from land_cover.labels import CLASSES
from training.land_cover.synthetic.patch import pixels
from training.land_cover.synthetic.plan import Row

PLAN = "7608ffdbff0057dbc75a7cc678403a4509bc63685877f0f1d0402b192988b3d2"
"""`plan.digest` of the default parameters: places, splits, true and said labels of all 12,000 patches."""
PIXELS = "b39a7f50beef1cf5dc30c465f5d00f22bfd450cbd078f1a51a09c1a0d234e552"
"""`pixel_digest` of `one_of_each` of them."""


def patch(row: Row, seed: int) -> dict[str, NDArray[np.uint16]]:
    """The pixels of a patch by band: a function of the seed, its place and its true classes."""
    left, top = row.corner
    return pixels(row.truth, np.random.default_rng((seed, left, top)))


def one_of_each(rows: list[Row]) -> list[Row]:
    """The first patch of each class, so that the pattern of every class is among them."""
    firsts = [next(row for row in rows if name in row.truth) for name in CLASSES]
    return list(dict.fromkeys(firsts))


def pixel_digest(rows: list[Row], seed: int) -> str:
    """SHA-256 of all bands of these patches, as little-endian DN."""
    found = sha256()
    for row in rows:
        for band, dn in patch(row, seed).items():
            found.update(band.encode() + dn.astype("<u2").tobytes())
    return found.hexdigest()
