"""The table of a user's pairs against NumPy on whole arrays read by rasterio."""

import csv
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from safe_pairs import EPSG, LEFT, TOP, Written, write_pair
from training.atmospheric_correction.compare import aot_bin, main
from training.atmospheric_correction.metrics import ssim

SIZE = 192


def write_result(
    folder: Path,
    surface: dict[str, np.ndarray],
    quality: np.ndarray,
    *,
    scenes: str,
    left: int = LEFT,
    top: int = TOP,
    step: int = 10,
    model: str = "atmosphere-field sha256 00",
) -> None:
    """Write what the merge of a correction leaves, by rasterio; `surface` are DN = 10000 rho + 1000."""
    folder.mkdir(parents=True)
    rows, cols = quality.shape
    common = {"driver": "GTiff", "width": cols, "height": rows, "crs": f"EPSG:{EPSG}", "nodata": 0}
    common["transform"] = Affine(step, 0, left, 0, -step, top)
    with rasterio.open(folder / "surface_reflectance.tif", "w", count=len(surface), dtype="uint16", **common) as file:
        for number, (band, dn) in enumerate(surface.items(), 1):
            file.write(dn.astype(np.uint16), number)
            file.set_band_description(number, band)
        file.scales, file.offsets = [1e-4] * len(surface), [-0.1] * len(surface)
        file.update_tags(SCENES=scenes, MODEL=model)
    with rasterio.open(folder / "quality.tif", "w", count=1, dtype="uint8", **common) as file:
        file.write(quality.astype(np.uint8), 1)


def table(path: Path) -> dict[tuple[str, str, str], dict[str, float]]:
    with path.open() as file:
        lines = list(csv.DictReader(file))
    keys = ("corrector", "band", "aot")
    return {tuple(line.pop(key) for key in keys): {k: float(v) for k, v in line.items()} for line in lines}  # type: ignore[misc]


def rho(written: Written, band: str) -> np.ndarray:
    with rasterio.open(written.files[band]) as file:
        return (file.read(1).astype(float) - 1000) / 10_000


def scene(written: Written) -> str:
    return f"{written.product.id} 2026-07-12T10:10:31.024000Z"


