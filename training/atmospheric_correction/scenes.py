"""Simulated scenes: a varied ground seen through a varied atmosphere, as DNs of Sentinel-2 L1C, with the truth beside them.

A scene is what a granule gives to the correctors: coarse bands of a wide context at 120 m, and in its middle a piece at
10 m on which results are compared. Light that comes from the surroundings of a pixel (adjacency) is simulated by 6S's
environment function (Vermote et al. 1997, eq. 26: aerosols).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.atmospheric_correction.sixs import BANDS, TYPES

Floats = NDArray[np.float64]
Optics = Mapping[str, Floats]
"""path, t_down, t_dir, t_dif, albedo, gas: each (..., bands)."""

OPTICS = ("path", "t_down", "t_dir", "t_dif", "albedo", "gas")
CELL = 120
"""Metres of a context pixel."""
FACTOR = 12
"""10 m pixels along a context pixel."""
PIECE = 50
"""Context pixels along the piece that is simulated at 10 m."""
COMPARED = 256
"""10 m pixels along the middle of the piece, on which results are compared: far from where the ground turns coarse."""
OFFSET, QUANTIFICATION = -1000, 10_000
"""Of the DNs, as in products since baseline 04.00."""
NODES = 9
"""Along each side of the grid on which the atmosphere varies."""


@dataclass(frozen=True)
class Variation:
    """How a scene's atmosphere and relief vary: multipliers of AOT and kilometres of altitude at NODES x NODES places."""

    aot: Floats
    altitude: Floats


@dataclass(frozen=True)
class SimulatedScene:
    """What a corrector gets, and the truth."""

    context: dict[str, NDArray[np.uint16]]
    """DNs of every band on the context grid."""
    piece: dict[str, NDArray[np.uint16]]
    """DNs of every band at 10 m, COMPARED x COMPARED pixels in the middle of the context."""
    truth: dict[str, NDArray[np.float32]]
    """Surface reflectance of the same pixels."""
    elevation: NDArray[np.float32]
    """Metres, on the context grid."""
    corner: tuple[int, int]
    """(row, column) of the piece in 10 m pixels of the context's grid."""


def smooth_field(rng: np.random.Generator, shape: tuple[int, int], scale: float, power: float = 3.0) -> Floats:
    """A random field of mean 0 and standard deviation 1 that varies over `scale` pixels."""
    rows, cols = (2 * math.ceil((edge + 2 * min(scale, edge)) / 2) for edge in shape)
    noise = np.fft.rfft2(rng.standard_normal((rows, cols)))
    fy, fx = np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(cols)[None]
    noise *= (1 + (fy**2 + fx**2) * (2 * math.pi * scale) ** 2 / 4) ** (-power / 2)
    field = np.fft.irfft2(noise, (rows, cols))[: shape[0], : shape[1]]
    return (field - field.mean()) / max(field.std(), 1e-9)


def environment(reflectance: Floats, pixel: float = CELL) -> Floats:
    """What a pixel's surroundings reflect: the mean weighted by 6S's environment function for aerosols.

    F(r) = 1 - (0.375 exp(-0.20 r) + 0.625 exp(-1.83 r)), r in km, is the share of the light from within r (Vermote et
    al. 1997). `reflectance` is (rows, columns, ...); beyond the edge it is mirrored.
    """
    reach = min(math.ceil(10_000 / pixel), *(edge - 1 for edge in reflectance.shape[:2]))
    padded = np.pad(reflectance, [(reach, reach), (reach, reach), *[(0, 0)] * (reflectance.ndim - 2)], mode="reflect")
    rows, cols = padded.shape[:2]
    y, x = (np.minimum(np.arange(edge), edge - np.arange(edge)) * pixel / 1000 for edge in (rows, cols))
    r = np.hypot(y[:, None], x[None])
    r[0, 0] = 0.38 * pixel / 1000  # mean distance inside the pixel itself
    density = (0.375 * 0.20 * np.exp(-0.20 * r) + 0.625 * 1.83 * np.exp(-1.83 * r)) / r
    density[r > reach * pixel / 1000] = 0
    weights = np.fft.rfft2(density / density.sum())
    blurred = np.fft.irfft2(
        np.fft.rfft2(padded, axes=(0, 1)) * weights.reshape(*weights.shape, *[1] * (padded.ndim - 2)),
        (rows, cols),
        axes=(0, 1),
    )
    return blurred[reach : reach + reflectance.shape[0], reach : reach + reflectance.shape[1]]


def bilinear(nodes: Floats, rows: Floats, cols: Floats) -> Floats:
    """Nodes (n, m, ...) at fractional places: (len(rows), len(cols), ...)."""
    r0 = np.clip(rows.astype(int), 0, nodes.shape[0] - 2)
    c0 = np.clip(cols.astype(int), 0, nodes.shape[1] - 2)
    fr = (rows - r0).reshape(-1, 1, *[1] * (nodes.ndim - 2))
    fc = (cols - c0).reshape(1, -1, *[1] * (nodes.ndim - 2))
    upper = nodes[r0] * (1 - fr) + nodes[r0 + 1] * fr
    return upper[:, c0] * (1 - fc) + upper[:, c0 + 1] * fc


def toa(rho: Floats, env: Floats, optics: Optics) -> Floats:
    """What reaches the sensor: Tg (path + Td (t_dir rho + t_dif env) / (1 - S env))."""
    light = optics["t_down"] * (optics["t_dir"] * rho + optics["t_dif"] * env) / (1 - optics["albedo"] * env)
    return optics["gas"] * (optics["path"] + light)


