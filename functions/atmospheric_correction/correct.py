"""The correct stage: a shard's DNs through the gains and biases of their scenes, or what the U-Net says of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmospheric_correction.nearby import LARGEST, Nearby
from atmospheric_correction.quality import CLOUD, CORRECTED, NO_DATA, SATURATED
from atmospheric_correction.unet import tiled
from eo.correction import ALBEDO, BIAS, GAIN, QUALITY, SIGMA_STEP, SURFACE, UNET, corrected, surface
from eo.grid import Window
from eo.job import Part, Plan, Unit
from eo.radiometry import SATURATION
from eo.thumbnail import lattice, on_lattice
from eo.unit_io import UnitIO

Floats = NDArray[np.floating[Any]]


def correct(unit: Unit, _state: Any, io: UnitIO) -> Part:  # noqa: ANN401 - the stage before has no reduce
    """Write the surface DNs and the quality of a shard; leave its sigma on a coarse lattice."""
    window, plan = unit.window, io.plan
    bands = corrected(plan)
    origin = _origin(window, io)
    codes = np.zeros(window.shape, np.uint8)
    sigma = np.zeros((len(bands), *lattice(window, SIGMA_STEP).shape), np.uint16)
    scenes = [index for index in range(len(plan.scenes)) if (origin == index + 1).any()]
    nearby = [Nearby(plan, index, window, io) for index in scenes]
    for index, near in zip(scenes, nearby, strict=True):
        np.copyto(codes, near.nearest(QUALITY), where=origin == index + 1)
    # A coarse pixel counts as unknown where any band of it is; what lies in it and has data is corrected all the same.
    codes[(codes == NO_DATA) & (origin > 0)] = CORRECTED
    out = origin == 0
    if plan.inputs["mask_clouds"]:
        out |= codes == CLOUD
    by_net = tiled(bands, window, io) if plan.inputs["model"] == UNET and scenes else None
    for number, band in enumerate(bands):
        dn = io.cube.read_target(band, window)
        codes[(dn == SATURATION) & ~out] = SATURATED
        found = np.zeros(window.shape, np.uint16) if by_net is None else by_net.surface[number]
        for index, near in zip(scenes, nearby, strict=True):
            here = on_lattice(origin, window, SIGMA_STEP) == index + 1
            if by_net is None:
                _apply(found, dn, near, band, plan, where=None if len(scenes) == 1 else origin == index + 1)
            np.copyto(sigma[number], near.sigma(band) if by_net is None else by_net.sigma[number], where=here)
        found[out | (dn == 0)] = 0
        io.cube.write_target(surface(band), window, found)
    io.cube.write_target(QUALITY, window, codes)
    io.put("sigma", [sigma.astype("<u2").tobytes()])
    kinds = np.bincount(codes.ravel(), minlength=7)
    return Part(
        unit=unit.id,
        keys=io.left.keys,
        sizes=io.left.sizes,
        digests=io.left.digests,
        counts={f"quality_{code}": int(count) for code, count in enumerate(kinds)},
    )


def _origin(window: Window, io: UnitIO) -> NDArray[Any]:
    """Index of each pixel's scene plus one; 0 outside of the job and where no scene has data."""
    inside = io.cube.read_target("valid", window)
    if not io.cube.has("scene"):
        return inside
    origin: NDArray[Any] = np.where(inside > 0, io.cube.read_target("scene", window), 0)
    return origin


def _apply(  # noqa: PLR0917 - the kernel's own
    found: NDArray[np.uint16],
    dn: NDArray[np.uint16],
    near: Nearby,
    band: str,
    plan: Plan,
    where: NDArray[np.bool_] | None,
) -> None:
    """Surface DNs of one scene's pixels: gain (DN + offset) + bias, rounded half up; saturated pixels stay so."""
    # The cube's: DNs of scenes that share one were brought to one offset, at equal reflectance.
    offset = plan.radiometry[band].offset
    uniform = not plan.inputs["adjacency"]
    for rows, layers in near.strips([f"{GAIN}{band}", f"{BIAS}{band}", *([f"{ALBEDO}{band}"] if uniform else [])]):
        values: Floats = dn[rows].astype(np.float32)
        values += offset
        values *= layers[0]
        values += layers[1]
        if uniform:
            light = (values + SURFACE.offset) / SURFACE.quantification
            values = light / (1 + layers[2] * light) * SURFACE.quantification - SURFACE.offset
        values += np.float32(0.5)
        np.clip(values, 1, LARGEST - 1, out=values)
        surface_dn = values.astype(np.uint16)
        surface_dn[dn[rows] == SATURATION] = SATURATION
        if where is None:
            found[rows] = surface_dn
        else:
            np.copyto(found[rows], surface_dn, where=where[rows])