def check(row: dict[str, float], found: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> None:
    error = (found - truth)[mask]
    assert row["n"] == mask.sum()
    assert row["bias"] == pytest.approx(error.mean(), abs=1e-7)
    assert row["std"] == pytest.approx(error.std(), rel=1e-5)
    assert row["rms"] == pytest.approx(math.hypot(error.mean(), error.std()), rel=1e-5)
    assert row["p95"] == pytest.approx(np.percentile(abs(error), 95, method="inverted_cdf"), rel=2e-3)
    assert row["within"] == pytest.approx((abs(error) <= 0.005 + 0.05 * truth[mask]).mean(), abs=1e-4)
    assert row["ssim"] == pytest.approx(ssim(found, truth, mask), abs=1e-5)


def test_a_result_is_compared_with_the_l2a_where_both_are_good(tmp_path: Path) -> None:
    scl = np.full((96, 96), 4, np.uint8)
    scl[40:, 50:60] = 9
    aot = np.full((96, 96), 152, np.uint16)
    toa, boa = write_pair(tmp_path / "pairs", size=SIZE, bands=("B02", "B04"), scl=scl, extra={"AOT": aot})
    # The job's box begins inside of the product and ends beyond it.
    shape, row, col = (150, 200), 100, 30
    rng = np.random.default_rng(2)
    truth = {
        band: np.pad(rho(boa, band), ((0, 200), (0, 200)))[row:, col:][: shape[0], : shape[1]]
        for band in ("B02", "B04")
    }
    surface = {
        band: np.round(10_000 * (values + rng.normal(0.003, 0.01, shape)) + 1000) for band, values in truth.items()
    }
    surface["B04"][:3] = 0
    quality = rng.choice([1, 2], shape)
    quality[10:20], quality[20:24], quality[:, :5] = 5, 3, 6
    write_result(tmp_path / "made", surface, quality, scenes=scene(toa), left=LEFT + 10 * col, top=TOP - 10 * row)
    out = tmp_path / "out.csv"
    arguments = ["--pairs", str(tmp_path / "pairs"), "--corrected", str(tmp_path / "made"), "--bands", "B02", "B04"]
    assert main([*arguments, "--out", str(out)]) == 0
    rows = table(out)
    inside = np.zeros(shape, bool)
    inside[: SIZE - row, : SIZE - col] = np.kron(scl == 4, np.ones((2, 2), bool))[row:, col:]
    for band in ("B02", "B04"):
        good = inside & np.isin(quality, [1, 2]) & (surface[band] > 0)
        for aot_name in ("all", "0.1-0.2"):
            check(rows["atmosphere-field", band, aot_name], surface[band] / 1e4 - 0.1, truth[band], good)
        ground = np.kron(scl == 4, np.ones((2, 2), bool))
        check(rows["none", band, "all"], rho(toa, band), rho(boa, band), ground)
    assert len(rows) == 8


def test_without_results_no_correction_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pair(tmp_path, size=64)
    assert main(["--pairs", str(tmp_path), "--out", str(tmp_path / "out.csv")]) == 0
    assert set(table(tmp_path / "out.csv")) == {("none", band, "all") for band in ("B02", "B03", "B04", "B08")}
    assert "1 pairs" in capsys.readouterr().out


def test_results_that_cannot_be_compared_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toa, _ = write_pair(tmp_path / "pairs", size=64)
    surface, quality = {"B02": np.full((64, 64), 1500)}, np.ones((64, 64))
    made = tmp_path / "made"
    write_result(made / "mosaic", surface, quality, scenes=f"{scene(toa)}; other 2026-07-12T10:10:31Z")
    write_result(made / "coarse", surface, quality, scenes=scene(toa), step=20)
    write_result(made / "shifted", surface, quality, scenes=scene(toa), left=LEFT + 5)
    write_result(made / "unsigned", surface, quality, scenes="")
    write_result(made / "other", surface, quality, scenes="another 2026-07-12T10:10:31Z")
    assert main(["--pairs", str(tmp_path / "pairs"), "--corrected", str(made)]) == 3
    said = capsys.readouterr().err
    for name, why in (
        ("mosaic", "made of 2 scenes"),
        ("coarse", "--resolution 10"),
        ("shifted", "--resolution 10"),
        ("unsigned", "no ids with times"),
    ):
        assert any(name in line and why in line for line in said.splitlines()), name
    assert "none of the 4 results" in said


def test_nothing_to_compare_is_an_error_with_a_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pair(tmp_path, size=64, scl=np.full((32, 32), 9, np.uint8))
    assert main(["--pairs", str(tmp_path), "--out", str(tmp_path / "out.csv")]) == 3
    assert "0 pixels of 1 pairs" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()
    assert main(["--pairs", str(tmp_path / "gone")]) == 2
    for product in tmp_path.glob("*MSIL2A*.SAFE"):
        shutil.rmtree(product)
    assert main(["--pairs", str(tmp_path)]) == 3
    said = capsys.readouterr().err
    assert "0 pairs were found below" in said
    assert "an L2A .SAFE product of one datatake and tile" in said


def test_a_damaged_pair_is_named_and_the_rest_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad, _ = write_pair(tmp_path, size=64)
    write_pair(tmp_path, size=64, tile="33TWN", top=TOP + 100_000)
    data = bad.files["B03"].read_bytes()
    bad.files["B03"].write_bytes(data[: len(data) // 3])
    assert main(["--pairs", str(tmp_path), "--out", str(tmp_path / "out.csv")]) == 0
    assert bad.product.id in capsys.readouterr().err
    assert table(tmp_path / "out.csv")["none", "B02", "all"]["n"] == 64 * 64


@pytest.mark.parametrize(
    ("aot", "name"), [(0.0, "0-0.1"), (0.1, "0.1-0.2"), (0.29, "0.2-0.3"), (0.5, ">=0.5"), (3, ">=0.5")]
)
def test_bins_of_aot(aot: float, name: str) -> None:
    assert aot_bin(aot) == name
