"""Elevation in a Zarr group with coordinate arrays (v2 or v3): Earth Data Hub, or a folder of the user's."""

import base64
import binascii
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eo.errors import CorruptData, InvalidInput
from eo.grid import RasterGrid, Window
from eo.sources.lattice import Lattice, unwrapped
from eo.sources.raster import crs_names

if TYPE_CHECKING:
    from zarr.abc.store import Store

X_NAMES = ("longitude", "lon", "x", "easting")
Y_NAMES = ("latitude", "lat", "y", "northing")
GEOGRAPHIC_NAMES = ("longitude", "lon")
VARIABLES = ("dsm", "dem", "elevation", "height", "band_data", "z")
"""Names tried first; otherwise the group's only two-dimensional array is taken."""


def describe(store: "Store", *, adapter: str, href: str, vertical: str | None, centre_lon: float) -> Lattice:
    """Find the elevation variable and its lattice. Raises InvalidInput where the group is not one."""
    group = _group(store, href)
    variable, dims = _variable(group, href)
    array: Any = group[variable]
    x, y = _axis(group, dims[1], X_NAMES, href), _axis(group, dims[0], Y_NAMES, href)
    crs, declared = _crs(group, array, dims[1], href)
    dx, dy = (x[1] - x[0]) / (array.shape[1] - 1), (y[1] - y[0]) / (array.shape[0] - 1)
    if dx <= 0:
        raise InvalidInput(f"{href}: {dims[1]} runs from {x[0]} to {x[1]}; it has to ascend")
    ascending = dy > 0
    north = max(y)
    grid = RasterGrid(crs, x[0] - dx / 2, north + abs(dy) / 2, dx, abs(dy), array.shape[1], array.shape[0])
    first = 0
    cell: tuple[int, int] = (int(array.chunks[0]), int(array.chunks[1]))
    if dims[1] in GEOGRAPHIC_NAMES:
        grid, first = unwrapped(grid, centre_lon, cell[1])
    return Lattice(
        adapter=adapter,
        grid=grid,
        cell=cell,
        href=href,
        vertical=vertical or declared,
        variable=variable,
        ascending=ascending,
        flags={
            "first": first,
            "columns": array.shape[1],
            "rows": array.shape[0],
            # So that a block asks for no metadata of the other format.
            "zarr_format": array.metadata.zarr_format,
        },
    )


def _group(store: "Store", href: str) -> Any:  # noqa: ANN401 - zarr.Group
    """Open a group of format 3, else of 2: left to itself, zarr asks for the metadata of both."""
    import zarr  # noqa: PLC0415 - heavy, and only jobs with this source need it

    for version in (3, 2):
        try:
            return zarr.open_group(store, mode="r", zarr_format=version)
        except FileNotFoundError:
            continue
        except (ValueError, KeyError) as error:
            raise InvalidInput(f"{href} is not a readable Zarr group: {error}") from None
    raise InvalidInput(f"{href} is not a Zarr group: it has neither zarr.json nor .zgroup; check its address")


def read(
    store: "Store", lattice_flags: "dict[str, Any]", variable: str, *, ascending: bool, window: Window
) -> NDArray[np.float32]:
    """Posts of a window of the unwrapped, north-up lattice, float32 metres, NaN where there are none."""
    import zarr  # noqa: PLC0415

    array: Any = zarr.open_array(store, path=variable, mode="r", zarr_format=lattice_flags["zarr_format"])
    rows, columns, first = (int(lattice_flags[name]) for name in ("rows", "columns", "first"))
    row, row_end = window.row, window.row_end
    if ascending:
        row, row_end = rows - window.row_end, rows - window.row
    start = (first + window.col) % columns
    pieces = []
    left = window.width
    while left:
        width = min(left, columns - start)
        pieces.append(np.asarray(array[row:row_end, start : start + width]))
        start, left = 0, left - width
    raw = np.concatenate(pieces, axis=1) if len(pieces) > 1 else pieces[0]
    attributes = array.attrs
    declared = [_fill(attributes.get(name)) for name in ("_FillValue", "missing_value")]
    fills = [fill for fill in declared if fill is not None]
    if not fills and array.fill_value is not None and array.fill_value != 0:
        fills = [array.fill_value]
    scale, offset = _number(attributes, "scale_factor", 1), _number(attributes, "add_offset", 0)
    # Undeclared no-data values may be as large as a double; elevation.read takes them out.
    with np.errstate(over="ignore"):
        values = raw.astype(np.float32)
        for fill in fills:
            values[raw == fill] = np.nan
        values = values * np.float32(scale) + np.float32(offset)
    return np.ascontiguousarray(values[::-1] if ascending else values)


