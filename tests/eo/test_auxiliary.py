"""The weather in products, from GRIB files as ECMWF writes them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from eo import auxiliary
from eo.catalog import Auxiliary
from gribs import grib
from real_data import ROOT

if TYPE_CHECKING:
    from pathlib import Path

RANDOM = np.random.default_rng(7)
OZONE, VAPOUR, PRESSURE, AEROSOL = (
    low + span * RANDOM.random((9, 9)) for low, span in ((0.0065, 0.0005), (12.0, 9.0), (101_000.0, 600.0), (0.08, 0.1))
)
WIND = RANDOM.uniform(-4, 4, (9, 9))
ECMWF = {"tco3": OZONE, "tcwv": VAPOUR, "msl": PRESSURE, "u10": WIND}
CAMS = {"aod469": AEROSOL * 1.2, "aod550": AEROSOL, "duaod550": AEROSOL / 5, "z": WIND}


def test_the_means_are_those_of_the_fields_in_our_units() -> None:
    found = auxiliary.read({"AUX_ECMWFT": grib(ECMWF), "AUX_CAMSFO": grib(CAMS)})
    assert found.ignored == ()
    weather = found.auxiliary
    assert weather is not None
    assert weather.aot550 == pytest.approx(AEROSOL.mean(), abs=1e-5)
    assert weather.water_vapour == pytest.approx(VAPOUR.mean() / 10, abs=1e-4)  # kg/m2 to g/cm2
    assert weather.ozone == pytest.approx(OZONE.mean() / 2.1415e-5 / 1000, abs=1e-5)  # to Dobson units, to cm-atm
    assert 0.3 < weather.ozone < 0.33
    assert weather.pressure == pytest.approx(PRESSURE.mean() / 100, abs=0.01)


def test_what_there_is_is_taken() -> None:
    assert auxiliary.read({}) == auxiliary.Found(None)
    assert auxiliary.read({"AUX_CAMSFO": grib({"aod469": AEROSOL})}) == auxiliary.Found(None)
    alone = auxiliary.read({"AUX_ECMWFT": grib({"msl": PRESSURE, "z": WIND})}).auxiliary
    assert alone == Auxiliary(pressure=pytest.approx(PRESSURE.mean() / 100))


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("aod550", 6.0, "6 for aerosol optical thickness, outside of 0 to 5"),
        ("aod550", -0.5, "-0.5 for aerosol"),
        ("tcwv", 150.0, "15 for water vapour in g/cm2, outside of 0 to 10"),
        ("tco3", 0.05, "for ozone in cm-atm, outside of 0.1 to 0.7"),
        ("tco3", 0.0, "0 for ozone"),
        ("msl", 1013.0, "10.13 for pressure at sea level in hPa"),
    ],
)
def test_what_no_atmosphere_holds_is_ignored_and_said(name: str, value: float, what: str) -> None:
    others = {key: field for key, field in {**ECMWF, **CAMS}.items() if key != name}
    found = auxiliary.read({"AUX": grib({name: np.full((9, 9), value), **others})})
    (reason,) = found.ignored
    assert reason.startswith("AUX says ")
    assert what in reason
    assert found.auxiliary is not None
    values = [found.auxiliary.aot550, found.auxiliary.water_vapour, found.auxiliary.ozone, found.auxiliary.pressure]
    assert values.count(None) == 1


WHOLE = grib(ECMWF)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GRIB",
        b"no weather at all",
        b"\x89HDF\r\n\x1a\n" + bytes(100),
        WHOLE[:50],
        WHOLE[:4] + bytes(200),
        WHOLE[:60] + b"\xff" * 60 + WHOLE[120:],
        WHOLE + bytes(auxiliary.MAX_FILE),
    ],
    ids=["empty", "word", "text", "hdf", "cut", "zeros", "damaged", "huge"],
)
def test_a_file_that_is_none_is_ignored_and_said(data: bytes) -> None:
    found = auxiliary.read({"AUX_ECMWFT": data, "AUX_CAMSFO": grib(CAMS)})
    assert found == auxiliary.read({"AUX_ECMWFT": data, "AUX_CAMSFO": grib(CAMS)})
    assert found.auxiliary is not None
    assert found.auxiliary.aot550 is not None
    assert found.auxiliary.ozone is None
    (reason,) = found.ignored
    assert reason.startswith("AUX_ECMWFT")
    assert reason.endswith("ignored")


@pytest.fixture(scope="module")
def world() -> bytes:
    """A field of 9 x 9 numbers that claims 30,000 x 30,000: one value for all would take no bytes at all."""
    data = bytearray(grib({"tcwv": np.full((9, 9), 15.0)}))
    grid = data.index(b"\x00\x00\x20\x00\xff\x00")
    data[grid + 6 : grid + 10] = b"\x75\x30\x75\x30"
    return bytes(data)


def test_a_field_that_claims_a_world_is_not_unpacked(world: bytes) -> None:
    found = auxiliary.read({"AUX_ECMWFT": world})
    assert found == auxiliary.Found(None, ("AUX_ECMWFT has 1 fields of 30000 x 30000 points: ignored",))


def test_what_the_decoder_prints_is_kept_from_the_output(world: bytes, tmp_path: Path) -> None:
    """GDAL's prints that the numbers do not fit; the command line's output is read by programs."""
    (tmp_path / "world").write_bytes(world)
    code = (
        "import sys\nfrom pathlib import Path\nfrom eo import auxiliary\n"
        "sys.stdout.write('before ')\n"
        "auxiliary.read({'AUX': Path(sys.argv[1]).read_bytes()})\n"
        "sys.stdout.write('after')"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "world")]
    env = {"PYTHONPATH": str(ROOT / "functions")}
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("before after", "")


def test_edition_2_goes_by_codes(tmp_path: Path) -> None:
    """As GDAL writes it; pressure at the surface is not that at sea level."""
    path = tmp_path / "two.grib2"
    fields = {
        "1 64": (15.0, "1 0 0"),
        "14 192": (0.0066, "1 0 0"),
        "3 0": (101_325.0, "101 0 0"),
    }
    for surface, expected in (("101", 1013.25), ("1", None)):
        fields["3 0"] = (101_325.0, f"{surface} 0 0")
        options = {}
        for band, (codes, (_, level)) in enumerate(fields.items(), 1):
            options[f"BAND_{band}_DISCIPLINE"] = "0"
            options[f"BAND_{band}_PDS_PDTN"] = "0"
            options[f"BAND_{band}_PDS_TEMPLATE_ASSEMBLED_VALUES"] = f"{codes} 2 0 84 0 0 1 0 {level} 255 0 0"
        with rasterio.open(
            path,
            "w",
            driver="GRIB",
            width=9,
            height=9,
            count=3,
            dtype="float64",
            crs="EPSG:4326",
            transform=from_origin(9, 46, 0.125, 0.125),
            **options,
        ) as file:
            for band, (value, _) in enumerate(fields.values(), 1):
                file.write(np.full((9, 9), value), band)
        weather = auxiliary.read({"AUX": path.read_bytes()}).auxiliary
        assert weather is not None
        assert weather.water_vapour == pytest.approx(1.5)
        assert weather.ozone == pytest.approx(0.0066 / 2.1415e-2)
        assert weather.pressure == (None if expected is None else pytest.approx(expected))
        path.unlink()
