"""Products beside stations: which pixels, which moment, and the table."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from rasterio.transform import Affine

from eo.errors import InvalidInput
from safe_pairs import EPSG, LEFT, MOMENT, TOP, classes, write_pair, write_product
from training.atmospheric_correction import stations
from training.atmospheric_correction.matchup import main

SIZE = 192
CENTRE = LEFT + 1003, TOP - 807
"""Of the station, no pixel's centre or corner."""


def lonlat(x: float, y: float) -> tuple[float, float]:
    return Transformer.from_crs(f"EPSG:{EPSG}", "OGC:CRS84", always_xy=True).transform(x, y)  # type: ignore[no-any-return]


def write_table(path: Path, *lines: dict[str, Any]) -> Path:
    lon, lat = lonlat(*CENTRE)
    full = [{"station": "A", "lon": lon, "lat": lat, "datetime": "2026-07-12T10:10:31Z", **line} for line in lines]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for line in full for name in line)))
        writer.writeheader()
        writer.writerows(full)
    return path


def run(tmp_path: Path, table: Path, *more: str) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    out = tmp_path / "out" / "table.csv"
    assert main(["--table", str(table), "--products", str(tmp_path / "products"), "--out", str(out), *more]) == 0
    return list(csv.DictReader(out.open())), list(csv.DictReader(out.with_name("table_matches.csv").open()))


def inside(size: float) -> np.ndarray:
    """Pixels of 10 m whose centres lie in the square, found one by one."""
    x, y = LEFT + 10 * (np.arange(SIZE) + 0.5), TOP - 10 * (np.arange(SIZE) + 0.5)
    return (abs(y - CENTRE[1]) < size / 2)[:, None] & (abs(x - CENTRE[0]) < size / 2)[None]


@pytest.mark.parametrize("size", [30, 95, 900])
def test_means_are_over_good_pixels_of_the_square(tmp_path: Path, size: float) -> None:
    scl = classes(SIZE)
    scl[40:, :50] = 9
    toa, boa = write_pair(tmp_path / "products", size=SIZE, scl=scl)
    table = write_table(tmp_path / "t.csv", {"B02": 0.1, "B08": 0.2, "B02_uncertainty": 0.004})
    rows, matches = run(tmp_path, table, "--size", str(size), "--good", "0.1")
    assert [(row["corrector"], row["quantity"], row["n"]) for row in rows] == [
        (kind, band, "1") for kind in ("L1C", "L2A") for band in ("B02", "B08")
    ]
    by = {(match["corrector"], match["quantity"]): match for match in matches}
    for kind, written, good in (
        ("L1C", toa, np.ones((SIZE, SIZE), bool)),
        ("L2A", boa, np.kron(scl, np.ones((2, 2))) == 4),
    ):
        for band, measured in (("B02", 0.1), ("B08", 0.2)):
            match = by[kind, band]
            mask = inside(size) & good
            expected = (written.dn[band][mask].astype(float).mean() - 1000) / 10_000  # type: ignore[union-attr]
            assert float(match["found"]) == pytest.approx(expected, abs=1e-6)
            assert float(match["difference"]) == pytest.approx(expected - measured, abs=1e-6)
            assert int(match["pixels"]) == mask.sum()
            assert float(match["good"]) == pytest.approx(mask.sum() / inside(size).sum())
    assert float(by["L2A", "B02"]["uncertainty"]) == 0.004


