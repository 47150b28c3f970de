"""From validated inputs to a plan and its units."""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shapely
from shapely import Polygon

import eo
from eo import geoid
from eo import inputs as shared_inputs
from eo.bbox import BBox
from eo.catalog import CLASSES, Scene
from eo.errors import InvalidInput, NothingFound
from eo.grid import TargetGrid, Window, is_sibling
from eo.job import ArraySpec, Plan, Process, Sources, TargetArray, Unit
from eo.radiometry import Radiometry, common
from eo.settings import Settings
from eo.sources import elevation
from eo.sources.lattice import EGM2008, Lattice
from eo.traffic import Traffic
from plan import budget, search
from plan.choose import choose
from plan.elevation_sources import Sheets, sheets
from plan.files import Files
from plan.scene_sources import Decimated, Fetched, fetched
from plan.target import choose_crs, pixels_inside, projected_ring, requested_crs, target_grid

if TYPE_CHECKING:
    from eo.inputs import CubeInputs


@dataclass(frozen=True)
class Planned:
    """A plan with the units of its stages, and what planning itself asked of the sources."""

    plan: Plan
    units: dict[str, list[Unit]]
    traffic: Traffic


def make_plan(
    process: Process,
    inputs: Any,  # noqa: ANN401 - each process has its own Inputs, all of them CubeInputs
    *,
    job: str,
    settings: Settings,
    now: dt.datetime | None = None,
    shard: int | None = None,
    lattice: tuple[int, int] | None = None,
) -> Planned:
    """Plan a job. `shard` and `lattice` are for the tests of "any tiling gives the same result".

    Raises NothingFound, TooLarge, InvalidInput, CorruptData, AccessDenied and SourceUnavailable.
    """
    stages = process.stages(inputs)
    wanted = next(stage.sources for stage in stages if stage.sources is not None)
    scenes, uncovered = find_scenes(inputs, wanted, settings=settings, now=now or dt.datetime.now(dt.UTC))
    traffic = Traffic()
    files = Files(scenes, inputs.source, settings=settings, traffic=traffic)
    grid, first = job_grid(scenes, files, inputs, wanted)
    anchor = lattice or grid_lattice(grid, first, files, wanted)
    sampled = process.sampled(inputs)
    memory = settings.worker_memory * 1_000_000
    edge = shard or budget.shard_edge(
        chunk=settings.chunk, bytes_per_pixel=sampled * process.bytes_per_point(inputs), memory=memory, stages=stages
    )
    windows = shard_windows(grid, inputs.bbox, edge, anchor)
    images = fetched(
        scenes,
        files,
        adapter=inputs.source,
        wanted=wanted,
        grid=grid,
        shards=windows,
        centre_lon=inputs.bbox.centre_lon,
        chunk=settings.chunk,
    )
    if not images.units:
        raise NothingFound(
            f"no file of the {len(scenes)} scenes reaches into bbox {inputs.bbox}, whatever their footprints say; "
            "check the catalogue"
        )
    lattices: Sequence[Lattice] = ()
    heights = Sheets()
    if wanted.elevation:
        lattices = elevation.describe(
            inputs.dem, path=inputs.dem_path, bbox=inputs.bbox, settings=settings, traffic=traffic
        )
        heights = sheets(lattices, grid=grid, shards=windows, centre_lon=inputs.bbox.centre_lon)
    scenes = images.keep_used(scenes)
    radiometry = {
        band: common([scene.assets[band].radiometry or Radiometry(0) for scene in scenes]) for band in wanted.bands
    }
    arrays, targets = target_arrays(scenes, images, wanted, grid=grid, anchor=anchor, chunk=settings.chunk)
    by_kind = {"blocks": [*images.units, *heights.units], "shards": shard_units(windows, edge, anchor)}
    units = {stage.name: by_kind[stage.over] for stage in stages}
    pixels = pixels_inside(grid, inputs.bbox)
    predicted = budget.predict(
        pixels=pixels,
        points=budget.most_points(math.ceil(pixels * (1 - uncovered)), sampled, grid.window),
        bytes_per_point=process.bytes_per_point(inputs),
        arrays=[*images.arrays, *heights.arrays, *arrays],
        units=units,
        stages=stages,
        shards=windows,
        requests=images.requests + heights.requests + traffic.requests,
        bytes_in=images.bytes_in + heights.bytes_in,
        block_memory=heights.memory,
    )
    budget.check(predicted, memory=memory, max_points=getattr(inputs, "max_points", None))
    plan = Plan(
        job=job,
        process=process.id,
        version=process.version,
        software=f"eo-shards {eo.__version__}",
        inputs=inputs.model_dump(mode="json"),
        bbox=inputs.bbox,
        grid=grid,
        chunk=settings.chunk,
        shard=edge,
        lattice=anchor,
        scenes=tuple(scenes),
        uncovered=uncovered,
        radiometry=radiometry,
        vertical_crs=vertical_crs(lattices, inputs),
        elevation_name=elevation_name(lattices, inputs),
        arrays=(*images.arrays, *heights.arrays, *arrays),
        sources={**images.sources, **heights.sources},
        targets=targets,
        stages=tuple(stages),
        predicted=predicted,
        notes=(
            *notes(inputs, scenes, uncovered, grid),
            *(f"{name} is withheld: no points there" for name in heights.withheld),
        ),
    )
    return Planned(plan, units, traffic)


