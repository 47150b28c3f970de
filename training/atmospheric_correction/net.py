"""The net `atmosphere-field`: from a scene's coarse pixels to what its atmosphere does, cell by cell.

Pixels of a cell are an unordered set: a small net looks at each of them, by itself, and says how much it tells about
the air (dark vegetation and water do, bright roofs do not) and what. Sums of that over a cell, over its neighbours and
over the scene merge like any statistics. A second net reads AOT and aerosol type off those means, and the emulator of
6S, which is part of the net, turns both into path reflectance, transmittances and spherical albedo: within physical
bounds by construction, at any altitude and any sun.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from atmospheric_correction.air import SCALE_HEIGHT
from training.atmospheric_correction.emulator import RADIAN, Emulator
from training.atmospheric_correction.sixs import BANDS, TYPES

Variant = Literal["six-bands", "visible"]
READ: dict[str, tuple[str, ...]] = {
    "six-bands": ("B01", "B02", "B03", "B04", "B8A", "B12"),
    "visible": ("B02", "B03", "B04"),
}
"""Bands whose statistics a variant reads."""
CORRECTED = ("B02", "B03", "B04", "B08")
"""Bands for which it predicts."""
LOWEST_AOT, HIGHEST_AOT = 0.005, 2.0
"""What it can say; the table of 6S runs ends at 2.5."""
SIZES: dict[str, tuple[int, int]] = {"six-bands": (96, 48), "visible": (96, 48)}
"""(units of a hidden layer, channels that are summed over pixels): three bands tell less, so more is asked of them."""
MOST = 130.0
"""Pixels beyond which more of them say nothing new; training sets have no more."""
GEOMETRY = 5
"""Numbers that say where the sun, the sensor and the ground are."""


class AtmosphereField(nn.Module):
    """See the module's text. 0.06 million parameters."""

    def __init__(self, variant: Variant, emulator: Emulator) -> None:
        super().__init__()
        self.variant: Variant = variant
        self.emulator = emulator.requires_grad_(False)
        self.read = [BANDS.index(band) for band in READ[variant]]
        self.corrected = [BANDS.index(band) for band in CORRECTED]
        bands, (hidden, channels) = len(self.read), SIZES[variant]
        features = 2 * bands + GEOMETRY
        self.look = nn.Sequential(nn.Linear(features, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU())
        self.value = nn.Linear(hidden, channels)
        self.weight = nn.Linear(hidden, channels)
        self.decide = nn.Sequential(
            nn.Linear(2 * (2 * channels + 1) + GEOMETRY, 128), nn.GELU(), nn.Linear(128, 96), nn.GELU()
        )
        self.aot = nn.Linear(96, 1)
        self.kind = nn.Linear(96, len(TYPES))
        self.doubt = nn.Sequential(nn.Linear(96, 48), nn.GELU(), nn.Linear(48, len(CORRECTED)))

    def forward(
        self,
        pixels: Tensor,
        valid: Tensor,
        heights: Tensor,
        near: Tensor,
        scene: Tensor,
        sun_zenith: Tensor,
        view_zenith: Tensor,
        azimuth: Tensor,
        water: Tensor,
        ozone: Tensor,
        levels: Tensor,
    ) -> tuple[Tensor, ...]:
        """(aot (cells,), mix (cells, types), sigma (cells, corrected), six optics (cells, levels, corrected)).

        `pixels` (cells, n, read) TOA reflectance; `valid` (cells, n) 1 or 0; `heights` (cells, n) km; `near` and
        `scene` (cells, cells) 1 where another cell is a neighbour, or of the same scene, itself included; angles
        (degrees), water (g/cm2) and ozone (cm-atm) (cells,); `levels` (levels,) km: the altitudes for which the optics
        are asked. All float32.
        """
        state = (sun_zenith, view_zenith, azimuth, water, ozone)
        aot, mix, log_sigma = self.retrieve(pixels, valid, heights, near, scene, *state)
        optics = self.optics(aot, mix, levels, *state)
        return aot, mix, torch.exp(log_sigma), *optics

    def retrieve(
        self, pixels: Tensor, valid: Tensor, heights: Tensor, near: Tensor, scene: Tensor, *state: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(aot (cells,), mix (cells, types), log of sigma (cells, corrected)); inputs as `forward` has them.

        `state` is sun_zenith, view_zenith, azimuth, water and ozone, here and below.
        """
        count = valid.sum(1)
        altitude = (heights * valid).sum(1) / torch.clamp(count, min=1.0)
        # Where a cell has no pixel, its own altitude is unknown, and its neighbours decide.
        clear = self._clear(pixels, heights - altitude[:, None], altitude, *state)
        sun_zenith, view_zenith, azimuth = state[:3]
        geometry = self._geometry(sun_zenith, view_zenith, azimuth, altitude)
        each = self.look(torch.cat([self._features(clear), geometry[:, None].expand(-1, clear.shape[1], -1)], -1))
        weight = torch.nn.functional.softplus(self.weight(each)) * valid[..., None]
        told = (weight * self.value(each)).sum(1)
        weights = weight.sum(1)
        pooled = [self._pooled(near @ told, near @ weights, near @ count)]
        pooled.append(self._pooled(scene @ told, scene @ weights, scene @ count))
        return self._decided(torch.cat([*pooled, geometry], -1))

    def _decided(self, pooled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found = self.decide(pooled)
        low, high = torch.log(torch.tensor(LOWEST_AOT)), torch.log(torch.tensor(HIGHEST_AOT))
        aot = torch.exp(low + (high - low) * torch.sigmoid(self.aot(found)[:, 0]))
        return aot, torch.softmax(self.kind(found), -1), torch.clamp(self.doubt(found.detach()) - 4.5, -8, -1)

    @staticmethod
    def _pooled(told: Tensor, weights: Tensor, count: Tensor) -> Tensor:
        size = torch.clamp(count, min=1.0)[:, None]
        share = torch.log(weights / size + 1e-3)
        known = torch.log(torch.clamp(size, max=MOST))
        return torch.cat([told / (weights + 1e-3), share, 0.2 * known], -1)

    def optics(self, aot: Tensor, mix: Tensor, levels: Tensor, *state: Tensor) -> list[Tensor]:
        """Path, t_down, t_dir, t_dif, albedo, gas of the corrected bands, each (cells, levels, corrected)."""
        cells, steps = aot.shape[0], levels.shape[0]

        def spread(values: Tensor) -> Tensor:
            return values[:, None].expand(-1, steps).reshape(-1)

        altitude = levels[None].expand(cells, -1).reshape(-1)
        mixes = mix[:, None].expand(-1, steps, -1).reshape(cells * steps, -1)
        *angles, water, ozone = state
        said = self.emulator(*map(spread, (*angles, aot)), altitude, spread(water), spread(ozone), mixes)
        return [each.reshape(cells, steps, -1)[..., self.corrected] for each in said]

    def _clear(self, pixels: Tensor, above: Tensor, altitude: Tensor, *state: Tensor) -> Tensor:
        """Reflectance without gases and air molecules, (cells, n, read): what is left is ground and aerosol."""
        kinds = torch.zeros_like(altitude)[:, None].expand(-1, len(TYPES)) + 1.0 / len(TYPES)
        aot = torch.zeros_like(altitude) + 1e-4
        *angles, water, ozone = state
        path, down, direct, diffuse, _, gas = (
            each[:, None, self.read] for each in self.emulator(*angles, aot, altitude, water, ozone, kinds)
        )
        thinner = torch.exp(-above / SCALE_HEIGHT)[..., None]
        return (pixels / gas - path * thinner) / (down * (direct + diffuse))

    @staticmethod
    def _features(clear: Tensor) -> Tensor:
        """Reflectances and their logarithms, whose differences are band ratios."""
        return torch.cat([4 * clear, torch.log(torch.clamp(clear + 0.03, min=0.003)) + 2], -1)

    @staticmethod
    def _geometry(sun_zenith: Tensor, view_zenith: Tensor, azimuth: Tensor, altitude: Tensor) -> Tensor:
        """(cells, GEOMETRY)."""
        sun, view = RADIAN * sun_zenith, RADIAN * view_zenith
        mu_s, mu_v = torch.cos(sun), torch.cos(view)
        cosine = -mu_s * mu_v - torch.sin(sun) * torch.sin(view) * torch.cos(RADIAN * azimuth)
        return torch.stack([2 * mu_s - 1, 1 / mu_s - 1.5, 20 * (mu_v - 0.98), 2 * cosine + 1.4, altitude - 0.5], -1)


def invert(toa: Tensor, env: Tensor, optics: list[Tensor]) -> Tensor:
    """Surface reflectance under these optics, exact for a known environment."""
    path, down, direct, diffuse, albedo, gas = optics
    light = (toa / gas - path) * (1 - albedo * env) / down
    return (light - diffuse * env) / direct
