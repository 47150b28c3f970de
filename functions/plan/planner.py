"""From validated inputs to a plan and its units."""

import datetime as dt
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import eo
from eo import inputs as shared_inputs
from eo import safe_zip
from eo.catalog import MASKS, Scene
from eo.errors import NothingFound
from eo.job import Plan, Process, Unit
from eo.radiometry import Radiometry, common
from eo.settings import Settings
from eo.sources import elevation
from eo.stage import Sources, sources_of, tiling_of
from eo.traffic import Traffic
from eo.transport import cdse_keys
from plan import budget, granule, search
from plan.choose import choose
from plan.context_sources import add_contexts
from plan.cube_arrays import made_arrays, target_arrays, tile_arrays
from plan.elevation_sources import Sheets, around, sheets
from plan.files import Files
from plan.job_grid import grid_lattice, job_grid, scene_units, shard_units, shard_windows, square_of, tile_units
from plan.notes import elevation_name, notes, vertical_crs
from plan.scene_sources import fetched, scene_names
from plan.target import pixels_inside
from plan.upload_catalog import UploadedProduct, unpacked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eo.grid import RasterGrid
    from eo.inputs import CubeInputs
    from eo.sources.lattice import Lattice


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
    product: UploadedProduct | None = None,
    shard: int | None = None,
    lattice: tuple[int, int] | None = None,
) -> Planned:
    """Plan a job: on what its source finds, or on an uploaded product alone.

    `shard` and `lattice` are for the tests of "any tiling gives the same result".
    Raises NothingFound, TooLarge, InvalidInput, CorruptData, AccessDenied and SourceUnavailable.
    """
    stages = process.stages(inputs)
    wanted = sources_of(stages)
    traffic = Traffic()
    if product is not None:
        folder = product.store.temporary(f"scratch/{job}/files")
        with unpacked(
            product,
            inputs,
            bands=wanted.required,
            optional=wanted.context_optional,
            conditions=bool(wanted.context),
            folder=folder,
        ) as found:
            files = Files([found.here], "local", settings=settings, traffic=traffic)
            chosen = Chosen([found.there], found.uncovered, safe_zip.ADAPTER, files, found.notes)
            return _planned(process, inputs, chosen, job=job, settings=settings, shard=shard, lattice=lattice)
    if inputs.source == "cdse":
        cdse_keys(settings)  # before the catalogue is asked for what could not be read
    scenes, uncovered = find_scenes(inputs, wanted, settings=settings, now=now or dt.datetime.now(dt.UTC))
    told: tuple[str, ...] = ()
    if wanted.context:
        complete = granule.completed(
            scenes,
            inputs.source,
            masks=[band for band in wanted.context_optional if band in MASKS],
            folder=_folder(inputs),
            settings=settings,
            traffic=traffic,
        )
        scenes, told = complete.scenes, complete.notes
    files = Files(scenes, inputs.source, settings=settings, traffic=traffic)
    chosen = Chosen(scenes, uncovered, inputs.source, files, told)
    return _planned(process, inputs, chosen, job=job, settings=settings, shard=shard, lattice=lattice)


@dataclass(frozen=True)
class Chosen:
    """What a job is made from."""

    scenes: list[Scene]
    """In the order in which they fill."""
    uncovered: float
    """Share of the bbox that none covers."""
    adapter: str
    """How fetch comes to their files."""
    files: Files
    notes: tuple[str, ...] = ()
    """What was wrong with what their granules tell."""


