"""The global elevation store of Earth Data Hub, with generated heights."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import zarr
from zarr.codecs import BloscCodec

from scenes.dem import Bounds, Dem, in_strips
from scenes.world import LATTICE_COLUMNS, POSTS_PER_DEGREE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from scenes.world import World

LATTICE_ROWS = 180 * POSTS_PER_DEGREE

_MARGIN = 40
"""Posts around the bounds that have heights too: enough for any interpolation at their border."""

_ATTRIBUTES = {"long_name": "digital surface model", "standard_name": "surface_altitude", "units": "m"}


def write_edh_zarr(
    folder: Path,
    *,
    world: World,
    bounds: Bounds,
    zarr_format: Literal[2, 3] = 3,
    ascending: bool = False,
    chunks: tuple[int, int] | None = None,
    dimensions: tuple[str, str] = ("latitude", "longitude"),
    fill_chunks: bool = False,
    void: Bounds | None = None,
) -> Dem:
    """Write the store with heights in `bounds` (degrees) and 40 posts around them; elsewhere it is NaN.

    Variable `dsm`, float32, 648,000 x 1,296,000 posts, post (0, 0) at 90 N 180 W, or the southernmost row first where
    `ascending`. `chunks` is (3600, 1800) for Zarr 3, as in GLO-30-v1, and (3600, 3600) for Zarr 2, as in GLO-30-v0.
    Chunks without heights are not written; `fill_chunks` fills those that are written to their edges. `void` is a box
    in degrees that stays NaN.
    """
    dem = Dem(
        path=folder, world=world, crs="EPSG:4326", origin=(-180.0, 90.0), step=(1 / POSTS_PER_DEGREE,) * 2, void=void
    )
    chunk = chunks or ((3600, 1800) if zarr_format == 3 else (3600, 3600))
    group = zarr.open_group(str(folder), mode="w", zarr_format=zarr_format)
    # EPSG:9518 is WGS 84 with EGM2008 heights: read as a file of one's own, the store has to say so itself.
    group.attrs.update(
        {"Conventions": "CF-1.8", "title": "Copernicus DEM GLO-30 (generated)", "proj:code": "EPSG:9518"}
    )
    dsm = _array(
        group,
        "dsm",
        shape=(LATTICE_ROWS, LATTICE_COLUMNS),
        chunks=chunk,
        dtype=np.float32,
        dimensions=dimensions,
        zarr_format=zarr_format,
    )
    dsm.attrs.update(_ATTRIBUTES)
    latitude = 90.0 - np.arange(LATTICE_ROWS) / POSTS_PER_DEGREE
    longitude = -180.0 + np.arange(LATTICE_COLUMNS) / POSTS_PER_DEGREE
    for name, values, units in (
        (dimensions[0], latitude[::-1] if ascending else latitude, "degrees_north"),
        (dimensions[1], longitude, "degrees_east"),
    ):
        axis = _array(
            group,
            name,
            shape=values.shape,
            chunks=(len(values) // 4,),
            dtype=np.float64,
            dimensions=(name,),
            zarr_format=zarr_format,
        )
        axis[:] = values
        axis.attrs.update({"units": units, "standard_name": units.removeprefix("degrees_")})
    for rows, columns in _windows(bounds, chunk, ascending=ascending, fill=fill_chunks):
        heights = in_strips(dem, columns, LATTICE_ROWS - 1 - rows if ascending else rows)
        dsm[int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1] = heights
    with warnings.catch_warnings():
        # Consolidated metadata is not part of the Zarr 3 specification yet; stores on the web carry it all the same.
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(group.store)
    return dem


def _array(
    group: zarr.Group,
    name: str,
    *,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: type[np.floating[Any]],
    dimensions: tuple[str, ...],
    zarr_format: Literal[2, 3],
) -> zarr.Array[Any]:
    """Create an array; Zarr 2 names its dimensions in an attribute, as xarray does."""
    if zarr_format == 3:
        return group.create_array(
            name,
            shape=shape,
            chunks=chunks,
            dtype=dtype,
            fill_value=np.nan,
            dimension_names=dimensions,
            compressors=BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
        )
    array = group.create_array(name, shape=shape, chunks=chunks, dtype=dtype, fill_value=np.nan)
    array.attrs["_ARRAY_DIMENSIONS"] = list(dimensions)
    return array


def _windows(
    bounds: Bounds, chunk: tuple[int, int], *, ascending: bool, fill: bool
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows and columns of the store to fill, chunk by chunk."""
    west, south, east, north = bounds
    top, bottom = ((90 - edge) * POSTS_PER_DEGREE for edge in (north, south))
    first_row, last_row = max(0, math.floor(top) - _MARGIN), min(LATTICE_ROWS - 1, math.ceil(bottom) + _MARGIN)
    if ascending:
        first_row, last_row = LATTICE_ROWS - 1 - last_row, LATTICE_ROWS - 1 - first_row
    left = math.floor((west + 180) * POSTS_PER_DEGREE) - _MARGIN
    right = left + math.ceil((east - west) % 360 * POSTS_PER_DEGREE) + 2 * _MARGIN + 1
    for begin, end in _turns(left, right):
        for rows in _pieces(first_row, last_row, chunk[0], LATTICE_ROWS, fill=fill):
            for columns in _pieces(begin, end, chunk[1], LATTICE_COLUMNS, fill=fill):
                yield rows, columns


def _turns(left: int, right: int) -> list[tuple[int, int]]:
    """Split a range of columns, both ends included, where it crosses the antimeridian."""
    left, right = left % LATTICE_COLUMNS, left % LATTICE_COLUMNS + right - left
    if right < LATTICE_COLUMNS:
        return [(left, right)]
    return [(left, LATTICE_COLUMNS - 1), (0, right - LATTICE_COLUMNS)]


def _pieces(first: int, last: int, chunk: int, size: int, *, fill: bool) -> Iterator[NDArray[np.int64]]:
    """Cut a range of indices at the chunks' edges, or widen it to them."""
    for start in range(first // chunk * chunk, last + 1, chunk):
        end = min(start + chunk, size)
        yield np.arange(start, end) if fill else np.arange(max(start, first), min(end, last + 1))
