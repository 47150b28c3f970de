"""Train a corrector, or fit its table, and publish it as a model folder.

    python -m training.atmospheric_correction --model atmosphere-field --out layers/models/atmosphere-field
    python -m training.atmospheric_correction --model physics --out layers/models/physics

A training that was stopped goes on from its last checkpoint in --work.
"""

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from training.atmospheric_correction.config import TrainConfig
from training.publish.energy import energy

VARIANTS = {"atmosphere-field": "six-bands", "atmosphere-field-visible": "visible"}


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m training.atmospheric_correction",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, choices=["physics", *VARIANTS])
    parser.add_argument("--out", type=Path, required=True, help="folder of the model, named as it is")
    parser.add_argument("--work", type=Path, help="checkpoints and logs; default build/training/<model>")
    parser.add_argument("--country", default="NOR", help="where the electricity is made, ISO 3166-1 alpha-3")
    parser.add_argument("--threads", type=int, help="of PyTorch on a CPU")
    for name, field in TrainConfig.model_fields.items():
        if name != "variant":
            parser.add_argument(f"--{name.replace('_', '-')}", default=None, help=f"default {field.default}")
    given = vars(parser.parse_args(arguments))
    if given["threads"]:
        torch.set_num_threads(given["threads"])
    shown = "python -m training.atmospheric_correction " + shlex.join(arguments or sys.argv[1:])
    if given["model"] == "physics":
        _physics(given["out"], shown)
        return
    chosen = {name: given[name] for name in TrainConfig.model_fields if given.get(name) is not None}
    try:
        config = TrainConfig.model_validate({**chosen, "variant": VARIANTS[given["model"]]})
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        parser.error(f"--{'-'.join(map(str, fault['loc'])).replace('_', '-')}: {fault['msg']}")
    _field(config, given, shown)


def _physics(out: Path, command: str) -> None:
    from training.atmospheric_correction.release import publish_physics  # noqa: PLC0415
    from training.atmospheric_correction.testset import EMULATOR, load_emulator  # noqa: PLC0415

    errors = torch.load(EMULATOR, weights_only=True)["errors"]
    publish_physics(load_emulator(), errors, command=command, seed=0, out=out)


def _field(config: TrainConfig, given: dict[str, Any], command: str) -> None:
    from training.atmospheric_correction.release import publish_field  # noqa: PLC0415
    from training.atmospheric_correction.testset import load_emulator  # noqa: PLC0415
    from training.atmospheric_correction.train import calibrated, train  # noqa: PLC0415

    emulator = load_emulator().float()
    work: Path = given["work"] or Path("build/training") / given["model"]
    work.mkdir(parents=True, exist_ok=True)
    with energy(given["country"]) as meter:
        net, how = train(config, emulator, work)
        coverage = calibrated(net, config, emulator)
    publish_field(
        net, config=config, how=how, coverage=coverage, energy=meter.reading, command=command, out=given["out"]
    )


if __name__ == "__main__":
    main()