def _planned(
    process: Process,
    inputs: Any,  # noqa: ANN401
    chosen: Chosen,
    *,
    job: str,
    settings: Settings,
    shard: int | None,
    lattice: tuple[int, int] | None,
) -> Planned:
    scenes, uncovered, files = chosen.scenes, chosen.uncovered, chosen.files
    traffic = files.traffic
    stages = process.stages(inputs)
    wanted = sources_of(stages)
    grid, first = job_grid(scenes, files, inputs, wanted)
    anchor = lattice or grid_lattice(grid, first, files, wanted)
    sampled = process.sampled(inputs)
    memory = settings.worker_memory * 1_000_000
    sizes = process.bytes_per_point(inputs)
    edge = shard or budget.shard_edge(
        chunk=settings.chunk, bytes_per_pixel=sampled * min(sizes), memory=memory, stages=stages
    )
    square = square_of(wanted, grid.resolution)
    windows = shard_windows(grid, inputs.bbox, edge, anchor, square)
    images = fetched(
        scenes,
        files,
        adapter=chosen.adapter,
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
    names = scene_names(scenes)
    contexts: tuple[RasterGrid, ...] = ()
    if wanted.context:
        contexts = add_contexts(
            images, scenes, names, files, adapter=chosen.adapter, wanted=wanted, chunk=settings.chunk
        )
    lattices: Sequence[Lattice] = ()
    heights = Sheets()
    if wanted.elevation or wanted.context_elevation:
        below = contexts if wanted.context_elevation else ()
        lattices = elevation.describe(
            inputs.dem, path=inputs.dem_path, bbox=around(inputs.bbox, below), settings=settings, traffic=traffic
        )
        heights = sheets(
            lattices,
            grid=grid,
            shards=windows if wanted.elevation else [],
            centre_lon=inputs.bbox.centre_lon,
            contexts=below,
        )
    names = [names[index] for index in images.used]
    scenes = images.keep_used(scenes)
    radiometry = {
        band: common([scene.assets[band].radiometry or Radiometry(0) for scene in scenes]) for band in wanted.bands
    }
    makes = [made for stage in stages for made in stage.makes]
    arrays, targets = target_arrays(scenes, images, wanted, makes, grid=grid, anchor=anchor, chunk=settings.chunk)
    arrays += [*made_arrays(makes, names, contexts), *tile_arrays(makes, tiling_of(stages), grid)]
    by_kind = {
        "blocks": [*images.units, *heights.units],
        "shards": shard_units(windows, edge, anchor),
        "scenes": scene_units(names, contexts),
    }
    units = {stage.name: tile_units(windows, stage.tiling) if stage.tiling else by_kind[stage.over] for stage in stages}
    pixels = pixels_inside(grid, inputs.bbox, square)
    predicted = budget.predict(
        pixels=pixels,
        points=budget.most_points(math.ceil(pixels * (1 - uncovered)), sampled, grid.window),
        bytes_per_point=sizes,
        arrays=[*images.arrays, *heights.arrays, *arrays],
        units=units,
        stages=stages,
        shards=windows,
        requests=images.requests + heights.requests + traffic.requests,
        bytes_in=images.bytes_in + heights.bytes_in,
        block_memory=max(images.memory, heights.memory),
        variables=len(targets),
        memory_mb=settings.function_memory or settings.worker_memory,
    )
    budget.check(predicted, memory=memory, max_points=getattr(inputs, "max_points", None))
    plan = Plan(
        job=job,
        process=process.id,
        version=process.version,
        software=f"eo-shards {eo.__version__}",
        # An uploaded product has no catalogue, whatever source the inputs name by default.
        inputs=inputs.model_dump(mode="json") | {"source": chosen.adapter},
        bbox=inputs.bbox,
        grid=grid,
        chunk=settings.chunk,
        shard=edge,
        lattice=anchor,
        scenes=tuple(scenes),
        scene_names=tuple(names),
        contexts=contexts,
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
            *chosen.notes,
            *notes(inputs, scenes, images, uncovered=uncovered, grid=grid),
            *(f"{name} is withheld: no elevation there" for name in heights.withheld),
        ),
    )
    told = plan.model_copy(update={"notes": (*process.check(plan), *plan.notes)})
    return Planned(told, units, traffic)


def find_scenes(
    inputs: "CubeInputs", wanted: Sources, *, settings: Settings, now: dt.datetime
) -> tuple[list[Scene], float]:
    """(the scenes in the order in which they fill, share of the bbox that none covers)."""
    folder = _folder(inputs)
    # Squares reach beyond the bbox by their diagonal at most, and want the scenes there.
    area = inputs.bbox.around(1.5 * wanted.squares) if wanted.squares else inputs.bbox
    when = inputs.datetime or (None if inputs.source == "local" else shared_inputs.last_days(now))
    found = search.find(
        inputs.source,
        collection=inputs.collection,
        bbox=area,
        datetime=when,
        settings=settings,
        local_folder=folder,
    )
    if not found:
        dates, remedy = ("", "check") if when is None else (f" of {when}", "widen the dates, or check")
        raise NothingFound(
            f"{inputs.source} has no {inputs.collection} scene{dates} in bbox {inputs.bbox}: {remedy} the bbox and the collection"
        )
    choice = choose(found, area, max_cloud_cover=inputs.max_cloud_cover)
    uncovered = choice.uncovered
    if wanted.squares:
        uncovered = choose(choice.candidates, inputs.bbox, max_cloud_cover=inputs.max_cloud_cover).uncovered
    scenes = search.load(
        inputs.source,
        choice.candidates,
        bands=wanted.required,
        optional=wanted.context_optional,
        settings=settings,
        local_folder=folder,
    )
    return scenes, uncovered


def _folder(inputs: "CubeInputs") -> Path | None:
    """The folder of a local catalogue, None where the job has none."""
    return None if inputs.catalog is None else Path(inputs.catalog).absolute()
