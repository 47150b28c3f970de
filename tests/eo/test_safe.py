"""SAFE metadata: every real file at hand, and files that must be refused."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from numpy.typing import NDArray

from eo.catalog import Angles
from eo.errors import CorruptData
from eo.grid import RasterGrid
from eo.radiometry import Radiometry
from eo.safe import read_product, read_tile
from eo.safe_xml import BAND_NAMES, MAX_XML
from real_data import FOLDER, test_data

PRODUCTS = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("safe_metadata/**/MTD_MSI*.xml"))
TILES = sorted(
    path.relative_to(FOLDER).as_posix()
    for pattern in ("**/MTD_TL.xml", "safe_metadata/**/metadata.xml")
    for path in FOLDER.glob(pattern)
)


def each(paths: list[str], beside: str = "") -> pytest.MarkDecorator:
    """Run a test on every path, or on those with a certain file in their folder or above it in their product."""
    paths = [path for path in paths if not beside or companion(FOLDER / path, beside)]
    # Where there are none, one skipped test names the folder.
    return pytest.mark.parametrize("path", paths or ["safe_metadata"])


def companion(path: Path, name: str) -> Path | None:
    """The file of this name in the product of a metadata file."""
    return next((folder / name for folder in path.parents[:3] if (folder / name).exists()), None)


def read_json(path: Path, name: str) -> dict[str, Any]:
    found = companion(path, name)
    assert found is not None
    content: dict[str, Any] = json.loads(found.read_text())
    return content


@each(PRODUCTS)
def test_offsets_are_read_and_not_inferred(path: str) -> None:
    product_path = test_data(path)
    product = read_product(product_path)
    expected = {"02.14": 0, "03.01": 0, "04.00": -1000, "05.09": -1000}[product.baseline]
    assert product.offsets == dict.fromkeys(BAND_NAMES, expected)
    assert product.radiometry("B8A") == Radiometry(expected, 10_000)
    assert (product.nodata, product.saturated) == (0, 65535)


@each(PRODUCTS)
def test_a_product_says_what_its_name_says(path: str) -> None:
    product_path = test_data(path)
    product = read_product(product_path)
    spacecraft, sensor, sensed, baseline, _, tile, _ = product.uri.split("_")
    assert product.uri == next(part.removeprefix("esa_") for part in product_path.parts if part.endswith(".SAFE"))
    assert product.level == sensor[-3:]
    assert product.spacecraft == f"Sentinel-{spacecraft[1:]}"
    assert product.baseline.replace(".", "") == baseline[1:]
    assert product.sensed.strftime("%Y%m%dT%H%M%S") == sensed
    assert product.sensed.tzinfo is UTC
    bands = {path.rsplit("/", 1)[-1].split("_")[2] for path in product.image_files}
    assert bands >= set(BAND_NAMES) - {"B10"} - ({"B08"} if product.level == "L2A" else set())
    assert all(path.startswith(f"GRANULE/{product.level}_{tile}_") for path in product.image_files)


@each(PRODUCTS)
def test_band_ids_are_those_of_the_product_itself(path: str) -> None:
    product_path = test_data(path)
    pairs = {
        int(each.attrib["bandId"]): f"B{each.attrib['physicalBand'][1:]:0>2}"
        for each in ET.parse(product_path).getroot().iter("Spectral_Information")
    }
    assert pairs == dict(enumerate(BAND_NAMES))


@each(PRODUCTS, "expected_output.json")
def test_a_product_agrees_with_its_stac_item(path: str) -> None:
    product_path = test_data(path)
    item = read_json(product_path, "expected_output.json")
    product, properties = read_product(product_path), item["properties"]
    assert product.uri == properties["s2:product_uri"]
    assert product.baseline == properties["s2:processing_baseline"]
    assert product.sensed == datetime.fromisoformat(properties["datetime"])
    assert product.spacecraft.lower() == properties["platform"]
    assert product.cloud_cover == properties["eo:cloud_cover"]
    # The item's geometry is simplified and cut at the antimeridian; its extent is the product's.
    assert product.footprint is not None
    lats = [lat for _, lat in product.footprint]
    assert (min(lats), max(lats)) == pytest.approx((item["bbox"][1], item["bbox"][3]), abs=1e-6)
    if item["geometry"]["type"] == "Polygon":
        lons = [lon for lon, _ in product.footprint]
        assert (min(lons), max(lons)) == pytest.approx((item["bbox"][0], item["bbox"][2]), abs=1e-6)
    files = {Path(asset["href"]).with_suffix("").as_posix() for asset in item["assets"].values()}
    assert files & set(product.image_files) == {file for file in files if "/IMG_DATA/" in file}
    assets = [asset for asset in item["assets"].values() if "reflectance" in asset["roles"]]
    assert len(assets) >= 10
    for asset in assets:
        stated = asset["raster:bands"][0]
        assert product.radiometry(asset["eo:bands"][0]["name"]) == Radiometry.from_scale_offset(
            stated["scale"], stated["offset"]
        )


@each(TILES)
def test_a_tile_lies_on_its_grid(path: str) -> None:
    tile_path = test_data(path)
    tile = read_tile(tile_path)
    square = re.search(r"_T([0-9]{2})([C-X])[A-Z]{2}_", tile.tile_id)
    assert square is not None
    assert sorted(tile.grids) == [10, 20, 60]
    for resolution, grid in tile.grids.items():
        assert grid.crs == f"EPSG:32{'6' if square[2] >= 'N' else '7'}{square[1]}"
        assert (grid.dx, grid.dy) == (resolution, resolution)
        assert grid.bounds == tile.grids[10].bounds
        assert grid.bounds[2] - grid.bounds[0] == 109_800
    assert 0 <= tile.sun_zenith <= 90
    assert 0 <= tile.sun_azimuth <= 360
    assert tile.view
    assert all(0 <= zenith < 15 and 0 <= azimuth <= 360 for zenith, azimuth in tile.view.values())
    assert tile.sensed.tzinfo is UTC


@each(TILES, "expected_output.json")
def test_a_tile_agrees_with_its_stac_item(path: str) -> None:
    tile_path = test_data(path)
    item = read_json(tile_path, "expected_output.json")
    tile, properties = read_tile(tile_path), item["properties"]
    assert tile.tile_id == properties["s2:tile_id"]
    assert tile.sun_azimuth == properties["view:sun_azimuth"]
    assert 90 - tile.sun_zenith == pytest.approx(properties["view:sun_elevation"])
    mean_zenith = sum(zenith for zenith, _ in tile.view.values()) / len(tile.view)
    assert mean_zenith == pytest.approx(properties["view:incidence_angle"])
    for asset in item["assets"].values():
        if "reflectance" in asset["roles"]:
            step, _, left, _, _, top = asset["proj:transform"]
            rows, cols = asset["proj:shape"]
            assert tile.grids[int(step)] == RasterGrid(tile.grids[10].crs, left, top, step, step, cols, rows)


@each(TILES, "tileInfo.json")
def test_a_tile_agrees_with_the_tile_info_beside_it(path: str) -> None:
    tile_path = test_data(path)
    geometry = read_json(tile_path, "tileInfo.json")["tileGeometry"]
    grid = read_tile(tile_path).grids[10]
    left, bottom, right, top = grid.bounds
    assert geometry["coordinates"][0][:3] == [[left, top], [right, top], [right, bottom]]
    assert grid.crs.removeprefix("EPSG:") == geometry["crs"]["properties"]["name"].rsplit(":", 1)[1]


@each(TILES)
def test_the_sun_over_a_tile_is_that_of_its_grid(path: str) -> None:
    tile_path = test_data(path)
    tile = read_tile(tile_path)
    rows = ET.parse(tile_path).getroot().findall(".//Sun_Angles_Grid/Zenith/Values_List/VALUES")
    grid = np.array([[float(value) for value in (row.text or "").split()] for row in rows])
    assert grid.shape == (23, 23)
    # The last values lie 200 m behind the tile's edge, 0.002 degrees of sun.
    near = [[grid[0, 0], grid[0, -1]], [grid[-1, 0], grid[-1, -1]]]
    np.testing.assert_allclose(tile.sun_corners, near, rtol=0, atol=0.006)
    assert np.mean(tile.sun_corners) == pytest.approx(tile.sun_zenith, abs=0.005)
    assert tile.angles == Angles(tile.sun_corners, tile.sun_azimuth, tile.view, "product")


PRODUCT = """<?xml version="1.0" encoding="UTF-8"?>
<n1:Level-2A_User_Product xmlns:n1="https://psd-15.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd"><n1:General_Info>
<Product_Info><PRODUCT_START_TIME>2026-01-02T03:04:05.678Z</PRODUCT_START_TIME>
<PRODUCT_URI>S2C_MSIL2A_20260102T030405_N0512_R001_T32TPS_20260102T060708.SAFE</PRODUCT_URI>
<PROCESSING_LEVEL>Level-2A</PROCESSING_LEVEL><PROCESSING_BASELINE>05.12</PROCESSING_BASELINE>
<Datatake><SPACECRAFT_NAME>Sentinel-2C</SPACECRAFT_NAME></Datatake>
<Granule><IMAGE_FILE>GRANULE/L2A_T32TPS/IMG_DATA/R10m/T32TPS_B02_10m</IMAGE_FILE></Granule></Product_Info>
<Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX></Special_Values>
<Special_Values><SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>65535</SPECIAL_VALUE_INDEX></Special_Values>
<BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE><BOA_ADD_OFFSET_VALUES_LIST>
<BOA_ADD_OFFSET band_id="3">-900</BOA_ADD_OFFSET><BOA_ADD_OFFSET band_id="8">-1000</BOA_ADD_OFFSET>
</BOA_ADD_OFFSET_VALUES_LIST></n1:General_Info></n1:Level-2A_User_Product>"""

TILE = """<Level-1C_Tile_ID><TILE_ID>S2A_T32TPS</TILE_ID><SENSING_TIME>2026-01-02T03:04:05+01:00</SENSING_TIME>
<HORIZONTAL_CS_CODE>EPSG:32632</HORIZONTAL_CS_CODE><Size resolution="60"><NROWS>1830</NROWS><NCOLS>1831</NCOLS></Size>
<Geoposition resolution="60"><ULX>600000</ULX><ULY>5200020</ULY><XDIM>60</XDIM><YDIM>-60</YDIM></Geoposition>
<Mean_Sun_Angle><ZENITH_ANGLE>60.5</ZENITH_ANGLE><AZIMUTH_ANGLE>160.25</AZIMUTH_ANGLE></Mean_Sun_Angle>
<Mean_Viewing_Incidence_Angle bandId="8"><ZENITH_ANGLE>3</ZENITH_ANGLE><AZIMUTH_ANGLE>100</AZIMUTH_ANGLE></Mean_Viewing_Incidence_Angle>
<Mean_Viewing_Incidence_Angle bandId="9"><ZENITH_ANGLE>NaN</ZENITH_ANGLE><AZIMUTH_ANGLE>NaN</AZIMUTH_ANGLE></Mean_Viewing_Incidence_Angle>
</Level-1C_Tile_ID>"""


def test_offsets_go_by_band_id() -> None:
    product = read_product(PRODUCT.encode())
    assert product.offsets == {"B04": -900, "B8A": -1000}
    assert product.radiometry("B04") == Radiometry(-900)
    assert product.cloud_cover is None
    assert product.footprint is None
    with pytest.raises(CorruptData, match="not for B02"):
        product.radiometry("B02")


def test_a_tile_may_lack_angles_and_resolutions() -> None:
    tile = read_tile(TILE.encode())
    assert tile.grids == {60: RasterGrid("EPSG:32632", 600_000, 5_200_020, 60, 60, 1831, 1830)}
    assert tile.view == {"B8A": (3.0, 100.0)}
    assert tile.sensed == datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)


def sun_grid(values: NDArray[np.float64] | list[list[str]], step: str = "20000") -> bytes:
    """The tile with a grid of the sun."""
    rows = "".join(f"<VALUES>{' '.join(map(str, row))}</VALUES>" for row in values)
    zenith = f"<COL_STEP>{step}</COL_STEP><ROW_STEP>{step}</ROW_STEP><Values_List>{rows}</Values_List>"
    grid = f"<Sun_Angles_Grid><Zenith>{zenith}</Zenith><Azimuth/></Sun_Angles_Grid><Mean_Sun_Angle>"
    return TILE.replace("<Mean_Sun_Angle>", grid).encode()


ACROSS, DOWN = np.meshgrid(np.arange(7) * 20_000 / 109_860, np.arange(7) * 20_000 / 109_800)
SUN = 40 - 0.9 * ACROSS + 0.7 * DOWN + 0.05 * ACROSS * DOWN


def test_the_corners_are_those_of_the_tile_and_not_of_the_grid() -> None:
    assert read_tile(sun_grid(SUN)).sun_corners == pytest.approx(np.array([[40, 39.1], [40.7, 39.85]]), abs=1e-5)


def test_gaps_of_the_grid_are_bridged() -> None:
    gaps = SUN.copy()
    gaps[0, :] = gaps[:, 6] = gaps[3, 2:5] = np.nan
    assert read_tile(sun_grid(gaps)).sun_corners == pytest.approx(np.array([[40, 39.1], [40.7, 39.85]]), abs=1e-5)


def test_without_a_grid_the_mean_is_everywhere() -> None:
    mean = ((60.5, 60.5), (60.5, 60.5))
    few = np.full_like(SUN, np.nan)
    few[0, 0] = few[0, 1] = few[1, 0] = few[1, 1] = 40
    line = np.full_like(SUN, np.nan)
    line[range(7), range(7)] = 40
    assert read_tile(TILE.encode()).sun_corners == mean
    for values in (few, line, np.full_like(SUN, np.nan)):
        assert read_tile(sun_grid(values)).sun_corners == mean


@pytest.mark.parametrize(
    ("values", "step", "found"),
    [
        ([["1", "2"], ["3"]], "5000", "rows of"),
        ([["1", "2"], ["3", "high"]], "5000", "high"),
        ([["1", "2"], ["3", "181"]], "5000", "no angle"),
        ([["1", "2"], ["3", "-4"]], "5000", "no angle"),
        ([["1", "2"], ["3", "4"]], "0", "every 0.0"),
        ([["1", "2"], ["3", "4"]], "far", "far"),
        ([], "5000", "0 values"),
        ([["1"] * 1001], "5000", "1001"),
    ],
)
def test_a_grid_that_is_none_is_refused(values: list[list[str]], step: str, found: str) -> None:
    with pytest.raises(CorruptData, match=found):
        read_tile(sun_grid(values, step))


def test_a_byte_order_mark_does_not_hurt() -> None:
    assert read_product(b"\xef\xbb\xbf" + PRODUCT.encode()).baseline == "05.12"


@each(PRODUCTS + TILES)
def test_real_metadata_are_far_below_the_limit(path: str) -> None:
    assert test_data(path).stat().st_size < MAX_XML / 4


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("?>\n", f"?>\n{LAUGHS}", "document type"),
        ("?>\n", '?>\n<!DOCTYPE x SYSTEM "file:///etc/passwd">', "document type"),
        ("05.12", "&b;", "well-formed"),
        ("</n1:General_Info>", "", "well-formed"),
        ("05.12", "\0", "NUL"),
        ("05.12", "\x01", "well-formed"),
        ("Level-2A_User_Product", "Level-3A_User_Product", "Level-3A_User_Product"),
        ("<PROCESSING_LEVEL>Level-2A", "<PROCESSING_LEVEL>Level-1B", "Level-1B"),
        ("05.12", " ", "PROCESSING_BASELINE is empty"),
        ("PRODUCT_URI", "PRODUCT_ID", "no PRODUCT_URI"),
        ("2026-01-02T03:04:05.678Z", "yesterday", "yesterday"),
        (">NODATA<", ">NOTHING<", "without NODATA"),
        (">65535<", ">many<", "many"),
        ('"none">10000<', '"none">nan<', "nan"),
        ('"none">10000<', '"none">0.5<', "0.5"),
        (">-900<", ">-0.1<", "-0.1"),
        ('band_id="3"', 'band_id="13"', "13 bands"),
        ('band_id="3"', 'band_id="8"', "two"),
        ('band_id="3"', "", "band_id"),
        ("GRANULE/L2A", "../../L2A", "IMAGE_FILE"),
        ("GRANULE/L2A", "/etc/L2A", "IMAGE_FILE"),
    ],
)
def test_bad_products_are_refused_with_what_was_found(old: str, new: str, found: str) -> None:
    assert old in PRODUCT
    with pytest.raises(CorruptData, match=found):
        read_product(PRODUCT.replace(old, new).encode())


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("<Geoposition", "<Geo", "well-formed"),
        ('Size resolution="60"', 'Size resolution="20"', "no Size"),
        ('"60"', '"sixty"', "sixty"),
        (">-60<", ">60<", "60.0 m"),
        (">1831<", ">0<", "0 x 1830"),
        ("Mean_Sun_Angle", "Sun", "no Mean_Sun_Angle"),
        (">60.5<", ">inf<", "inf"),
        (">3<", "><", "ZENITH_ANGLE is empty"),
        ("TILE_ID>", "TILE>", "TILE_ID"),
    ],
)
def test_bad_tiles_are_refused_with_what_was_found(old: str, new: str, found: str) -> None:
    assert old in TILE
    with pytest.raises(CorruptData, match=found):
        read_tile(TILE.replace(old, new).encode())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le"])
def test_no_other_encoding_hides_a_document_type(encoding: str) -> None:
    with pytest.raises(CorruptData):
        read_product(PRODUCT.replace("UTF-8", encoding).replace("?>\n", f"?>\n{LAUGHS}").encode(encoding))


def test_the_declared_encoding_is_not_obeyed() -> None:
    assert read_product(PRODUCT.replace("UTF-8", "UTF-16").encode()).baseline == "05.12"


@pytest.mark.parametrize("ring", ["1 2 3", "1 2 3 4 5 6 x 8", "91 0 0 0 1 1 91 0", "1 2 3 4"])
def test_a_footprint_that_is_no_ring_is_refused(ring: str) -> None:
    footprint = f"<Product_Footprint><EXT_POS_LIST>{ring}</EXT_POS_LIST></Product_Footprint></n1:General_Info>"
    with pytest.raises(CorruptData, match="footprint"):
        read_product(PRODUCT.replace("</n1:General_Info>", footprint).encode())


def test_a_footprint_is_longitude_first() -> None:
    footprint = (
        "<Product_Footprint><EXT_POS_LIST>46 11 46 12 47 12 46 11 </EXT_POS_LIST></Product_Footprint></n1:General_Info>"
    )
    product = read_product(PRODUCT.replace("</n1:General_Info>", footprint).encode())
    assert product.footprint == ((11, 46), (12, 46), (12, 47), (11, 46))


@pytest.mark.parametrize("where", ["memory", "file"])
def test_a_huge_file_is_refused_before_it_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Empty elements take forty times their size when they are parsed."""
    monkeypatch.setattr(ET, "fromstring", lambda _: pytest.fail("it was parsed"))
    bomb = b"<r>" + b'<a b=""/>' * (MAX_XML // 9 + 1) + b"</r>"
    path = tmp_path / "MTD_TL.xml"
    path.write_bytes(bomb)
    with pytest.raises(CorruptData, match="more than 4,194,304 bytes"):
        read_tile(bomb if where == "memory" else path)
