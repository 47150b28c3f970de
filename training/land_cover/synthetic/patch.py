"""The pixels of one generated patch."""

import numpy as np
from numpy.typing import NDArray

from training.land_cover.bands import EDGE, PIXELS
from training.land_cover.synthetic.fields import Field, smooth, unit
from training.land_cover.synthetic.textures import TEXTURES

MEANS: dict[str, float] = {
    "B01": 341, "B02": 438, "B03": 614, "B04": 588, "B05": 943, "B06": 1770,
    "B07": 2050, "B08": 2193, "B8A": 2236, "B09": 2246, "B11": 1568, "B12": 998,
}  # fmt: skip
"""DN about which the mean of a band lies: those of BigEarthNet (reBEN; B01 and B09 of v1)."""
SMALLEST = 0.1
"""Share of the patch that each of its classes covers, at least: 38 x 38 pixels."""
NOISE, SHADING = 0.35, 0.35
"""Deviation of the instrument's noise and of broad light and dark, beside 1 of the texture."""
RED_EDGE, INVERTED = ("B05", "B06", "B07"), ("B08", "B8A", "B09")


def pixels(classes: tuple[str, ...], rng: np.random.Generator) -> dict[str, NDArray[np.uint16]]:
    """DN of each band at its own resolution, for the classes that truly are there, in Sentinel-2's order of bands.

    Mean and deviation of each band are drawn, whatever the classes: they are set on the band as it is stored, since a
    fine texture would lose more of its variance than a coarse one when it is averaged to 20 or 60 m.
    """
    where = layout(len(classes), rng)
    textures = [TEXTURES[name] for name in classes]
    fields = np.stack([texture.field(rng) for texture in textures])
    for number, field in enumerate(fields):
        own = where == number
        field[own] = unit(field[own])
    ground = np.take_along_axis(fields, where[None], 0)[0]
    sign = np.array([texture.red_edge for texture in textures])[where]
    shading = SHADING * smooth(rng, 25)
    brightness, contrast = np.exp(rng.normal(0, 0.35)), 0.22 * np.exp(rng.normal(0, 0.25))
    made = {}
    for band, edge in PIXELS.items():
        turned = sign * ground if band in RED_EDGE else -ground if band in INVERTED else ground
        mean = MEANS[band] * brightness * np.exp(rng.normal(0, 0.1))
        coarse = _averaged(turned + shading, edge) + NOISE * rng.standard_normal((edge, edge))
        values = mean * (1 + contrast * np.exp(rng.normal(0, 0.1)) * unit(coarse))
        made[band] = np.clip(np.rint(values), 1, 10_000).astype(np.uint16)
    return made


def layout(count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """(EDGE, EDGE): which of `count` classes covers each pixel; each has its share, and together they cover all."""
    shares = SMALLEST + (1 - count * SMALLEST) * rng.dirichlet(np.full(count, 2.0))
    heights = np.stack([smooth(rng, rng.uniform(12, 20)) for _ in range(count)])
    offsets = np.zeros(count)
    where = heights.argmax(0)
    # Raise what covers too little until every class has about its share.
    for _ in range(60):
        cover = np.bincount(where.ravel(), minlength=count) / EDGE**2
        if (np.abs(cover - shares) < 0.02).all():
            break
        offsets += 1.5 * (shares - cover)
        where = (heights + offsets[:, None, None]).argmax(0)
    return where


def _averaged(values: Field, edge: int) -> Field:
    times = EDGE // edge
    means: Field = values.reshape(edge, times, edge, times).mean((1, 3))
    return means
