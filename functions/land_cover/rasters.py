"""Patches as GeoTIFFs with a pixel for each: probabilities by class, and the most probable class as a code."""

from collections.abc import Mapping
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from eo.cog_layout import Band, Place, Raster, epsg
from eo.grid import Window
from eo.job import Plan
from land_cover.labels import CLASSES, COLOURS
from land_cover.patches import EDGE, OK, PATCH, STATUSES, Records, most_probable

UNSEEN = 0
"""Code of pixels that are no patch of the job."""
FIRST, FIRST_STATUS = 1, 1 + len(CLASSES)
"""Codes of the first class, and of the first reason not to judge: the others follow in their order."""
GREYS: Mapping[str, tuple[int, int, int]] = {
    "masked": (150, 150, 150),
    "incomplete": (110, 110, 110),
    "saturated": (70, 70, 70),
}
REASONS: Mapping[str, str] = {
    "masked": "masked: cloud, shadow or snow",
    "incomplete": "incomplete: no data",
    "saturated": "saturated",
}
"""Why a patch is not judged, by its status."""
NAMES = ("outside of the job", *CLASSES, *(REASONS[name] for name in STATUSES[OK + 1 :]))
"""By code."""
PALETTE = ((0, 0, 0), *(COLOURS[name] for name in CLASSES), *(GREYS[name] for name in STATUSES[OK + 1 :]))

PROBABILITY_RASTER = Raster("probabilities", "float32", tuple(Band(name) for name in CLASSES), float("nan"))
LABEL_RASTER = Raster("labels", "uint8", (Band("most probable label"),), UNSEEN, classes=True, palette=PALETTE)


def window(plan: Plan) -> Window:
    """All patches of the job's window, in their own columns and rows."""
    pixels = plan.grid.window
    return Window(pixels.col // PATCH, pixels.row // PATCH, pixels.width // PATCH, pixels.height // PATCH)


def place(plan: Plan) -> Place:
    """Where the first patch lies."""
    first = window(plan)
    return Place(epsg(plan.grid.crs), first.col * float(EDGE), first.row * -float(EDGE), float(EDGE))


def probabilities(records: Records, plan: Plan) -> NDArray[np.float32]:
    """(classes, rows, columns); NaN where no patch was judged."""
    all_of_it = window(plan)
    made = np.full((len(CLASSES), *all_of_it.shape), np.nan, np.float32)
    made[:, records["row"] - all_of_it.row, records["col"] - all_of_it.col] = records["probabilities"].T
    return made


def codes(records: Records, plan: Plan) -> NDArray[np.uint8]:
    """(rows, columns) of `NAMES`."""
    all_of_it = window(plan)
    made = np.full(all_of_it.shape, UNSEEN, np.uint8)
    told = np.where(
        records["status"] == OK, FIRST + most_probable(records), FIRST_STATUS + records["status"].astype(int) - OK - 1
    )
    made[records["row"] - all_of_it.row, records["col"] - all_of_it.col] = told
    return made


def names_document() -> bytes:
    """The names of the codes, as GDAL keeps beside a file what the file cannot hold (PAM)."""
    listed = "".join(f"      <Category>{escape(name)}</Category>\n" for name in NAMES)
    band = f'  <PAMRasterBand band="1">\n    <CategoryNames>\n{listed}    </CategoryNames>\n  </PAMRasterBand>\n'
    return f"<PAMDataset>\n{band}</PAMDataset>\n".encode()
