"""A smooth stand-in for 6S: what an atmosphere does to each band, as a small differentiable function fitted to runs.

What is known exactly stays exact: optical depths (Rayleigh's falls with pressure, the aerosol's grows with AOT), the
direct beam, and that transmittance is one function of its zenith angle, down and up (reciprocity). Nets learn the rest
relative to single scattering, so that they are right where the air is thin and stay inside physical bounds.

    python -m training.atmospheric_correction.emulator \
      --table training/atmospheric_correction/data/sixs_table.npz --out training/atmospheric_correction/data/emulator.pt
"""

import argparse
import copy
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from training.atmospheric_correction import sixs
from training.atmospheric_correction.sixs import BANDS, TYPES

RADIAN = math.pi / 180
"""Of a degree."""
WIDTH = 48
"""Units of a hidden layer."""
LOOK = 100
"""Steps of the fit between looks at the runs that are held out, at which the best weights are kept."""


def _net(inputs: int) -> nn.Sequential:
    net = nn.Sequential(nn.Linear(inputs, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 1))
    nn.init.zeros_(net[-1].weight)
    return net


class Emulator(nn.Module):
    """6S's scattering functions and gases by band, for one of the four types or linear mixtures of them."""

    rayleigh: Tensor
    extinction: Tensor
    gases: Tensor

    def __init__(self) -> None:
        super().__init__()
        kinds, bands = len(TYPES), len(BANDS)
        self.register_buffer("rayleigh", torch.zeros(3, bands))
        self.register_buffer("extinction", torch.zeros(kinds, bands))
        self.register_buffer("gases", torch.zeros(10, bands))
        self.path_net = _net(6 + kinds + bands)
        self.loss_net = _net(3 + kinds + bands)
        self.albedo_net = _net(2 + kinds + bands)
        # Where each pair of type and band starts, before nets bend it.
        self.path_start = nn.Parameter(torch.full((kinds, bands), -1.0))
        self.loss_start = nn.Parameter(torch.full((kinds, bands), -1.5))
        self.albedo_start = nn.Parameter(torch.full((kinds, bands), -1.0))

    def forward(
        self,
        sun_zenith: Tensor,
        view_zenith: Tensor,
        azimuth: Tensor,
        aot: Tensor,
        altitude: Tensor,
        water: Tensor,
        ozone: Tensor,
        mix: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The quantities of `scenes.OPTICS`, each (cells, bands).

        From (cells,) degrees, AOT at 550 nm, km, g/cm2, cm-atm and (cells, types) shares.
        """
        mu_s, mu_v = torch.cos(RADIAN * sun_zenith), torch.cos(RADIAN * view_zenith)
        # 6S counts from the sun's side: at azimuth 0 the scattering angle is 180 degrees minus the zeniths' difference.
        sines = torch.sqrt((1 - mu_s**2) * (1 - mu_v**2))
        cosine = -mu_s * mu_v - sines * torch.cos(RADIAN * azimuth)
        tau_r = self.tau_rayleigh(altitude)
        said = self.scattering(mu_s, mu_v, cosine, tau_r, aot, list(range(len(TYPES))))
        shares = mix[:, :, None]
        path, down, up, direct, albedo = ((shares * each).sum(1) for each in said)
        return path, down, direct, up - direct, albedo, self.gas(mu_s, mu_v, altitude, water, ozone)

    def scattering(
        self, mu_s: Tensor, mu_v: Tensor, cosine: Tensor, tau_r: Tensor, aot: Tensor, kinds: list[int]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Path, transmittance down and up, direct transmittance up, albedo of types, each (cells, kinds, bands)."""
        tau_a = aot[:, None, None] * self.extinction[kinds]
        return (
            self._path(mu_s, mu_v, cosine, tau_r, tau_a, kinds),
            self._transmittance(mu_s, tau_r, tau_a, kinds),
            self._transmittance(mu_v, tau_r, tau_a, kinds),
            torch.exp(-(tau_r[:, None] + tau_a) / mu_v[:, None, None]),
            self._albedo(tau_r, tau_a, kinds),
        )

    def tau_rayleigh(self, altitude: Tensor) -> Tensor:
        """Rayleigh optical depth (cells, bands)."""
        log, slope, bend = self.rayleigh
        height = altitude[:, None]
        return torch.exp(log + slope * height + bend * height**2)

    def gas(self, mu_s: Tensor, mu_v: Tensor, altitude: Tensor, water: Tensor, ozone: Tensor) -> Tensor:
        """Transmittance of gases (cells, bands): ozone by Beer's law, water and the others by powers of their paths.

        `water` is what a column down to the sea would hold; 6S thins it out with altitude.
        """
        mass, height = torch.log(1 / mu_s + 1 / mu_v)[:, None], altitude[:, None]
        blue, blue_height, wet, wet_mass, wet_water, wet_bend, wet_height, dry, dry_mass, dry_height = self.gases
        column = mass + torch.log(water)[:, None]
        moist = (
            wet + wet_mass * mass + wet_water * torch.log(water)[:, None] + wet_bend * column**2 + wet_height * height
        )
        other = dry + dry_mass * mass + dry_height * height
        ozone_loss = blue * torch.exp(mass) * ozone[:, None] * (1 + blue_height * height)
        return torch.exp(-ozone_loss - torch.exp(moist) - torch.exp(other))

    @staticmethod
    def _labelled(features: Tensor, kinds: list[int]) -> Tensor:
        """(cells, kinds, bands, n) with the one-hot type and band of each."""
        cells, count, bands = features.shape[0], len(kinds), len(BANDS)
        every = torch.eye(len(TYPES), dtype=features.dtype, device=features.device)[kinds]
        kind = every[None, :, None].expand(cells, count, bands, len(TYPES))
        own = torch.eye(bands, dtype=features.dtype, device=features.device)
        band = own[None, None].expand(cells, count, bands, bands)
        return torch.cat([features, kind, band], -1)

    def _path(
        self, mu_s: Tensor, mu_v: Tensor, cosine: Tensor, tau_r: Tensor, tau_a: Tensor, kinds: list[int]
    ) -> Tensor:
        """(cells, types, bands)."""
        shape = tau_a.shape
        mass = (1 / mu_s + 1 / mu_v)[:, None, None]
        rayleigh = (0.75 * (1 + cosine**2))[:, None, None] * tau_r[:, None]
        tau = tau_r[:, None] + tau_a
        once = (1 - torch.exp(-tau * mass)) / (4 * (mu_s + mu_v))[:, None, None] / tau
        features = torch.stack(
            [
                *(each[:, None, None].expand(shape) for each in (2 * mu_s - 1, 20 * (mu_v - 0.98), 2 * cosine + 1.4)),
                (0.3 * torch.log(tau_r) + 1)[:, None].expand(shape),
                0.4 * torch.log(tau_a + 0.01) + 0.6,
                0.4 * torch.log(tau * mass + 0.01),
            ],
            -1,
        )
        learnt = self.path_net(self._labelled(features, kinds))[..., 0]
        # Rayleigh scatters once as known; what else there is, of the aerosol and of both together, is learnt.
        share = tau_a / tau
        aerosol = torch.exp(self.path_start[kinds] + learnt * share)
        more = torch.exp(learnt * (1 - share))
        return once * (rayleigh.expand(shape) * more + tau_a * aerosol)

    def _transmittance(self, mu: Tensor, tau_r: Tensor, tau_a: Tensor, kinds: list[int]) -> Tensor:
        """(cells, types, bands)."""
        shape = tau_a.shape
        tau = tau_r[:, None] + tau_a
        features = torch.stack(
            [
                (2 * mu - 1)[:, None, None].expand(shape),
                0.3 * torch.log(tau_r)[:, None].expand(shape) + 1,
                0.4 * torch.log(tau_a + 0.01) + 0.6,
            ],
            -1,
        )
        learnt = self.loss_net(self._labelled(features, kinds))[..., 0]
        # Half of what Rayleigh scatters goes up, and a part of what the aerosol does.
        share = tau_a / tau
        lost = share * torch.exp(self.loss_start[kinds] + learnt) + (1 - share) * 0.5 * torch.exp(0.3 * learnt)
        return torch.exp(-lost * tau / mu[:, None, None])

    def _albedo(self, tau_r: Tensor, tau_a: Tensor, kinds: list[int]) -> Tensor:
        """(cells, types, bands)."""
        tau = tau_r[:, None] + tau_a
        features = torch.stack(
            [0.3 * torch.log(tau_r)[:, None].expand(tau_a.shape) + 1, 0.4 * torch.log(tau_a + 0.01) + 0.6], -1
        )
        learnt = self.albedo_net(self._labelled(features, kinds))[..., 0]
        share = tau_a / tau
        return (1 - torch.exp(-tau)) * (
            share * torch.exp(self.albedo_start[kinds] + learnt) + (1 - share) * 0.85 * torch.exp(0.3 * learnt)
        )


def inputs_of(runs: sixs.Runs) -> dict[str, Tensor]:
    """The emulator's inputs for each run, float64."""
    named = {name: torch.tensor(runs.state(name), dtype=torch.float64) for name in sixs.STATE}
    return {**named, "mix": torch.tensor(runs.mixes, dtype=torch.float64)}


def fit(runs: sixs.Runs, *, steps: int, seed: int = 0) -> tuple[Emulator, dict[str, float]]:
    """(the emulator, its rms errors on every tenth run, which it was not fitted to); `steps` are LOOK or more."""
    torch.manual_seed(seed)
    model = Emulator().double()
    _set_known(model, runs)
    given = inputs_of(runs)
    truth = {name: torch.tensor(runs.of(name), dtype=torch.float64) for name in ("path", "t_down", "t_up", "albedo")}
    held = torch.arange(len(runs.states)) % 10 == 9
    optimiser = torch.optim.Adam(model.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    best: tuple[float, dict[str, Tensor]] = (float("inf"), {})
    for step in range(steps):
        model.train()
        loss = _loss(model, given, truth, ~held)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if (step + 1) % LOOK == 0:
            with torch.no_grad():
                now = _loss(model, given, truth, held).item()
            if now < best[0]:
                best = (now, copy.deepcopy(model.state_dict()))
    model.load_state_dict(best[1])
    return model, errors(model, given, truth, held)


def _said(model: Emulator, given: dict[str, Tensor], chosen: Tensor) -> dict[str, Tensor]:
    """What the model says of runs of one type each, in their order."""
    own = {name: values[chosen] for name, values in given.items()}
    sun, view = RADIAN * own["sun_zenith"], RADIAN * own["view_zenith"]
    mu_s, mu_v = torch.cos(sun), torch.cos(view)
    cosine = -mu_s * mu_v - torch.sin(sun) * torch.sin(view) * torch.cos(RADIAN * own["azimuth"])
    tau_r = model.tau_rayleigh(own["altitude"])
    kinds = own["mix"].argmax(1)
    made = [torch.empty(len(kinds), len(BANDS), dtype=torch.float64) for _ in range(5)]
    for kind in range(len(TYPES)):
        of = torch.nonzero(kinds == kind)[:, 0]
        said = model.scattering(mu_s[of], mu_v[of], cosine[of], tau_r[of], own["aot"][of], [kind])
        made = [whole.index_put((of,), part[:, 0]) for whole, part in zip(made, said, strict=True)]
    path, down, up, _, albedo = made
    return {"path": path, "t_down": down, "t_up": up, "albedo": albedo}


def _loss(model: Emulator, given: dict[str, Tensor], truth: dict[str, Tensor], chosen: Tensor) -> Tensor:
    said = _said(model, given, chosen)
    # In thousandths, and more lenient where the sun is low, AOT high and all of it large.
    total = torch.zeros((), dtype=torch.float64)
    for name, values in truth.items():
        right = values[chosen]
        known = ~torch.isnan(right)
        size = 0.001 + 0.01 * right[known]
        off = (said[name][known] - right[known]) / size
        total = total + torch.nn.functional.smooth_l1_loss(off, torch.zeros_like(off), beta=2.0)
    return total


def errors(model: Emulator, given: dict[str, Tensor], truth: dict[str, Tensor], chosen: Tensor) -> dict[str, float]:
    """Root-mean-square error of each quantity over runs within the domain: sun to 75 degrees, AOT to 0.8."""
    chosen = chosen & (given["sun_zenith"] <= 75) & (given["aot"] <= 0.8)
    with torch.no_grad():
        said = _said(model, given, chosen)
    return {name: float(torch.sqrt(torch.nanmean((said[name] - truth[name][chosen]) ** 2))) for name in truth}


def _set_known(model: Emulator, runs: sixs.Runs) -> None:
    """Fit what has a formula: optical depths and gases."""
    height = runs.state("altitude").astype(np.float64)
    design = np.stack([np.ones_like(height), height, height**2], 1)
    for band in range(len(BANDS)):
        tau = runs.of("tau_rayleigh")[:, band].astype(np.float64)
        # Five decimals: weigh by size, so that roundings of the small ones do not decide.
        fit_, *_ = np.linalg.lstsq(design * tau[:, None], np.log(np.maximum(tau, 1e-6)) * tau, rcond=None)
        model.rayleigh[:, band] = torch.tensor(fit_)
    aot = runs.state("aot").astype(np.float64)
    for number in range(len(TYPES)):
        own = runs.mixes[:, number] == 1
        for band in range(len(BANDS)):
            tau = runs.of("tau_aerosol")[own, band].astype(np.float64)
            model.extinction[number, band] = float((tau * aot[own]).sum() / (aot[own] ** 2).sum())
    mass = 1 / np.cos(np.deg2rad(runs.state("sun_zenith"))) + 1 / np.cos(np.deg2rad(runs.state("view_zenith")))
    mass = mass.astype(np.float64)
    for band in range(len(BANDS)):
        model.gases[:, band] = torch.tensor(_gas(runs, band, mass))


def _gas(runs: sixs.Runs, band: int, mass: np.ndarray) -> list[float]:
    """The ten numbers of a band's gases, by least squares of logarithms."""
    ozone, water, gas = (
        np.clip(runs.of(name)[:, band].astype(np.float64), 1e-5, 1) for name in ("ozone", "water", "gas")
    )
    height, moist = runs.state("altitude").astype(np.float64), np.log(runs.state("water").astype(np.float64))
    column = mass * runs.state("ozone")
    design = np.stack([column, column * height], 1)
    (blue, blue_height), *_ = np.linalg.lstsq(design, -np.log(ozone), rcond=None)
    wet = _power(-np.log(water), [np.log(mass), moist, (np.log(mass) + moist) ** 2, height])
    dry = _power(-np.log(np.clip(gas / (ozone * water), 1e-5, 1)), [np.log(mass), height])
    return [float(blue), float(blue_height / blue) if blue > 1e-4 else 0.0, *wet, *dry]


def _power(loss: np.ndarray, columns: list[np.ndarray]) -> list[float]:
    """(log a, powers) of loss = a * exp(columns @ powers); nothing where there is next to no loss."""
    if loss.mean() < 2e-4:
        return [-30.0, *([0.0] * len(columns))]
    some = loss > 1e-4
    design = np.stack([np.ones(some.sum()), *(column[some] for column in columns)], 1)
    weight = np.sqrt(loss[some])[:, None]
    found, *_ = np.linalg.lstsq(design * weight, np.log(loss[some]) * weight[:, 0], rcond=None)
    return [float(each) for each in found]


def main() -> None:
    """Fit the emulator to a table of runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--table", type=Path, required=True, help="runs of 6S, as training.atmospheric_correction.sixs saves"
    )
    parser.add_argument("--out", type=Path, required=True, help="file of the weights")
    parser.add_argument("--steps", type=int, default=6000, help=f"of the fit, at least {LOOK} (6000)")
    given = parser.parse_args()
    if not given.table.is_file():
        parser.error(f"--table: there is no file {given.table}; make it with training.atmospheric_correction.sixs")
    if given.steps < LOOK:
        parser.error(f"--steps: {given.steps} are too few, weights are kept every {LOOK} steps: give that many or more")
    model, found = fit(sixs.load(given.table), steps=given.steps)
    for name, error in found.items():
        print(f"{name:8} rms error on held-out runs {error:.5f}")
    torch.save({"state": model.float().state_dict(), "errors": found}, given.out)


if __name__ == "__main__":
    main()
