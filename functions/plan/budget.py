"""What a job will take, and whether that is too much. Refuses before anything runs, with value, limit and remedy."""

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from eo.errors import TooLarge
from eo.grid import Window
from eo.job import ArraySpec, Prediction, Unit
from eo.stage import Stage
from eo.tiling import TILES
from plan.forecast import Work, forecast

MAX_PARTS = 20_000
"""Parts that the merge joins: by one S3 multipart upload up to 10,000, by two levels of them beyond. One call reads, looks
at and copies each, with 16 requests at a time, and has 15 minutes for it (20,000 x 3 requests of 0.1 s: 6 minutes)."""
MAX_UNITS = 80_000
"""Units of one map: the answers of all its children, 3 bytes each, have to fit into 256 KiB
(https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html)."""
MIN_BODY = 8 << 20
"""Bytes a body should reach: S3 copies parts of 5 MiB or more server-side, and expects that of all but the last."""
WORKER_BASE = 230_000_000
"""Resident bytes of a worker with GDAL, PROJ, Zarr and its caches, before it holds a unit (measured: bench)."""
BYTES_PER_TILE_PIXEL = 4
"""A file's tile as GDAL decodes it, always whole: its pixels, and the bytes they come from (as many, at worst)."""
BYTES_PER_READ_PIXEL = 8
"""Copies of the pixels that are read together: read, converted, averaged, written (measured: 6)."""
READ_AT_ONCE = 2048 * 2048
"""Pixels that fetch reads together, at most, where it makes coarser ones of them (fetch.blocks.READ_AT_ONCE)."""
STORED_BYTES = {"uint8": 0.05, "uint16": 1.2, "float32": 4.0}
"""Bytes of a pixel in the cube's chunks, by dtype (measured, lz4 after bitshuffle).

uint8 are masks, classes and numbers of scenes: long runs, 0.05 of them are left. uint16 are digital numbers: 0.60 of
their 2 bytes. float32 are elevations: the noise in their mantissas does not shrink.
"""
UNIT_BYTES, ARRAY_BYTES = 2_000, 1_000
"""What a unit leaves beside its pixels (part, usage), and the metadata of an array."""


def shard_edge(*, chunk: int, bytes_per_pixel: float, memory: int, stages: Sequence[Stage]) -> int:
    """Choose the shard edge in pixels: chunk times a power of two, so that bodies reach MIN_BODY, within memory.

    Raises TooLarge where even one chunk does not fit.
    """
    edge = chunk
    if shard_memory(edge, stages) > memory:
        raise TooLarge(
            f"a shard of {edge} x {edge} pixels takes {shard_memory(edge, stages) / 1e6:.0f} MB, a worker may use "
            f"{memory / 1e6:.0f} MB: raise EO_SHARDS_WORKER_MEMORY or lower EO_SHARDS_CHUNK"
        )
    while edge * edge * bytes_per_pixel < MIN_BODY and shard_memory(2 * edge, stages) <= memory:
        edge *= 2
    return edge


def shard_memory(edge: int, stages: Sequence[Stage]) -> int:
    """Peak resident bytes of the hungriest stage over shards of this edge."""
    return WORKER_BASE + max(
        ((edge + 2 * stage.halo) ** 2 * stage.bytes_per_pixel for stage in stages if stage.over == "shards"), default=0
    )


def scene_memory(units: Mapping[str, Sequence[Unit]], stages: Sequence[Stage]) -> int:
    """Peak resident bytes of the hungriest stage over scenes."""
    return WORKER_BASE + max(
        (
            unit.window.pixels * stage.bytes_per_pixel
            for stage in stages
            if stage.over == "scenes"
            for unit in units[stage.name]
        ),
        default=0,
    )


def tile_memory(stages: Sequence[Stage]) -> int:
    """Peak resident bytes of the hungriest stage over tiles, which it computes one after the other."""
    return WORKER_BASE + max(
        (stage.tiling.edge**2 * stage.bytes_per_pixel for stage in stages if stage.tiling is not None), default=0
    )


def image_memory(*, tile: tuple[int, int], cell: tuple[int, int], factor: int) -> int:
    """Bytes that a block of an image holds: it is read cell by cell, so the block's own size does not matter.

    `tile` is that of the file, `cell` the pixels that are written together, each of them `factor` x `factor` of the
    file's; (rows, columns).
    """
    written = cell[0] * cell[1]
    read = 0 if factor == 1 else min(written * factor**2, READ_AT_ONCE)
    return tile[0] * tile[1] * BYTES_PER_TILE_PIXEL + (written + read) * BYTES_PER_READ_PIXEL


def most_points(pixels: int, fraction: float, window: Window) -> int:
    """Points that a job can make at most: pixels by area, right to a row and a column, and what sampling may keep.

    Sampling keeps the fraction to within the larger of 0.1 % and half the perimeter in pixels, on any window.
    """
    half_perimeter = window.width + window.height
    pixels = min(pixels + half_perimeter, window.pixels)
    return math.ceil(min(pixels, pixels * fraction + max(0.001 * pixels * fraction, half_perimeter)))


