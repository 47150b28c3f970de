"""What a plan says of itself in words: its elevation, and what the user should know."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eo import geoid
from eo.catalog import CLASSES, Scene
from eo.errors import InvalidInput
from eo.grid import TargetGrid
from eo.sources.lattice import EGM2008, Lattice
from plan.scene_sources import Fetched

if TYPE_CHECKING:
    from eo.inputs import CubeInputs


def vertical_crs(lattices: Sequence[Lattice], inputs: Any) -> str | None:  # noqa: ANN401
    """Vertical CRS of the elevation in the cube."""
    if not lattices or inputs.vertical == "orthometric":
        return lattices[0].vertical if lattices else None
    if lattices[0].vertical != EGM2008:
        raise InvalidInput(
            f"vertical ellipsoidal needs heights above EGM2008 ({EGM2008}), the DEM's are above "
            f"{lattices[0].vertical or 'an undeclared surface'}: choose another dem, or vertical orthometric"
        )
    geoid.check()
    return geoid.ELLIPSOIDAL


def elevation_name(lattices: Sequence[Lattice], inputs: Any) -> str | None:  # noqa: ANN401
    """What the result calls its elevation."""
    if not lattices:
        return None
    return Path(lattices[0].href).name if inputs.dem == "local" else str(inputs.dem)


def notes(
    inputs: "CubeInputs", scenes: list[Scene], images: Fetched, *, uncovered: float, grid: TargetGrid
) -> list[str]:
    """What the user should know about the choice."""
    lines = []
    looked_at = any(source.context for source in images.sources.values())  # its clouds are found there
    if inputs.mask_clouds and not looked_at and any(CLASSES not in scene.assets for scene in scenes):
        lines.append("clouds are not masked where a scene has no classification (L1C has none)")
    if uncovered > 0:
        lines.append(f"no scene covers {100 * uncovered:.2f} % of the bbox")
    if len({scene.datetime[:10] for scene in scenes}) > 1:
        dates = sorted(scene.datetime[:10] for scene in scenes)
        lines.append(f"scenes of several dates are joined: {dates[0]} to {dates[-1]}")
    bands = [source for source in images.sources.values() if source.band != CLASSES and not source.context]
    finest: dict[int, float] = {}
    for source in bands:
        finest[source.scene] = min(finest.get(source.scene, source.grid.dx), source.grid.dx)
    # Coarser bands beside them never lie on the grid, and nobody expects it.
    moved = {
        source.scene
        for source in bands
        if source.grid.dx == finest[source.scene] and grid.offset_of(source.grid.to_sibling(grid.crs)) is None
    }
    if moved:
        which = "all scenes are" if len(moved) == len(scenes) else f"{len(moved)} of {len(scenes)} scenes are"
        lines.append(f"{which} resampled to {grid.crs} at {grid.resolution} m")
    return lines
