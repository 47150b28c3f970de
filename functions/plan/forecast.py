"""What the calls of a job will take, in the figures in which they will say what they took (`eo.usage`)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eo import estimate
from eo.estimate import MB_PER_VCPU
from eo.grid import Window
from eo.job import ArraySpec, Unit
from eo.stage import Stage, tiling_of
from eo.tiling import TILES, Tiling
from eo.usage import UsageTotal, gb_seconds

SECONDS_PER_MEGAPIXEL = {"blocks": 0.13, "shards": 0.07, "scenes": 2.0, "tiles": 0.8}
"""CPU seconds for a million pixels of one band (decode and write) or of one shard's stage (measured from
the records of jobs of 1 to 17 Mpx: 0.11 to 0.13, 0.03 to 0.07), of one scene's stage on its coarse grid, or of what a net
on pixels reads (measured: 0.75 to 0.85)."""
SECONDS_PER_CALL = 0.02
"""CPU seconds of a call before it holds a pixel: the cube's metadata, the records (measured from records)."""
SECONDS_OF_PLAN = 0.5
"""CPU seconds of planning, most of them imports that it is the first to need (measured from records)."""
SECONDS_OF_MERGE = 0.7
"""CPU seconds of the merge, most of them for the pictures (measured from records)."""
SECONDS_PER_REQUEST = 0.05
"""What a range request costs beside its bytes: one round trip and the server's time to its first byte."""
BYTES_PER_SECOND = 20e6
"""What one connection to the Copernicus Data Space carries (its published quota)."""


@dataclass(frozen=True)
class Work:
    """What there is to do."""

    units: Mapping[str, Sequence[Unit]]
    """By stage."""
    stages: Sequence[Stage]
    arrays: Sequence[ArraySpec]
    """All of the cube's."""
    shards: Sequence[Window]
    variables: int
    """On the target grid, in arrays of their own or of a scene."""
    source_requests: int
    source_bytes: int
    cube_bytes: int
    tile_bytes: int
    """Of them, what tiles contribute."""
    body_bytes: int
    unit_memory_bytes: int
    joined: int = 1
    """Files that the merge joins of the shards' bodies."""


def forecast(work: Work, *, memory_mb: int) -> UsageTotal:
    """Add up what all calls will take, where each of them succeeds at once; `memory_mb` is configured for each."""
    stages, units = work.stages, work.units
    unit_calls = sum(len(units[stage.name]) for stage in stages)
    calls = unit_calls + sum(stage.reduce is not None for stage in stages) + 2
    cpu = SECONDS_OF_PLAN + SECONDS_OF_MERGE + SECONDS_PER_CALL * unit_calls
    for stage in stages:
        each = 1 if stage.tiling is None else stage.tiling.edge**2
        pixels = each * sum(unit.window.pixels for unit in units[stage.name])
        cpu += pixels / 1e6 * (SECONDS_PER_MEGAPIXEL[stage.over] + stage.seconds_per_megapixel)
    waiting = work.source_requests * SECONDS_PER_REQUEST + work.source_bytes / BYTES_PER_SECOND
    seconds = cpu / cores(memory_mb) + waiting
    reads, writes = _requests(work, unit_calls, calls)
    return UsageTotal.estimated(
        stages=len(stages),
        calls=calls,
        seconds=round(seconds, 3),
        cpu_seconds=round(cpu, 3),
        gb_seconds=round(gb_seconds(seconds, memory_mb), 3),
        peak_rss_bytes=work.unit_memory_bytes,
        source_requests=work.source_requests,
        source_bytes=work.source_bytes,
        store_reads=reads,
        store_writes=writes,
        # Align reads what fetch wrote, and the last stage what align wrote.
        store_bytes_read=work.cube_bytes + _tile_rereads(work),
        store_bytes_written=work.cube_bytes + work.body_bytes,
    )