def variation(rng: np.random.Generator, *, altitude: float) -> Variation:
    """A scene's own: AOT by up to some 25 % from place to place, relief that grows with altitude."""
    aot = np.exp(rng.uniform(0, 0.15) * smooth_field(rng, (NODES, NODES), 4))
    relief = rng.uniform(0, 0.3) * (0.3 + altitude) * smooth_field(rng, (NODES, NODES), 2)
    return Variation(aot / aot[NODES // 2, NODES // 2], np.maximum(relief - relief[NODES // 2, NODES // 2], -altitude))


def ground(rng: np.random.Generator, spectra: Floats, edge: int, *, middle: int) -> tuple[Floats, Floats]:
    """(reflectance on the context grid (edge, edge, bands), the piece's at 10 m) of a patchwork of some spectra.

    `spectra` (materials, bands) cover shares of the ground in patches of 0.3 to 10 km, with fields and buildings of 30
    to 300 m inside, and textures. `middle` is the piece's first context pixel along both axes.
    """
    kinds = len(spectra)
    shares = np.log(rng.dirichlet(np.full(kinds, 1.2)) + 0.02)
    wide = np.stack([smooth_field(rng, (edge, edge), rng.uniform(3, 80)) for _ in range(kinds)], -1) + shares
    coarse = _mixed(wide, 3.0) @ spectra
    coarse *= np.exp(0.10 * smooth_field(rng, (edge, edge), 2))[..., None]
    coarse *= np.exp(0.03 * rng.standard_normal(coarse.shape))
    fine_edge = PIECE * FACTOR
    at = middle + (np.arange(fine_edge) + 0.5) / FACTOR - 0.5
    fine = np.stack([smooth_field(rng, (fine_edge, fine_edge), rng.uniform(3, 30)) for _ in range(kinds)], -1)
    logits = bilinear(wide, at, at) + 1.2 * fine
    piece = _mixed(logits, 6.0) @ spectra
    piece *= np.exp(0.06 * smooth_field(rng, (fine_edge, fine_edge), 1.5))[..., None]
    piece *= np.exp(0.02 * rng.standard_normal(piece.shape))
    inside = slice(middle, middle + PIECE)
    coarse[inside, inside] = piece.reshape(PIECE, FACTOR, PIECE, FACTOR, -1).mean((1, 3))
    return np.clip(coarse, 0, 1.2), np.clip(piece, 0, 1.2)


def _mixed(logits: Floats, sharpness: float) -> Floats:
    weights = np.exp(sharpness * (logits - logits.max(-1, keepdims=True)))
    return weights / weights.sum(-1, keepdims=True)


def simulate(
    rng: np.random.Generator,
    spectra: Floats,
    optics: Mapping[str, Floats],
    relief: Floats,
    *,
    edge: int,
    adjacency: bool,
    noise: float = 0.002,
) -> SimulatedScene:
    """A scene of `edge` x `edge` context pixels.

    `spectra` are (materials, bands), `optics` (NODES, NODES, bands) each, `relief` (NODES, NODES) metres. Noise is a
    share of the signal (the instrument's signal-to-noise ratio is 100 to 500). Without `adjacency` each pixel is
    surrounded by its like.
    """
    middle = (edge - PIECE) // 2
    coarse, piece = ground(rng, spectra, edge, middle=middle)
    places = (np.arange(edge) + 0.5) / edge * (NODES - 1)
    fine_places = (middle + (np.arange(PIECE * FACTOR) + 0.5) / FACTOR) / edge * (NODES - 1)
    surroundings = environment(coarse) if adjacency else coarse
    seen = toa(coarse, surroundings, {name: bilinear(optics[name], places, places) for name in OPTICS})
    skip = (PIECE * FACTOR - COMPARED) // 2
    kept = slice(skip, skip + COMPARED)
    own = piece[kept, kept]
    at = middle + (np.arange(PIECE * FACTOR) + 0.5) / FACTOR - 0.5
    near = bilinear(surroundings, at[kept], at[kept]) if adjacency else own
    fine_optics = {name: bilinear(optics[name], fine_places[kept], fine_places[kept]) for name in OPTICS}
    seen_near = toa(own, near, fine_optics)
    corner = middle * FACTOR + skip
    return SimulatedScene(
        # Averages of 144 pixels: their noise is next to nothing.
        context={band: _dn(seen[..., b]) for b, band in enumerate(BANDS)},
        piece={
            band: _dn(seen_near[..., b] * (1 + noise * rng.standard_normal(own.shape[:2])))
            for b, band in enumerate(BANDS)
        },
        truth={band: own[..., b].astype(np.float32) for b, band in enumerate(BANDS)},
        elevation=bilinear(relief[..., None], places, places)[..., 0].astype(np.float32),
        corner=(corner, corner),
    )


def _dn(reflectance: Floats) -> NDArray[np.uint16]:
    return np.clip(np.floor(reflectance * QUANTIFICATION - OFFSET + 0.5), 1, 65534).astype(np.uint16)


def jittered(rng: np.random.Generator, spectra: Floats, sigma: float) -> Floats:
    """Spectra whose bands vary independently of each other, by a factor of standard deviation `sigma`."""
    return np.clip(spectra * np.exp(sigma * rng.standard_normal(spectra.shape)), 0, 1.1)


def shares(mix: Mapping[str, float]) -> Floats:
    """(types,) of a mixture."""
    return np.array([mix.get(name, 0.0) for name in TYPES])


def chosen_spectra(
    rng: np.random.Generator, library: Mapping[str, Floats], weights: Mapping[str, float], count: int
) -> Floats:
    """(count, bands) spectra of kinds drawn by their weights."""
    kinds: Sequence[str] = list(weights)
    odds = np.array([weights[kind] for kind in kinds], float)
    drawn = rng.choice(len(kinds), count, p=odds / odds.sum())
    return np.stack([library[kinds[kind]][rng.integers(len(library[kinds[kind]]))] for kind in drawn])