def predict(
    *,
    pixels: int,
    points: int,
    bytes_per_point: Sequence[int],
    arrays: Sequence[ArraySpec],
    units: dict[str, list[Unit]],
    stages: Sequence[Stage],
    shards: Sequence[Window],
    requests: int,
    bytes_in: int,
    block_memory: int,
    variables: int,
    memory_mb: int,
) -> Prediction:
    """Add up what the units will take. `bytes_per_point` are those of each file that is joined of bodies. `block_memory` is the most bytes that a block holds, of images or elevation.

    `variables` are those on the target grid; `memory_mb` is what a call may use.
    """
    memory = max(
        WORKER_BASE + block_memory,
        max((shard_memory(max(s.width, s.height), stages) for s in shards), default=0),
        scene_memory(units, stages),
        tile_memory(stages),
    )
    written = written_pixels(arrays, units, stages, shards)
    stored = {array.name: STORED_BYTES[array.dtype] * written[array.name] for array in arrays}
    scratch = sum(stored.values())
    size = points * sum(bytes_per_point)
    records = UNIT_BYTES * sum(len(units[stage.name]) for stage in stages) + ARRAY_BYTES * len(arrays)
    work = Work(
        units=units,
        stages=stages,
        arrays=arrays,
        shards=shards,
        variables=variables,
        source_requests=requests,
        source_bytes=bytes_in,
        cube_bytes=int(scratch),
        tile_bytes=int(sum(size for name, size in stored.items() if name.startswith(f"{TILES}/"))),
        body_bytes=size,
        joined=len(bytes_per_point),
        unit_memory_bytes=memory,
    )
    return Prediction(
        pixels=pixels,
        points=points,
        result_bytes=size,
        scratch_bytes=int(scratch) + size + records,
        unit_memory_bytes=memory,
        units={stage.name: len(units[stage.name]) for stage in stages},
        parts=len(shards),
        usage=forecast(work, memory_mb=memory_mb),
    )


def written_pixels(
    arrays: Sequence[ArraySpec], units: Mapping[str, Sequence[Unit]], stages: Sequence[Stage], shards: Sequence[Window]
) -> dict[str, int]:
    """How many pixels of each array are written: by blocks, by scenes all of them, by tiles or by shards."""
    fetched: dict[str, int] = {}
    groups: dict[str, int] = {}
    """By the group in which arrays lie."""
    for stage in stages:
        for unit in units[stage.name]:
            if stage.over == "blocks":
                fetched[unit.array] = fetched.get(unit.array, 0) + unit.window.pixels
            elif stage.over == "scenes":
                groups[unit.array] = unit.window.pixels
            elif stage.tiling is not None:
                groups[TILES] = groups.get(TILES, 0) + unit.window.pixels * stage.tiling.used**2
    shard_pixels = sum(shard.pixels for shard in shards)
    return {
        array.name: fetched.get(array.name, groups.get(array.name.rpartition("/")[0], shard_pixels)) for array in arrays
    }


def check(predicted: Prediction, *, memory: int, max_points: int | None) -> None:
    """Refuse what cannot work. Raises TooLarge."""
    if max_points is not None and predicted.points > max_points:
        raise TooLarge(
            f"the job makes up to {predicted.points:,} points, max_points is {max_points:,}: "
            "lower sampled_fraction, choose a coarser resolution or a smaller bbox, or raise max_points"
        )
    for stage, units in predicted.units.items():
        if units > MAX_UNITS:
            raise TooLarge(
                f"stage {stage} of the job has {units:,} units, a map does at most {MAX_UNITS:,}: order a smaller bbox, or "
                "allow larger chunks with EO_SHARDS_CHUNK"
            )
    if predicted.parts > MAX_PARTS:
        raise TooLarge(
            f"the job has {predicted.parts:,} shards, the fan-in joins at most {MAX_PARTS:,}: choose a coarser resolution, "
            "a smaller bbox, or allow larger shards with EO_SHARDS_WORKER_MEMORY"
        )
    if predicted.unit_memory_bytes > memory:
        raise TooLarge(
            f"a unit takes {predicted.unit_memory_bytes / 1e6:.0f} MB, a worker may use {memory / 1e6:.0f} MB: "
            "raise EO_SHARDS_WORKER_MEMORY, lower EO_SHARDS_CHUNK, or give files that have no tiles some "
            "(gdal_translate -of COG)"
        )


def check_disk(predicted: Prediction, *, scratch: Path, out: Path) -> None:
    """Refuse a job that the disks have no room for. Raises TooLarge."""
    needs: dict[int, tuple[int, Path]] = {}
    for path, size in ((scratch, predicted.scratch_bytes), (out, predicted.result_bytes)):
        folder = path
        while not folder.exists():
            folder = folder.parent
        device = folder.stat().st_dev
        needs[device] = (needs.get(device, (0, folder))[0] + size, folder)
    for size, folder in needs.values():
        free = shutil.disk_usage(folder).free
        if size > free:
            raise TooLarge(
                f"the job needs about {size / 1e6:,.0f} MB of disk, {folder} has {free / 1e6:,.0f} MB free: choose "
                "a smaller bbox or a coarser resolution, or set EO_SHARDS_HOME and --out to larger disks"
            )