def find_scenes(
    inputs: "CubeInputs", wanted: Sources, *, settings: Settings, now: dt.datetime
) -> tuple[list[Scene], float]:
    """(the scenes in the order in which they fill, share of the bbox that none covers)."""
    folder = None if inputs.catalog is None else Path(inputs.catalog).absolute()
    when = inputs.datetime or (None if inputs.source == "local" else shared_inputs.last_days(now))
    found = search.find(
        inputs.source,
        collection=inputs.collection,
        bbox=inputs.bbox,
        datetime=when,
        settings=settings,
        local_folder=folder,
    )
    if not found:
        dates = "" if when is None else f" of {when}"
        raise NothingFound(
            f"{inputs.source} has no {inputs.collection} scene{dates} in bbox {inputs.bbox}: widen the dates, or check the "
            "bbox and the collection"
        )
    choice = choose(found, inputs.bbox, max_cloud_cover=inputs.max_cloud_cover)
    scenes = search.load(
        inputs.source, choice.candidates, bands=wanted.all_bands, settings=settings, local_folder=folder
    )
    return scenes, choice.uncovered


def job_grid(scenes: list[Scene], files: Files, inputs: "CubeInputs", wanted: Sources) -> tuple[TargetGrid, int | None]:
    """(the target grid, index of the scene whose pixels it follows or None)."""
    band = wanted.bands[0]
    crs_of = [files.crs(index, band) for index in range(len(scenes))]
    crs = choose_crs(scenes, crs_of, inputs.bbox) if inputs.crs is None else requested_crs(inputs.crs, inputs.bbox)
    first = next((i for i, other in enumerate(crs_of) if other == crs or is_sibling(other, crs)), None)
    native = None if first is None else files.info(first, band).grid.to_sibling(crs)
    pixel = files.info(0 if first is None else first, band).grid.dx
    if inputs.resolution is not None and inputs.resolution < 0.5 * pixel:
        raise InvalidInput(
            f"resolution {inputs.resolution} m is finer than half the scene's {pixel:g} m pixels: "
            f"ask for {max(1, round(pixel))} m or more"
        )
    return target_grid(crs=crs, native=native, resolution=inputs.resolution, bbox=inputs.bbox), first


def grid_lattice(grid: TargetGrid, first: int | None, files: Files, wanted: Sources) -> tuple[int, int]:
    """(column, row) at which the first scene's file begins, so that shards meet whole chunks of it."""
    if first is None:
        return 0, 0
    file = Decimated.of(files.info(first, wanted.bands[0]), grid.resolution, classes=False)
    return grid.offset_of(file.grid.to_sibling(grid.crs)) or (0, 0)


