"""Posts that are none, declared or not, and what a file's scale and offset make of the others."""

import base64
import struct
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import rasterio
import zarr
from numpy.typing import NDArray
from rasterio.transform import Affine

from eo.bbox import BBox
from eo.grid import Window
from eo.job import ElevationSource
from eo.settings import Settings
from eo.sources import elevation
from eo.traffic import Traffic

BOX = BBox(9.0, 47.0, 9.5, 47.5)
HEIGHTS = np.arange(64).reshape(8, 8)
HOLE = (slice(2, 4), slice(3, 6))


def with_hole(dtype: str, hole: float) -> NDArray[Any]:
    values = HEIGHTS.astype(dtype)
    values[HOLE] = hole
    return values


def posts(path: Path) -> NDArray[np.float32]:
    settings = Settings()
    (lattice,) = elevation.describe("local", path=str(path), bbox=BOX, settings=settings, traffic=Traffic())
    source = ElevationSource(
        adapter=lattice.adapter,
        grid=lattice.grid,
        origin=(0, 0),
        href=lattice.href,
        variable=lattice.variable,
        ascending=lattice.ascending,
        flags=dict(lattice.flags),
    )
    return elevation.read(source, Window(0, 0, 8, 8), settings=settings, traffic=Traffic())


def write_zarr(
    path: Path, values: NDArray[Any], attributes: dict[str, Any], *, version: Literal[2, 3] = 3, fill: Any = 0
) -> Path:
    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    for name, data, dims in (
        ("dem", values, ("lat", "lon")),
        ("lat", 47.5 - np.arange(8) / 16, ("lat",)),
        ("lon", 9.0 + np.arange(8) / 16, ("lon",)),
    ):
        more: dict[str, Any] = {"dimension_names": dims} if version == 3 else {}
        array = group.create_array(name, shape=data.shape, dtype=data.dtype, chunks=data.shape, fill_value=fill, **more)
        array[...] = data
        if version == 2:
            array.attrs["_ARRAY_DIMENSIONS"] = list(dims)
    group["dem"].attrs.update(attributes)
    return path


def write_tiff(path: Path, values: NDArray[Any], *, nodata: float | None, scale: float = 1, offset: float = 0) -> Path:
    profile = {"driver": "GTiff", "width": 8, "height": 8, "count": 1, "dtype": values.dtype.name, "nodata": nodata}
    with rasterio.open(path, "w", crs="EPSG:4326", transform=Affine(1 / 16, 0, 9, 0, -1 / 16, 47.5), **profile) as file:
        file.write(values, 1)
        file.scales, file.offsets = (scale,), (offset,)
    return path


def check(found: NDArray[np.float32], heights: NDArray[Any] = HEIGHTS) -> None:
    """Nothing in the hole and these heights everywhere else."""
    wanted = heights.astype(np.float32)
    wanted[HOLE] = np.nan
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


UNDECLARED = [
    ("float32", -9999.0),
    ("int16", -9999),
    ("int16", -32768),
    ("float32", -3.4028234663852886e38),
    ("float32", 3.4e38),
    ("float32", np.inf),
    ("float64", -1.7976931348623157e308),
]


@pytest.mark.parametrize(("dtype", "hole"), UNDECLARED)
@pytest.mark.parametrize("file", ["zarr 2", "zarr 3", "tiff"])
def test_undeclared_no_data_is_no_height(tmp_path: Path, file: str, dtype: str, hole: float) -> None:
    values = with_hole(dtype, hole)
    if file == "tiff":
        path = write_tiff(tmp_path / "a.tif", values, nodata=None)
    else:
        path = write_zarr(tmp_path / "a.zarr", values, {}, version=2 if file == "zarr 2" else 3)
    check(posts(path))


def encoded(value: float) -> str:
    """As xarray's FillValueCoder writes the no-data value of a float array of Zarr 3."""
    return base64.standard_b64encode(struct.pack("<d", value)).decode()


# Values that could be heights, so that nothing but the declaration tells.
@pytest.mark.parametrize(
    ("dtype", "attributes"),
    [
        ("float32", {"_FillValue": encoded(-999.0)}),
        ("float64", {"_FillValue": encoded(-999.0)}),
        ("float32", {"_FillValue": "-999.0"}),
        ("float32", {"_FillValue": -999.0}),
        ("int16", {"_FillValue": -999}),
        ("int16", {"missing_value": -999}),
        ("float32", {"_FillValue": encoded(float("nan")), "missing_value": -999.0}),
    ],
)
def test_declared_no_data_of_zarr_is_no_height(tmp_path: Path, dtype: str, attributes: dict[str, Any]) -> None:
    assert encoded(float("nan")) == "AAAAAAAA+H8="  # as in stores that xarray wrote
    check(posts(write_zarr(tmp_path / "a.zarr", with_hole(dtype, -999), attributes)))


@pytest.mark.parametrize("version", [2, 3])
def test_the_fill_value_of_the_array_is_no_height(tmp_path: Path, version: Literal[2, 3]) -> None:
    check(posts(write_zarr(tmp_path / "a.zarr", with_hole("int16", -999), {}, version=version, fill=-999)))


def test_what_declares_no_number_masks_nothing(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "a.zarr", HEIGHTS.astype(np.float32), {"_FillValue": "none", "missing_value": None})
    np.testing.assert_array_equal(posts(path), HEIGHTS)


def test_scale_and_offset_apply_to_heights_after_no_data_is_out(tmp_path: Path) -> None:
    # Scaled, the no-data value would be a plausible height.
    packed = write_zarr(
        tmp_path / "a.zarr",
        with_hole("int16", -32768),
        {"_FillValue": -32768, "scale_factor": 0.1, "add_offset": 100.0},
    )
    check(posts(packed), 100 + 0.1 * HEIGHTS)
    tiff = write_tiff(tmp_path / "a.tif", with_hole("int16", -32768), nodata=-32768, scale=0.1, offset=100)
    check(posts(tiff), 100 + 0.1 * HEIGHTS)


def test_raw_numbers_beyond_any_height_are_heights_once_scaled(tmp_path: Path) -> None:
    millimetres = (HEIGHTS * 400).astype(np.int32)
    millimetres[HOLE] = -(2**31)
    path = write_tiff(tmp_path / "a.tif", millimetres, nodata=-(2**31), scale=0.001)
    check(posts(path), HEIGHTS * 0.4)
