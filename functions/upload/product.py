"""What an uploaded product orders: itself, all of it, unless its metadata says otherwise."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyproj import Transformer
from pyproj.exceptions import ProjError

from eo.bbox import BBox
from eo.errors import CorruptData, InvalidInput
from eo.job import Process
from upload.boxes import box, overlap

if TYPE_CHECKING:
    from eo.safe_zip import SafeZip

NOT_GIVEN = ("source", "catalog", "datetime")
"""Inputs that look for scenes, where there is one already."""
BULGE = 0.02
"""Degrees by which the edge of a tile may lie beyond the corners of its footprint: 110 km of straight line in a UTM
zone bend by 250 m from a parallel at 47 degrees of latitude, by 1.3 km at 80."""


def inputs(safe: "SafeZip", given: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a product's job. Raises InvalidInput where what was given contradicts the product."""
    collection = f"sentinel-2-{safe.product.level.lower()}"
    for name in NOT_GIVEN:
        if given.get(name) is not None:
            raise InvalidInput(f"{name} looks for scenes, but the uploaded product is the only one: leave it out")
    if given.get("collection", collection) != collection:
        raise InvalidInput(
            f"collection {str(given['collection'])[:40]!r}: the product is {collection}; leave collection out"
        )
    # Who sends a cloudy product has seen it.
    return {"bbox": extent(safe).to_list(), "collection": collection, "max_cloud_cover": 100, **given}


def check(safe: "SafeZip", process: Process, checked: Any) -> None:  # noqa: ANN401 - each process has its own Inputs
    """Raises where the product lacks a band, or lies elsewhere: before a job is made, what can be seen is said."""
    for stage in process.stages(checked):
        if stage.sources is not None:
            safe.images(stage.sources.required, optional=stage.sources.context_optional)
    whole = extent(safe)
    if overlap(checked.bbox, whole) is None:
        raise InvalidInput(f"bbox {checked.bbox} lies outside of the product, which covers {whole}")


def extent(safe: "SafeZip") -> BBox:
    """The box around the product's data: its footprint's, and the tile's where a footprint reaches to its edge."""
    tile = _tile(safe)
    if safe.product.footprint is None:
        return tile
    ring = [list(point) for point in safe.product.footprint]
    shape = box({"type": "Polygon", "coordinates": [ring]})
    edges = zip(tile.to_list(), shape.to_list(), strict=True)
    return BBox(*(edge if _near(edge, corner) else corner for edge, corner in edges))


def _tile(safe: "SafeZip") -> BBox:
    grid = max(safe.tile.grids.values(), key=lambda grid: grid.width * grid.dx)
    if not re.fullmatch(r"EPSG:\d{4,5}", grid.crs):
        raise CorruptData(f"{safe.archive.name} has the CRS {grid.crs[:40]!r}, which is no code of EPSG")
    try:
        projection = Transformer.from_crs(grid.crs, "OGC:CRS84", always_xy=True)
        return BBox(*projection.transform_bounds(*grid.bounds))
    except ProjError as error:
        raise CorruptData(f"{safe.archive.name} lies nowhere in {grid.crs} ({error})") from None


def _near(one: float, other: float) -> bool:
    """Of longitudes as of latitudes; -180 and 180 are one meridian."""
    return abs((one - other + 180) % 360 - 180) < BULGE
