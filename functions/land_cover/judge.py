"""The judge stage: patches of the cube through the network."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eo.errors import CorruptData
from eo.geolocate import squares_inside
from eo.grid import Window
from eo.job import Part, Plan, Unit
from eo.model import REMEDY, Model, load
from eo.radiometry import SATURATION, reflectance
from eo.unit_io import UnitIO
from land_cover import cards
from land_cover.cards import INPUT, OUTPUT
from land_cover.patches import INCOMPLETE, MASKED, OK, PATCH, RECORD, SATURATED, STATUSES, Records, lies_on

BATCH = 4
"""Patches that the network gets at a time, always so many: other numbers could take other kernels, and other bits. Measured with
ResNet-26 in 8 bits, patches per CPU second: 148 one by one, 183 by four, 185 by eight; up to BATCH - 1 of a unit are in vain."""

DNs = NDArray[np.uint16]
Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]


def judge(unit: Unit, _state: Any, io: UnitIO) -> Part:  # noqa: ANN401 - the stage before has no reduce
    """Leave the records of a unit's patches, those that the job takes, by rows."""
    plan = io.plan
    bands = _bands(plan)
    model = load(plan.inputs["model"], bands=bands, inputs=[INPUT])
    pixels = _pixels(plan, unit)
    asked = squares_inside(plan.grid, plan.bbox, pixels, PATCH)
    ground = Ground(io, pixels, asked, bands)
    records = ground.records(unit.window, asked, limit=plan.inputs["max_unusable"])
    judged = np.flatnonzero(records["status"] == OK)
    radiometry = [plan.radiometry[band] for band in bands]
    batch = np.zeros((BATCH, len(bands), PATCH, PATCH), np.float32)
    for start in range(0, judged.size, BATCH):
        some = judged[start : start + BATCH]
        for place, number in enumerate(some):
            col, row = (int(records[number][name]) for name in ("col", "row"))
            patch = Window(col * PATCH, row * PATCH, PATCH, PATCH).slices(pixels)
            reflectance(ground.filled(patch), radiometry, out=batch[place])
        records["probabilities"][some] = _probabilities(model, batch)[: some.size]
    io.put("patches", [records.tobytes()])
    counts = np.bincount(records["status"], minlength=len(STATUSES))
    return Part(
        unit=unit.id,
        keys=io.left.keys,
        sizes=io.left.sizes,
        digests=io.left.digests,
        counts={name: int(count) for name, count in zip(STATUSES, counts, strict=True)},
    )


def _bands(plan: Plan) -> tuple[str, ...]:
    """The bands that the model reads, in its order. Raises CorruptData where others were fetched."""
    name = plan.inputs["model"]
    bands = cards.card(name).bands
    if set(bands) != set(plan.sources_wanted.bands):
        raise CorruptData(
            f"model {name} reads the bands {', '.join(bands)}, the plan has {', '.join(plan.sources_wanted.bands)}: it was "
            "published anew since; drop the plan with --new"
        )
    return bands


def _pixels(plan: Plan, unit: Unit) -> Window:
    """The pixels of a unit's patches. Raises CorruptData where the plan is not one of patches."""
    if plan.tiling is None or plan.tiling.stride != PATCH or not lies_on(plan.grid):
        raise CorruptData(
            f"the plan has pixels of {plan.grid.resolution} m and tiles {plan.tiling}, which are no patches: drop a plan of "
            "other software with --new"
        )
    return plan.tiling.pixels(unit.window)


