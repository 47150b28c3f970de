"""What README says of land cover is so."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

from land_cover.patches import STATUSES
from land_cover.rasters import NAMES

ROOT = Path(__file__).parents[2]
OWN = (ROOT / "README.md").read_text().partition("\n## Land cover\n")[2].partition("\n### Train it\n")[0]


def test_the_recipe_without_a_network_works_as_it_stands(tmp_path: Path) -> None:
    """A scene with all bands, and a job on it, by the model of this repository; then the columns that are listed."""
    made, ordered = re.findall(r"^```\n(PYTHONPATH=tests .*)\n(eo-shards run .*)\n```$", OWN, re.MULTILINE)[0]
    _, _, *words = shlex.split(made)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    subprocess.run([sys.executable, *words], cwd=tmp_path, env=environment, check=True, timeout=120)
    program = Path(sys.executable).with_name("eo-shards")
    environment = {"PATH": os.environ["PATH"], "EO_SHARDS_HOME": str(tmp_path / "home"), "EO_SHARDS_WORKERS": "1"}
    subprocess.run([program, *shlex.split(ordered)[1:]], cwd=tmp_path, env=environment, check=True, timeout=300)
    out = tmp_path / "out" / "land-cover"
    rows = pq.read_table(out / "land_cover.parquet").to_pylist()
    assert {row["status"] for row in rows} == {"ok"}
    listed = set(re.findall(r"`([a-z_]+)`", " ".join(re.findall(r"^\| (`[^|]+) \| ", OWN, re.MULTILINE))))
    columns = {name for name in rows[0] if not name.startswith("p_")} - {"bbox", "geometry"}
    assert columns <= listed
    assert "demonstration only" in rows[0]["model"]
    assert json.loads((out / "land_cover.json").read_text())["properties"]["eo_shards:demonstration"]


def test_the_codes_are_those_that_are_listed() -> None:
    assert all(f"{NAMES.index(name)} {name.partition(':')[0]}" in OWN for name in (NAMES[0], *NAMES[-3:]))
    assert all(f"`{status}`" in OWN for status in STATUSES)