def _fill(value: Any) -> float | None:  # noqa: ANN401 - JSON
    """A no-data value as attributes have it, None where there is none that can be read.

    JSON has no NaN, so xarray writes the floats of Zarr 3 as base64 of a little-endian double (its FillValueCoder).
    """
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str):
        return None
    try:
        return float(struct.unpack("<d", base64.b64decode(value, validate=True))[0])
    except (binascii.Error, struct.error, ValueError):
        pass
    try:
        return float(value)
    except ValueError:
        return None


def _number(attributes: Any, name: str, default: float) -> float:  # noqa: ANN401 - JSON
    value = attributes.get(name, default)
    return float(value) if isinstance(value, int | float) else default


def _variable(group: Any, href: str) -> tuple[str, tuple[str, str]]:  # noqa: ANN401 - zarr.Group
    chosen = next((name for name in VARIABLES if name in group and getattr(group[name], "ndim", 0) == 2), None)
    arrays: dict[str, Any] = {}
    if chosen is None and group.store.supports_listing:
        arrays = {name: array for name, array in group.arrays() if array.ndim == 2}
        chosen = next(iter(arrays)) if len(arrays) == 1 else None
    if chosen is None:
        raise InvalidInput(
            f"{href} has no two-dimensional variable named {', '.join(VARIABLES)}, but {sorted(arrays) or 'none'}; "
            "rename the one with the elevation"
        )
    array = group[chosen]
    dims = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    if not dims or len(dims) != 2:
        raise InvalidInput(f"{href}: {chosen} does not name its dimensions (dimension_names or _ARRAY_DIMENSIONS)")
    return chosen, (str(dims[0]), str(dims[1]))


def _axis(group: Any, name: str, names: tuple[str, ...], href: str) -> tuple[float, float]:  # noqa: ANN401
    """(first, last) coordinate of a regular axis."""
    if name not in names:
        raise InvalidInput(f"{href}: dimension {name!r} is none of {', '.join(names)}; rename it, rows before columns")
    if name not in group:
        raise InvalidInput(f"{href} has no coordinate array {name}; write it beside the variable")
    axis: Any = group[name]
    size = axis.shape[0]
    if size < 2:
        raise InvalidInput(f"{href}: {name} has {size} value; two or more are needed")
    first, second = (float(value) for value in axis[:2])
    last = float(axis[size - 1])
    if abs((last - first) / (size - 1) - (second - first)) > 1e-3 * abs(second - first):
        raise InvalidInput(f"{href}: {name} is not evenly spaced; resample it to a regular lattice")
    return first, last


def _crs(group: Any, array: Any, x_name: str, href: str) -> tuple[str, str | None]:  # noqa: ANN401
    """(horizontal, vertical) CRS: declared in the attributes, or longitude and latitude by their names."""
    mapping = array.attrs.get("grid_mapping")
    named = (name for name in (mapping, "spatial_ref", "crs") if isinstance(name, str) and name in group)
    places = [array.attrs, group.attrs, *(group[name].attrs for name in named)]
    for attributes in places:
        for key in ("proj:code", "proj:wkt2", "crs_wkt", "spatial_ref", "crs"):
            value = attributes.get(key)
            if isinstance(value, str) and value and value not in group:
                try:
                    return crs_names(value)
                except ValueError:
                    raise CorruptData(f"{href}: {key} {value[:60]!r} is no CRS that PROJ knows") from None
    if x_name in GEOGRAPHIC_NAMES:
        return "EPSG:4326", None
    raise InvalidInput(f"{href} declares no CRS; add the attribute proj:code (such as EPSG:32632) to its group")
