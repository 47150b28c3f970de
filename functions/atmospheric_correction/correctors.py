"""The correctors behind one interface: what the air over each cell of a granule is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmospheric_correction import physics
from atmospheric_correction.adjacency import Surroundings
from atmospheric_correction.air import LEVELS, OPTICS, Air, uniform_inverse
from atmospheric_correction.granule import Granule
from atmospheric_correction.physics import State
from atmospheric_correction.quality import CIRRUS, CLOUD, CORRECTED, grown, quality, seen_ground
from eo.found_air import CLIMATOLOGY
from eo.model import Model

Floats = NDArray[np.floating[Any]]

SAID = ("aot", "sigma", *OPTICS)
"""What a net has to say."""
THIN = 1e-4
"""AOT of air without aerosol, for the model."""
BLACK, WHITE = -0.02, 1.2
"""Surface reflectances beyond which an atmosphere cannot be right."""
FEW, MANY = 0.02, 0.10
"""Shares of a neighbourhood's pixels beyond them at which physics begins to take over, and has."""
POSSIBLE = {
    "path": (-0.01, 1.0),
    "t_down": (0.01, 1.01),
    "t_dir": (0.01, 1.01),
    "t_dif": (-0.01, 1.01),
    "albedo": (-0.01, 0.9),
    "gas": (0.01, 1.01),
}
"""Between which the optics of any air lie, with room for rounding. Beyond them physics has taken over."""
PHYSICS_SIGMA = {
    "given": (0.022, 0.020, 0.017, 0.020),
    "product": (0.028, 0.024, 0.020, 0.021),
    "dark pixels": (0.030, 0.024, 0.024, 0.028),
    "assumed": (0.025, 0.022, 0.021, 0.023),
}
"""1-sigma of B02, B03, B04, B08 by how physics knows the AOT (root-mean-square errors on the two large test sets, aerosol
type unknown: bench/correction.json)."""
BANDS = ("B02", "B03", "B04", "B08")
VISIBLE = BANDS[:3]


@dataclass(frozen=True)
class Found:
    """What was found of a granule."""

    air: Air
    sigma: Floats
    """(cells, bands) 1-sigma of surface reflectance."""
    aot: Floats
    """(cells,) at 550 nm."""
    fallback: Floats
    """(cells,): how much of it is physics that stands in for a net, 0 to 1."""
    quality: NDArray[np.uint8]
    """(rows, columns) of the granule's coarse grid."""
    how: str
    """Where the AOT comes from."""


def find(granule: Granule, bands: Sequence[str], *, table: Model, net: Model | None, adjacency: bool) -> Found:
    """The air over a granule for the corrected `bands`: by the net, else by physics.

    `adjacency` says whether the light of surroundings is to be told from a pixel's own.
    """
    looked = Looked.at(granule, table)
    if net is None:
        return by_physics(looked, bands, table, adjacency=adjacency)
    return by_net(looked, bands, table=table, net=net, adjacency=adjacency)


def by_net(looked: "Looked", bands: Sequence[str], *, table: Model, net: Model, adjacency: bool) -> Found:
    """The air as a net sees it; physics where the net cannot be right, blended over the neighbours."""
    said = _said_by_net(looked, net)
    wrong = _share_wrong(looked, said)
    weight = np.clip((wrong - FEW) / (MANY - FEW), 0, 1).astype(np.float32)
    weight[_impossible(said) | (not looked.valid.any())] = 1
    said = _of(said, bands)
    if not weight.any():
        return said
    near = looked.granule.cells.neighbours()
    # So that no edge shows where physics takes over.
    weight = np.maximum(weight, near @ weight / near.sum(1))
    return _blended(said, by_physics(looked, bands, table, adjacency=adjacency), weight)


@dataclass(frozen=True)
class Looked:
    """A granule as all correctors look at it."""

    granule: Granule
    state: State
    quality: NDArray[np.uint8]
    used: NDArray[np.bool_]
    """(rows, columns): which pixels tell."""
    names: tuple[str, ...]
    """Bands of the pixel sets."""
    pixels: Floats
    """(cells, n, bands) TOA reflectance of the pixels that tell."""
    valid: Floats
    """(cells, n) 1 or 0."""
    heights: Floats
    """(cells, n) km."""
    clear: Floats
    """As pixels, without air molecules and gases."""

    @classmethod
    def at(cls, granule: Granule, table: Model) -> "Looked":
        """Its pixels that tell, and which those are."""
        names = tuple(band for band in physics.BANDS if band in granule.toa)
        state, cells, ground = granule.state(("B02", "B03", "B04")), granule.cells, granule.ground
        thin = np.full(cells.count, THIN, np.float32)
        mix = physics.mixture("continental", cells.count)
        air = Air(cells, physics.optics(table, state, thin, mix, names))
        clear = {
            band: uniform_inverse(granule.toa[band], air.on_context(number, ground))
            for number, band in enumerate(names)
        }
        codes = quality(granule.toa, clear, ground, granule.masks)
        used = (codes == CORRECTED) & ~grown((codes == CLOUD) | (codes == CIRRUS), 1)
        layers = [granule.toa[band] for band in names] + [clear[band] for band in names] + [ground / 1000]
        sets, valid = cells.sets(np.stack(layers).astype(np.float32), used)
        count = len(names)
        return cls(
            granule, state, codes, used, names, sets[..., :count], valid, sets[..., -1], sets[..., count : 2 * count]
        )

    def around(self, names: Sequence[str]) -> dict[str, Floats]:
        """By band, (cells, n): TOA reflectance of what surrounds each of the pixels that tell, as far as it shows ground."""
        counted = Surroundings(seen_ground(self.quality), self.granule.pixel)
        layers = np.stack([counted.mean(self.granule.toa[name]) for name in names])
        sets, _ = self.granule.cells.sets(layers, self.used)
        return {name: sets[..., number] for number, name in enumerate(names)}

    def bands(self, names: Sequence[str]) -> list[int]:
        """Where bands stand among the pixels'."""
        return [self.names.index(name) for name in names]