def _probabilities(model: Model, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """(patches, classes). Raises CorruptData where the network gives something else than probabilities."""
    found = model.run(**{INPUT: batch})[OUTPUT]
    if not (np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1):
        raise CorruptData(
            f"model {model.card.name} gives values from {found.min()} to {found.max()} for probabilities: {REMEDY}"
        )
    return found


class Ground:
    """What the cube holds of a unit's patches."""

    def __init__(self, io: UnitIO, pixels: Window, asked: Flags, bands: Sequence[str]) -> None:
        """`asked`: which patches, (rows, columns). What no patch needs is not read, and need not be there."""
        edge, (col, row) = io.plan.chunk, io.plan.lattice
        self._cells = [c for c in pixels.cells(edge, edge, col=col, row=row) if asked[_patches(c, pixels)].any()]
        self._io, self._pixels = io, pixels
        self.dn: DNs = np.zeros((len(bands), *pixels.shape), np.uint16)
        for index, band in enumerate(bands):
            self._read(band, self.dn[index])
        valid, self.masked = self._flags("valid"), self._flags("masked")
        self.saturated = valid & (self.dn.max(axis=0) == SATURATION)
        self.usable = valid & ~self.saturated
        self.missing = ~valid & ~self.masked
        self.scene: DNs = valid.astype(np.uint16)
        """Index of the scene plus one, 0 for none."""
        if io.cube.has("scene"):
            self._read("scene", self.scene)

    def _read(self, variable: str, into: NDArray[Any]) -> None:
        for cell in self._cells:
            into[cell.slices(self._pixels)] = self._io.cube.read_target(variable, cell)

    def _flags(self, variable: str) -> Flags:
        made = np.zeros(self._pixels.shape, np.uint8)
        self._read(variable, made)
        return made > 0

    def records(self, patches: Window, asked: Flags, *, limit: float) -> Records:
        """What became of the patches that are asked for, without probabilities. `limit`: share of pixels that may lack."""
        rows, cols = np.nonzero(asked)
        made = np.zeros(rows.size, RECORD)
        made["col"], made["row"] = patches.col + cols, patches.row + rows
        made["probabilities"] = np.nan
        lacking = np.stack([_counted(flags)[asked] for flags in (self.masked, self.missing, self.saturated)])
        for name, counts in zip(("masked", "missing", "saturated"), lacking, strict=True):
            made[name] = counts
        reason = np.array([MASKED, INCOMPLETE, SATURATED], np.uint8)[lacking.argmax(axis=0)]
        made["status"] = np.where(lacking.sum(axis=0) <= limit * PATCH * PATCH, OK, reason)
        for record, row, col in zip(made, rows, cols, strict=True):
            if record["status"] == OK:
                place = (slice(row * PATCH, (row + 1) * PATCH), slice(col * PATCH, (col + 1) * PATCH))
                votes = np.bincount(self.scene[place][self.usable[place]])
                record["scene"], record["scenes"] = votes.argmax(), np.count_nonzero(votes)
        return made

    def filled(self, place: tuple[slice, slice]) -> DNs:
        """DNs of a patch, (bands, rows, columns), where each pixel that is not usable has the mean of those that are.

        What the network sees of a patch as a whole (means, most of all) is then what is known of it; nothing is made up
        that looks like an edge of fields, as the neighbours' pixels would be if they were repeated.
        """
        usable, dn = self.usable[place], self.dn[(slice(None), *place)]
        if usable.all():
            return dn
        known = dn[:, usable].astype(np.int64)
        count = known.shape[1]
        mean = (2 * known.sum(axis=1) + count) // (2 * count)
        return np.where(usable, dn, mean[:, None, None]).astype(np.uint16)


def _patches(cell: Window, pixels: Window) -> tuple[slice, slice]:
    """(rows, columns), among the patches of a window, of those that a cell of it meets."""
    met = cell.snapped(PATCH, PATCH)
    rows, cols = met.slices(pixels)
    return slice(rows.start // PATCH, rows.stop // PATCH), slice(cols.start // PATCH, cols.stop // PATCH)


def _counted(flags: Flags) -> Counts:
    """How many pixels of each patch have a flag, (rows, columns) of patches."""
    rows, cols = flags.shape[0] // PATCH, flags.shape[1] // PATCH
    counts: Counts = flags.reshape(rows, PATCH, cols, PATCH).sum(axis=(1, 3), dtype=np.int64)
    return counts
