"""The context stage: elevation under a whole granule, on the scene's own coarse grid."""

from typing import Any

import numpy as np

from eo.imagery import CONTEXT_CHUNK, ELEVATION, context_strips
from eo.job import Part, Unit
from eo.unit_io import UnitIO
from fetch.surface import elevation


def context(unit: Unit, _state: Any, io: UnitIO) -> Part:  # noqa: ANN401 - the stage before has no reduce
    """Write metres above the DEM's surface (the geoid) at the pixel centres of a scene's context; NaN where unknown.

    Depends on the granule and the DEM only: never on the job's bbox, as long as the DEM is the same.
    """
    plan = io.plan
    grid = plan.contexts[plan.scene_names.index(unit.id)]
    wanted = any(stage.sources is not None and stage.sources.context_elevation for stage in plan.stages)
    strips = list(context_strips(grid))
    voids = 0
    for chunks in unit.window.cells(grid.width, CONTEXT_CHUNK):
        height = np.full(chunks.shape, np.nan, np.float32)
        if wanted:
            for strip in (s for s in strips if chunks.row <= s.row < chunks.row_end):
                height[strip.slices(chunks)] = elevation(strip, io, grid)
        io.cube.write(f"{unit.array}/{ELEVATION}", chunks, height)
        voids += int(np.isnan(height).sum())
    return Part(unit=unit.id, counts={"cells": unit.window.pixels, "voids": voids})
