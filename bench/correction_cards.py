"""The results of `bench.correction` in the cards of the models: `python -m bench.correction_cards`.

Errors over B02 to B04 by AOT, and each band's rms; of the further sets the rms alone. `bench/correction.json` has the rest.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from eo.card import Score
from eo.model import checked
from training.publish.package import amend

RESULTS = Path(__file__).with_name("correction.json")
MODELS = Path(__file__).parents[1] / "layers" / "models"
OF = {
    "field, visible only": "atmosphere-field-visible",
    "field": "atmosphere-field",
    "U-Net": "unet-efficientnet-b2",
    "physics": "physics",
}
"""Models by what their rows begin with."""
ALL = "B02 to B04"
NAME = re.compile(
    rf"(?P<set>[^:]+): (?P<row>.+), (?P<part>all|AOT [<>=]+ 0\.3)(, (?P<band>B\d[\dA]|{ALL}))?: (?P<metric>bias|std|rms|p95|within|SSIM)"
)
INSIDE = re.compile(r"(?P<set>[^:]+): (?P<row>.+): errors within one sigma")
SETS = "simulated scenes: "


def scores(results: Path) -> dict[str, list[Score]]:
    """By model: what its card says of a run."""
    made: dict[str, list[Score]] = {name: [] for name in OF.values()}
    for row in json.loads(results.read_bytes()):
        found = NAME.fullmatch(row["name"]) or INSIDE.fullmatch(row["name"])
        if found is None:
            continue
        said: dict[str, str] = {"part": "all", "band": ALL, "metric": "within one sigma", **found.groupdict()}
        model = next((name for begins, name in OF.items() if said["row"].startswith(begins)), None)
        if model is None or not _told(said):
            continue
        part = "" if said["part"] == "all" else f", {said['part']}"
        band = "" if said["band"] in {None, ALL} else said["band"]
        made[model].append(
            Score(set=SETS + said["set"], row=said["row"] + part, metric=said["metric"], band=band, value=row["value"])
        )
    return made


def _told(said: dict[str, str]) -> bool:
    whole = said["band"] in {None, ALL}
    if said["metric"] == "rms":
        return whole or said["part"] == "all"
    return whole and said["set"].startswith(("seen", "unseen"))


def tell() -> None:
    """Amend the cards."""
    for name, measured in scores(RESULTS).items():
        if measured:
            kept = tuple(score for score in checked(MODELS / name).card.results if not score.set.startswith(SETS))
            amend(MODELS / name, results=(*kept, *measured))


if __name__ == "__main__":
    tell()