def cores(memory_mb: int) -> float:
    """The part of a core that a call has: of a Lambda function with its memory, of a worker of this machine a whole one."""
    return min(1.0, memory_mb / MB_PER_VCPU) if estimate.on_lambda() else 1.0


def _requests(work: Work, unit_calls: int, calls: int) -> tuple[int, int]:
    """(reads, writes) of the store."""
    chunks = {array.name: array.chunks for array in work.arrays}
    by_kind: dict[str, list[Unit]] = {"blocks": [], "shards": [], "scenes": [], "tiles": []}
    for stage in work.stages:
        by_kind[stage.over] += work.units[stage.name]
    blocks = [(unit.window, chunks[unit.array]) for unit in by_kind["blocks"]]
    fetched = {unit.array for unit in by_kind["blocks"]}
    of_scene: dict[str, list[ArraySpec]] = {unit.array: [] for unit in by_kind["scenes"]}
    own: list[ArraySpec] = []
    made: list[ArraySpec] = []
    for array in work.arrays:
        if _group(array.name) == TILES:
            continue
        group = of_scene.get(_group(array.name))
        if group is not None:
            group.append(array)
        if array.name not in fetched:
            (own if group is None else made).append(array)
    of_blocks = sum(_chunks(window, chunk) for window, chunk in blocks)
    edge = own[0].chunks if own else (1, 1)
    of_shards = sum(_chunks(shard, edge) for shard in work.shards)
    shard_stages = sum(stage.over == "shards" for stage in work.stages)
    # A unit leaves a part and its record, one of the last stage two objects more for each file that is joined: a body and
    # what the merge looks at. The plan leaves unit lists, metadata and itself; the merge copies bodies and writes its few
    # files.
    writes = of_blocks + of_shards * len(own) + 2 * unit_calls + 2 * len(work.shards) * work.joined
    writes += len(work.stages) + len(work.arrays) + 2 + len(work.shards) * work.joined + 10
    writes += sum(_chunks(Window(0, 0, *array.shape[::-1]), array.chunks) for array in made)
    # Align reads each chunk that was fetched, and at least one of each array for every shard; the stages after it read
    # every variable. A process opens the plan and each array once. The merge reads parts, thumbnails and records.
    per_shard = len([name for name in fetched if _group(name) not in of_scene]) * len(work.shards)
    reads = max(of_blocks, per_shard) + of_shards * work.variables * max(0, shard_stages - 1)
    reads += unit_calls + (shard_stages + work.joined) * len(work.shards) + calls
    # A unit over a scene reads all that is there of it.
    reads += sum(_chunks(unit.window, array.chunks) for unit in by_kind["scenes"] for array in of_scene[unit.array])
    # A unit over tiles reads the bands, of which it makes as many, and their validity.
    tiling = tiling_of(work.stages)
    if tiling is not None:
        bands = sum(_group(array.name) == TILES for array in work.arrays)
        reads += (bands + 1) * sum(_chunks(tiling.read(unit.window), edge) for unit in by_kind["tiles"])
        reads += bands * _tiles_read(work, tiling)
        writes += bands * _tiles_made(work)
    return reads, writes


def _tile_rereads(work: Work) -> int:
    """Bytes that shards read of tiles beyond what tiles there are."""
    tiling = tiling_of(work.stages)
    return 0 if tiling is None else int(work.tile_bytes * (_tiles_read(work, tiling) / _tiles_made(work) - 1))


def _tiles_made(work: Work) -> int:
    return sum(unit.window.pixels for stage in work.stages if stage.tiling for unit in work.units[stage.name])


def _tiles_read(work: Work, tiling: Tiling) -> int:
    """How often a shard reads a tile, as each does all that reach into it."""
    return sum(tiling.touching(shard).pixels for shard in work.shards)


def _group(array: str) -> str:
    """Group in which an array lies in the cube."""
    return array.rpartition("/")[0]


def _chunks(window: Window, chunk: tuple[int, int]) -> int:
    return math.ceil(window.height / chunk[0]) * math.ceil(window.width / chunk[1])