def by_physics(looked: Looked, bands: Sequence[str], table: Model, *, adjacency: bool) -> Found:
    """The air by 6S's functions, for the AOT that somebody tells, that dark pixels tell, or that is assumed."""
    granule, cells = looked.granule, looked.granule.cells
    aot, who = granule.aot
    kind = granule.told.aerosol
    fields = np.full(cells.count, CLIMATOLOGY, np.float32)
    if aot is not None:
        fields[:] = aot
    elif {"B02", "B04", "B8A", "B12"} <= set(looked.names) and looked.valid.any():
        by_band = {name: (looked.pixels[..., i], looked.clear[..., i]) for i, name in enumerate(looked.names)}
        dark = physics.from_dark_pixels(
            table,
            looked.state,
            cells.neighbours(),
            pixels={name: pair[0] for name, pair in by_band.items()},
            clear={name: pair[1] for name, pair in by_band.items()},
            valid=looked.valid,
            heights=looked.heights,
            kind=kind,
            around=looked.around(tuple(physics.OF_INFRARED)) if adjacency else None,
        )
        fields, who = dark.aot, "dark pixels" if dark.known.any() else who
    optics = physics.optics(table, looked.state, fields, physics.mixture(kind, cells.count), bands)
    sigma = np.tile(np.array([PHYSICS_SIGMA[who][BANDS.index(band)] for band in bands], np.float32), (cells.count, 1))
    none = np.zeros(cells.count, np.float32)
    return Found(Air(cells, optics), sigma, fields, none, looked.quality, who)


def _said_by_net(looked: Looked, net: Model) -> Found:
    """Of all BANDS, whichever a job corrects: whether it can be right must not depend on that."""
    cells = looked.granule.cells
    said = net.run(
        pixels=np.ascontiguousarray(looked.pixels[..., looked.bands(net.card.bands)]),
        valid=looked.valid,
        heights=looked.heights,
        near=cells.neighbours(),
        scene=np.ones((cells.count, cells.count), np.float32),
        levels=LEVELS,
        **vars(looked.state),
    )
    none = np.zeros(cells.count, np.float32)
    optics = {name: said[name] for name in OPTICS}
    return Found(Air(cells, optics), said["sigma"], said["aot"], none, looked.quality, "net")


def _of(found: Found, bands: Sequence[str]) -> Found:
    """Of the BANDS those that are corrected."""
    chosen = [BANDS.index(band) for band in bands]
    optics = {name: values[..., chosen] for name, values in found.air.optics.items()}
    return replace(found, air=Air(found.air.cells, optics), sigma=found.sigma[:, chosen])


def _share_wrong(looked: Looked, found: Found) -> Floats:
    """(cells,): the share of each neighbourhood's pixels that its atmosphere turns into no reflectance in a visible band."""
    wrong = np.zeros(looked.valid.shape, bool)
    for number, band in enumerate(VISIBLE):
        optics = {name: found.air.optics[name][:, 0, number][:, None] for name in OPTICS}
        thinner = np.exp(-looked.heights / 8.2)
        with np.errstate(all="ignore"):  # whatever a net may say
            toa = looked.pixels[..., looked.names.index(band)]
            rho = uniform_inverse(toa, optics | {"path": optics["path"] * thinner})
        wrong |= (rho < BLACK) | (rho > WHITE) | ~np.isfinite(rho)
    near = looked.granule.cells.neighbours()
    count = near @ looked.valid.sum(1)
    share: Floats = near @ (wrong * looked.valid).sum(1) / np.maximum(count, 1)
    return share


def _impossible(found: Found) -> NDArray[np.bool_]:
    """(cells,): whether what was said of a cell is no air at all, or no number."""
    wrong = ~(np.isfinite(found.aot) & (found.sigma > 0).all(axis=1) & np.isfinite(found.sigma).all(axis=1))
    for name, (low, high) in POSSIBLE.items():
        values = found.air.optics[name]
        wrong |= ~((values >= low) & (values <= high)).all(axis=(1, 2))
    return wrong


def _blended(net: Found, told: Found, weight: Floats) -> Found:
    def between(said: Floats, by_physics: Floats) -> Floats:
        """All of physics where its weight is 1: what the net said there may be no number."""
        share = weight.reshape(-1, *[1] * (said.ndim - 1))
        with np.errstate(all="ignore"):
            return np.where(share < 1, said + share * (by_physics - said), by_physics).astype(np.float32)

    optics = {name: between(values, told.air.optics[name]) for name, values in net.air.optics.items()}
    return Found(
        Air(net.air.cells, optics),
        np.fmax(between(net.sigma, told.sigma), weight[:, None] * told.sigma),
        between(net.aot, told.aot),
        weight,
        net.quality,
        f"net; {told.how} where it could not be right",
    )