def test_aot_is_compared_with_the_l2as(tmp_path: Path) -> None:
    aot = np.full((SIZE // 2, SIZE // 2), 180, np.uint16)
    write_pair(tmp_path / "products", size=SIZE, extra={"AOT": aot})
    rows, _ = run(tmp_path, write_table(tmp_path / "t.csv", {"aot550": 0.15}))
    (row,) = rows
    assert (row["corrector"], row["quantity"]) == ("L2A", "aot550")
    assert float(row["bias"]) == pytest.approx(0.03, abs=1e-6)
    assert row["within"] == "nan"


def test_a_corrected_raster_counts_where_its_quality_is_good(tmp_path: Path) -> None:
    folder = tmp_path / "products" / "made"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    dn = rng.integers(1100, 3000, (2, SIZE, SIZE)).astype(np.uint16)
    quality = rng.integers(0, 7, (SIZE, SIZE)).astype(np.uint8)
    common = {"driver": "GTiff", "width": SIZE, "height": SIZE, "crs": f"EPSG:{EPSG}", "nodata": 0}
    common["transform"] = Affine(10, 0, LEFT, 0, -10, TOP)
    with rasterio.open(folder / "surface_reflectance.tif", "w", count=2, dtype="uint16", **common) as file:
        file.write(dn)
        file.descriptions, file.scales, file.offsets = ("B03", "B02"), (1e-4, 1e-4), (-0.1, -0.1)
        file.update_tags(SCENES="S2B_x 2026-07-12T10:10:31Z", MODEL="physics sha256 00")
    with rasterio.open(folder / "quality.tif", "w", count=1, dtype="uint8", **common) as file:
        file.write(quality, 1)
    rows, matches = run(tmp_path, write_table(tmp_path / "t.csv", {"B02": 0.1, "B04": 0.1}), "--good", "0.2")
    assert [(row["corrector"], row["quantity"]) for row in rows] == [("physics", "B02")]
    mask = inside(900) & np.isin(quality, [1, 2])
    assert float(matches[0]["found"]) == pytest.approx(dn[1][mask].mean() / 10_000 - 0.1, abs=1e-6)
    assert int(matches[0]["pixels"]) == mask.sum()


def test_the_nearest_measurement_of_each_quantity_is_taken(tmp_path: Path) -> None:
    write_pair(tmp_path / "products", size=SIZE)
    far = lonlat(LEFT + 50_000, TOP)
    table = write_table(
        tmp_path / "t.csv",
        {"datetime": "2026-07-12T09:50:00Z", "B02": 0.11, "B03": 0.3},
        {"datetime": "2026-07-12T10:20:00+00:00", "B02": 0.12},
        {"datetime": "2026-07-12T12:15:00+02:00", "B02": 0.13},
        {"datetime": "2026-07-12T13:00:00Z", "B02": 0.14, "B04": 0.2},
        {"station": "far", "lon": far[0], "lat": far[1], "B02": 0.5},
    )
    rows, matches = run(tmp_path, table, "--hours", "1")
    assert {(match["corrector"], match["quantity"], match["measured"]) for match in matches} == {
        (kind, *what) for kind in ("L1C", "L2A") for what in (("B02", "0.13"), ("B03", "0.3"))
    }
    assert {match["station"] for match in matches} == {"A"}
    assert float(next(match for match in matches if match["quantity"] == "B02")["hours"]) == pytest.approx(
        -269 / 3600, abs=1e-3
    )
    assert len(rows) == 4


def test_rows_are_over_all_products_and_stations(tmp_path: Path) -> None:
    for day, value in ((2, 2000), (12, 2300), (22, 1900)):
        dn = {"B02": np.full((SIZE, SIZE), value, np.uint16), "SCL": classes(SIZE)}
        write_product(tmp_path / "products", "L2A", dn, size=SIZE, sensed=MOMENT.replace(day=day))
    table = write_table(
        tmp_path / "t.csv", *({"datetime": f"2026-07-{day:02}T10:00:00Z", "B02": 0.1} for day in (2, 12, 22, 30))
    )
    (row,), matches = run(tmp_path, table)
    error = np.array([0.0, 0.03, -0.01])
    assert len(matches) == 3
    assert float(row["bias"]) == pytest.approx(error.mean(), abs=1e-6)
    assert float(row["std"]) == pytest.approx(error.std(), abs=1e-6)
    assert float(row["within"]) == pytest.approx(2 / 3)


def test_too_few_good_pixels_or_too_long_ago_is_no_match(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scl = classes(SIZE, 9)
    dn = {"B02": np.full((SIZE, SIZE), 2000, np.uint16), "SCL": scl}
    write_product(tmp_path / "products", "L2A", dn, size=SIZE)
    table = write_table(tmp_path / "t.csv", {"B02": 0.1})
    arguments = ["--table", str(table), "--products", str(tmp_path / "products"), "--out", str(tmp_path / "out.csv")]
    assert main(arguments) == 3
    assert "0 matches of 1 measurements and 1 products, at least 1 is needed" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


def test_a_square_that_reaches_beyond_the_product_has_no_pixels_there(tmp_path: Path) -> None:
    write_pair(tmp_path / "products", size=SIZE)
    lon, lat = lonlat(LEFT + 200, TOP - 600)  # 650 of 900 m are inside
    _, matches = run(tmp_path, write_table(tmp_path / "t.csv", {"lon": lon, "lat": lat, "B02": 0.1}))
    assert {match["pixels"] for match in matches} == {str(65 * 90)}
    assert float(matches[0]["good"]) == pytest.approx(65 / 90)


def test_damaged_products_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad, _ = write_pair(tmp_path / "products", size=SIZE)
    next(bad.path.glob("MTD_MSI*.xml")).write_text("<oops")
    rows, _ = run(tmp_path, write_table(tmp_path / "t.csv", {"B02": 0.1}))
    assert [row["corrector"] for row in rows] == ["L2A"]
    assert f"note: {bad.path.name}: MTD_MSIL1C.xml cannot be used" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"B02": "10.5"}, "line 2: B02 is '10.5', it must be a number from -0.05 to 2"),
        ({"B02": "-9999"}, "leave the cell empty"),
        ({"B02": "x"}, "B02 is 'x'"),
        ({"lat": 95, "B02": 0.1}, "lat is '95', it must be a number from -90 to 90"),
        ({"lon": "", "B02": 0.1}, "needs lon and lat"),
        ({"datetime": "yesterday", "B02": 0.1}, "datetime is 'yesterday'; write it as"),
        ({"albedo": 0.1}, "at least one of B02"),
        ({"B02": 0.1, "B02_uncertainty": -1}, "an uncertainty is '-1'"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, line: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        stations.read(write_table(tmp_path / "t.csv", line))


def test_bad_numbers_and_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write_table(tmp_path / "t.csv", {"B02": 0.1})
    for more, said in (
        (["--size", "0"], "--size 0"),
        (["--good", "2"], "--good 2"),
        ([], "products folder"),
        (["--table", str(tmp_path / "no.csv")], "cannot be read"),
    ):
        assert main(["--table", str(table), "--products", str(tmp_path / "none"), *more]) == 2
        assert said in capsys.readouterr().err
