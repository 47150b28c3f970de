"""Train a list of configurations, one after the other, and compare them.

    python -m training.land_cover.sweep CONFIGS.json --data FOLDER --out FOLDER
    python -m training.land_cover.sweep training/land_cover/compared.json --data FOLDER --out FOLDER

CONFIGS.json is a list of objects with fields of `training.land_cover.config.TrainConfig`; what the command line says holds
for all. compared.json has three architectures, each with 7, 10 and 11 bands. The folder gets one folder of work for each,
and `results.jsonl`, a row for each run that has ended or failed. Run again, the command goes on with what has no row, or one
of a failure; nothing that failed is left out of the table.
"""

import argparse
import hashlib
import json
import math
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from eo.errors import EoShardsError, InvalidInput
from training.command import command
from training.land_cover.config import FREE, TrainConfig
from training.publish.energy import COUNTRY, COUNTRY_HELP

RESULTS = "results.jsonl"
COLUMNS = {
    "model": "model", "bands": "bands", "f1_macro": "F1", "accuracy": "accu-\nracy", "recall_macro": "re-\ncall",
    "precision_macro": "preci\nsion", "kwh": "kWh", "co2e_kg": "kg\nCO2e", "parameters": "M par-\nams",
    "train_per_second": "train\n/s",
}  # fmt: skip
"""Of the table, by field of a row: what is compared of such models, on 80 columns. All fields are in results.jsonl."""


@command
def main(arguments: list[str] | None = None) -> int:
    """Run the command: 0 where every run has ended, else 1, or the exit code of `eo-shards` where none could begin."""
    parser = argparse.ArgumentParser(
        prog="python -m training.land_cover.sweep",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("configs", type=Path, help="list of configurations, JSON")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and of results.jsonl")
    parser.add_argument("--data", type=Path, help="folder of the patches, for configurations that name none")
    parser.add_argument("--country", default=COUNTRY, help=COUNTRY_HELP)
    parser.add_argument("--progress", default="true", choices=["true", "false"])
    given = parser.parse_args(arguments)
    configs = read(given.configs, {"folder": given.data, "progress": given.progress == "true"})
    rows = swept(configs, given.out, country=given.country)
    Console().print(table(rows))
    for row in rows:
        if row["status"] == "failed":
            print(f"{row['run']}: {row['error']}")
    print(f"all scores and costs: {given.out / RESULTS}")
    return int(any(row["status"] != "ended" for row in rows))


def read(path: Path, common: dict[str, Any]) -> list[TrainConfig]:
    """The configurations of a file, with what is common to all where they do not say it.

    Raises InvalidInput, naming the entry and its field, where one is none or two are equal.
    """
    try:
        entries = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} is no list of configurations ({error}): write JSON, [{{...}}, ...]") from None
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidInput(f"{path} is no list of configurations: write JSON, [{{...}}, ...]")
    common = {name: value for name, value in common.items() if value is not None}
    configs: list[TrainConfig] = []
    for place, entry in enumerate(entries):
        try:
            configs.append(TrainConfig.model_validate(common | entry))
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            where = ".".join(map(str, fault["loc"]))
            raise InvalidInput(f"{path}, entry {place}, {where}: {fault['msg']}") from None
    known = [key(config) for config in configs]
    if twice := [place for place, each in enumerate(known) if each in known[:place]]:
        raise InvalidInput(f"{path}, entry {twice[0]} is the same as an earlier one: leave it out")
    return configs


def key(config: TrainConfig) -> str:
    """Name of a run: its architecture and number of bands, and 8 digits of all that it was told."""
    told = config.model_dump_json(exclude=FREE)
    return f"{config.architecture}-{len(config.bands)}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def swept(configs: Sequence[TrainConfig], out: Path, *, country: str) -> list[dict[str, Any]]:
    """A row for each configuration, in their order. What has ended before is not trained again."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / RESULTS
    rows = _rows(path)
    for config in configs:
        name = key(config)
        if rows.get(name, {}).get("status") == "ended":
            continue
        rows[name] = _run(config, out / name, country=country)
        _append(path, json.dumps(rows[name]))
    return [rows[key(config)] for config in configs]


def _append(path: Path, line: str) -> None:
    """Add a line; one that was cut off before it ends there."""
    whole = not path.exists() or path.read_bytes()[-1:] in (b"", b"\n")
    with path.open("a") as file:
        file.write(f"{'' if whole else chr(10)}{line}\n")


def _rows(path: Path) -> dict[str, dict[str, Any]]:
    """The last row of each run. A line that was cut off when the machine went away is none."""
    rows = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        rows[row["run"]] = row
    return rows


def _run(config: TrainConfig, work: Path, *, country: str) -> dict[str, Any]:
    """Train one; the row of its scores on the test split, or of its failure."""
    from training.land_cover.train import train  # noqa: PLC0415 - a wrong list is refused without it

    started = time.monotonic()
    row: dict[str, Any] = {
        "run": work.name,
        "model": config.architecture,
        "bands": len(config.bands),
        "indices": list(config.indices),
        "config": config.model_dump(mode="json"),
    }
    try:
        trained = train(config, work, country=country)
    except Exception as error:  # noqa: BLE001 - one that fails is a row like any other, and the next is tried
        if not isinstance(error, EoShardsError):
            traceback.print_exc()
        return row | {"status": "failed", "error": f"{type(error).__name__}: {error}"}
    scores = trained.judged.scores["test"]
    found = scores["chosen"]
    return row | {
        "status": "ended",
        **{
            f"{short}_{average}": found[average][name]
            for average in ("macro", "micro")
            for short, name in (
                ("f1", "f1"),
                ("recall", "recall"),
                ("precision", "precision"),
                ("ap", "average_precision"),
            )
        },
        "f1_macro_at_half": scores["usual"]["macro"]["f1"],
        "accuracy": found["macro"]["label_accuracy"],
        "subset_accuracy": found["subset_accuracy"],
        "ece": found["ece"],
        "kwh": trained.energy.kwh,
        "co2e_kg": trained.energy.co2e_kg,
        "energy": trained.energy.how,
        "parameters": sum(weight.numel() for weight in trained.net.parameters()),
        "train_per_second": trained.how["train_per_second"],
        "test_per_second": scores["patches_per_second"],
        "epochs": trained.how["epochs"],
        "stopped": trained.how["stopped"],
        "synthetic": trained.how["synthetic"],
        "seconds": time.monotonic() - started,
    }


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """All rows side by side; one that failed has no scores."""
    title = "test split, macro averages, thresholds chosen on validation, accuracy label-wise"
    made = Table(title=title, box=SIMPLE, show_edge=False, padding=0)
    for name, words in COLUMNS.items():
        made.add_column(words, overflow="fold", no_wrap=name != "model", justify="left" if name == "model" else "right")
    for row in rows:
        millions = {"parameters": row["parameters"] / 1e6} if "parameters" in row else {}
        made.add_row(*(_written((row | millions).get(name)) for name in COLUMNS))
    return made


def _written(value: Any) -> str:  # noqa: ANN401 - a number, a word or nothing
    if value is None:
        return "-"
    if isinstance(value, float):
        if abs(value) >= 10:
            return f"{value:,.0f}"
        if abs(value) >= 0.01 or value == 0:
            return f"{value:.3f}"
        # Two digits that count, never as 4.9e-05: a column has 0.00010 too, and they are compared.
        return f"{value:.{1 - math.floor(math.log10(abs(value)))}f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    sys.exit(main())