def shard_windows(grid: TargetGrid, bbox: BBox, edge: int, anchor: tuple[int, int]) -> list[Window]:
    """The job's window cut along the lattice, without the shards that the bbox misses."""
    area = Polygon(projected_ring(grid.crs, bbox)).buffer(grid.resolution)
    shapely.prepare(area)
    return [
        window
        for window in grid.window.cells(edge, edge, col=anchor[0], row=anchor[1])
        if area.intersects(
            shapely.box(grid.x(window.col), grid.y(window.row_end), grid.x(window.col_end), grid.y(window.row))
        )
    ]


def shard_units(windows: list[Window], edge: int, anchor: tuple[int, int]) -> list[Unit]:
    """Name shards by their place on the job's lattice, counted from the job's corner, so that names sort by rows."""
    places = [((w.row - anchor[1]) // edge, (w.col - anchor[0]) // edge) for w in windows]
    top, left = min(row for row, _ in places), min(col for _, col in places)
    return [
        Unit(id=f"r{row - top:05d}c{col - left:05d}", window=window)
        for (row, col), window in zip(places, windows, strict=True)
    ]


def target_arrays(
    scenes: list[Scene],
    images: Fetched,
    wanted: Sources,
    *,
    grid: TargetGrid,
    anchor: tuple[int, int],
    chunk: int,
) -> tuple[list[ArraySpec], dict[str, TargetArray]]:
    """Arrays on the target grid, and where each variable is kept.

    The bands of a scene that is the only one and lies on the grid stay where they were fetched.
    """
    window = grid.window.shifted(-anchor[0], -anchor[1]).snapped(chunk, chunk).shifted(*anchor)
    arrays: list[ArraySpec] = []
    targets: dict[str, TargetArray] = {}

    def add(name: str, dtype: str, fill: float | str = 0) -> None:
        arrays.append(ArraySpec(name=name, shape=window.shape, chunks=(chunk, chunk), dtype=dtype, fill=fill))
        targets[name] = TargetArray(array=name, window=window)

    for band in wanted.bands:
        alias = sole_alias(band, images, grid)
        if alias is None:
            add(f"bands/{band}", "uint16")
            targets[band] = targets.pop(f"bands/{band}")
        else:
            targets[band] = alias
    add("valid", "uint8")
    if len(scenes) > 1:
        add("scene", "uint8" if len(scenes) < 255 else "uint16")
    if wanted.elevation:
        add("elevation", "float32", "NaN")
    return arrays, targets


def sole_alias(band: str, images: Fetched, grid: TargetGrid) -> TargetArray | None:
    """The one scene's array of a band, where it is on the target grid."""
    own = [(name, source) for name, source in images.sources.items() if source.band == band]
    if len({source.scene for source in images.sources.values()}) != 1 or len(own) != 1:
        return None
    name, source = own[0]
    local = source.grid.to_sibling(grid.crs)
    offset = grid.offset_of(local)
    return None if offset is None else TargetArray(array=name, window=Window(*offset, local.width, local.height))


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


def notes(inputs: "CubeInputs", scenes: list[Scene], uncovered: float, grid: TargetGrid) -> list[str]:
    """What the user should know about the choice."""
    lines = []
    if inputs.mask_clouds and any(CLASSES not in scene.assets for scene in scenes):
        lines.append("clouds are not masked where a scene has no classification (L1C has none)")
    if uncovered > 0:
        lines.append(f"no scene covers {100 * uncovered:.2f} % of the bbox")
    if len({scene.datetime[:10] for scene in scenes}) > 1:
        dates = sorted(scene.datetime[:10] for scene in scenes)
        lines.append(f"scenes of several dates are joined: {dates[0]} to {dates[-1]}")
    if grid.crs not in {scene.crs for scene in scenes}:
        lines.append(f"scenes are resampled to {grid.crs}")
    return lines
