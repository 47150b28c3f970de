"""What tables say of patches: the same columns in GeoParquet and in GeoJSON."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from eo.cog_layout import epsg
from eo.job import Plan
from land_cover.labels import CLASSES
from land_cover.patches import OK, PATCH, STATUSES, Records, corner, most_probable, slug

PROBABILITY_COLUMNS = tuple(f"p_{slug(name)}" for name in CLASSES)
SHARES = ("masked", "missing", "saturated")
"""Of a patch's pixels."""


@dataclass(frozen=True)
class Table:
    """Where a patch's words come from."""

    plan: Plan
    thresholds: tuple[float, ...]
    """Probability from which a patch has a label, by class."""
    model: str
    """What judged the patches."""

    def columns(self, records: Records) -> dict[str, list[Any]]:
        """Values by column, in the order of the columns. None: it was not judged, or nothing of a scene was used."""
        judged = records["status"] == OK
        probabilities = records["probabilities"]
        best = most_probable(records)
        labelled = probabilities >= np.asarray(self.thresholds, np.float32)
        scenes = [None, *self.plan.scenes]
        of_scene = [scenes[number] for number in records["scene"]]
        x, y = corner(records)
        code = epsg(self.plan.grid.crs)
        return {
            "id": [f"{code}_{left:.0f}_{top:.0f}" for left, top in zip(x, y, strict=True)],
            "status": [STATUSES[status] for status in records["status"]],
            "labels": [
                [CLASSES[index] for index in np.flatnonzero(row)] if known else None
                for row, known in zip(labelled, judged, strict=True)
            ],
            "most_probable": [CLASSES[index] if index >= 0 else None for index in best],
            "probability": _known(probabilities[np.arange(len(best)), best], judged),
            **{name: _known(probabilities[:, index], judged) for index, name in enumerate(PROBABILITY_COLUMNS)},
            **{name: (records[name] / PATCH**2).tolist() for name in SHARES},
            "scene": [scene and scene.id for scene in of_scene],
            "datetime": [scene and scene.datetime for scene in of_scene],
            "scenes": records["scenes"].tolist(),
            "model": [self.model] * len(records),
        }


def _known(values: np.ndarray[Any, Any], judged: np.ndarray[Any, Any]) -> list[float | None]:
    return [value if known else None for value, known in zip(values.tolist(), judged.tolist(), strict=True)]
