"""Train a corrector, or fit its table, and publish it as a model folder.

    python -m training.atmospheric_correction --model atmosphere-field --out layers/models/atmosphere-field
    python -m training.atmospheric_correction --model unet-efficientnet-b2 --out layers/models/unet-efficientnet-b2
    python -m training.atmospheric_correction --model physics --out layers/models/physics
    python -m training.atmospheric_correction --model atmosphere-field --data both --pairs FOLDER --out ...

A training that was stopped goes on from its last checkpoint in --work. The exit code is that of `eo-shards` for the
same failure.
"""

import argparse
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from training.atmospheric_correction.config import TrainConfig
from training.atmospheric_correction.unet_config import UNetConfig
from training.command import command
from training.publish.energy import COUNTRY, COUNTRY_HELP, energy

FIELDS = {"atmosphere-field": "six-bands", "atmosphere-field-visible": "visible"}
"""Variant of the net, by model."""
UNET, PHYSICS = "unet-efficientnet-b2", "physics"
CONFIGS: dict[str, type[BaseModel]] = {**dict.fromkeys(FIELDS, TrainConfig), UNET: UNetConfig}
KNOWN = {name for config in (TrainConfig, UNetConfig) for name in config.model_fields}
"""Options of any model."""
REAL = {"pairs", "dem"}
"""Options of real pairs, which are no part of UNetConfig: that training gets the patches themselves."""
Config = TypeVar("Config", bound=BaseModel)


class PhysicsConfig(BaseModel):
    """What publishing `physics` can be told beside its folder: nothing, it is fitted already (data/emulator.pt)."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@command
def main(arguments: list[str] | None = None) -> int:
    """Run the command; gives its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.atmospheric_correction",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, choices=[PHYSICS, *CONFIGS])
    parser.add_argument("--out", type=Path, required=True, help="folder of the model, named as it is")
    parser.add_argument("--work", type=Path, help="checkpoints and logs; default build/training/<model>")
    parser.add_argument("--country", default=COUNTRY, help=COUNTRY_HELP)
    parser.add_argument("--threads", type=int, help="of PyTorch on a CPU")
    parser.add_argument("--pairs", help="folders of real L1C and L2A products, with commas between them")
    parser.add_argument("--dem", type=Path, help="elevation under the real pairs")
    for name in sorted(KNOWN - REAL - {"variant"}):
        parser.add_argument(f"--{name.replace('_', '-')}", help=_defaults(name))
    given = vars(parser.parse_args(arguments))
    # Else it would be found out when the training has ended.
    if given["out"].name != given["model"]:
        parser.error(f"--out: {given['out']} is not named {given['model']}, as the folder of that model must be")
    if given["threads"] is not None:
        if given["threads"] < 1:
            parser.error(f"--threads: {given['threads']} are too few, at least 1 is needed")
        torch.set_num_threads(given["threads"])
    given["command"] = "python -m training.atmospheric_correction " + shlex.join(arguments or sys.argv[1:])
    given["work"] = given["work"] or Path("build/training") / given["model"]
    if given["model"] == PHYSICS:
        _chosen(PhysicsConfig, given, parser.error)
        _physics(given)
    elif given["model"] == UNET:
        _unet(_chosen(UNetConfig, given, parser.error), given, parser.error)
    else:
        _field(_chosen(TrainConfig, given | {"variant": FIELDS[given["model"]]}, parser.error), given)
    return 0


def _defaults(name: str) -> str:
    """What an option is where it is not given, by model."""
    found = {
        model: config.model_fields[name].default for model, config in CONFIGS.items() if name in config.model_fields
    }
    if len(set(found.values())) == 1 and len(found) == len(CONFIGS):
        return f"default {next(iter(found.values()))}"
    return "default " + ", ".join(f"{value} ({model})" for model, value in found.items())


def _chosen(kind: type[Config], given: dict[str, Any], refuse: Callable[[str], Any]) -> Config:
    """The configuration of a model; options of other models are refused."""
    own = kind.model_fields.keys() | (REAL if kind is UNetConfig else set())
    foreign = [name for name in sorted(KNOWN - own) if given.get(name) is not None]
    if foreign:
        refuse(f"--{foreign[0].replace('_', '-')} is not for model {given['model']}: leave it out")
    said = {name: given[name] for name in kind.model_fields if given.get(name) is not None}
    try:
        return kind.model_validate(said)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = "-".join(map(str, fault["loc"])).replace("_", "-") or "data"
        value = f" {fault['input']}" if fault["loc"] else ""
        refuse(f"--{where}{value}: {fault['msg'].removeprefix('Value error, ')}")
        raise


def _physics(given: dict[str, Any]) -> None:
    from training.atmospheric_correction.release import publish_physics  # noqa: PLC0415
    from training.atmospheric_correction.testset import EMULATOR, load_emulator  # noqa: PLC0415

    errors = torch.load(EMULATOR, weights_only=True)["errors"]
    publish_physics(load_emulator(), errors, command=given["command"], seed=0, out=given["out"])


def _field(config: TrainConfig, given: dict[str, Any]) -> None:
    from training.atmospheric_correction.calibration import calibrated  # noqa: PLC0415
    from training.atmospheric_correction.release import publish_field  # noqa: PLC0415
    from training.atmospheric_correction.testset import load_emulator  # noqa: PLC0415
    from training.atmospheric_correction.train import train  # noqa: PLC0415

    emulator = load_emulator().float()
    given["work"].mkdir(parents=True, exist_ok=True)
    with energy(given["country"], given["work"]) as meter:
        net, how = train(config, emulator, given["work"])
        coverage = calibrated(net, config, emulator)
    publish_field(
        net, config=config, how=how, coverage=coverage, energy=meter.reading, command=given["command"], out=given["out"]
    )


def _unet(config: UNetConfig, given: dict[str, Any], refuse: Callable[[str], Any]) -> None:
    from training.atmospheric_correction.testset import load_emulator  # noqa: PLC0415
    from training.atmospheric_correction.unet_publish import release  # noqa: PLC0415

    if config.data == "simulated" and given["pairs"]:
        refuse(
            f"--data simulated takes no pairs, and --pairs is {given['pairs']}: leave it out, or give --data pairs or both"
        )
    if config.data != "simulated" and not given["pairs"]:
        refuse(
            f"--data {config.data} needs real pairs, and --pairs names no folder: give --pairs FOLDER, or --data simulated"
        )
    release(
        config,
        load_emulator().float(),
        work=given["work"],
        out=given["out"],
        command=given["command"],
        country=given["country"],
        pairs=_pairs(config, given) if given["pairs"] else None,
    )


def _pairs(config: UNetConfig, given: dict[str, Any]) -> Any:  # noqa: ANN401 - Pairs of unet_train, which is heavy
    from training.atmospheric_correction.pairs.config import PairConfig  # noqa: PLC0415
    from training.atmospheric_correction.pairs.patches import PairPatches  # noqa: PLC0415
    from training.atmospheric_correction.unet import BANDS  # noqa: PLC0415

    folders = tuple(Path(folder) for folder in given["pairs"].split(","))
    real = PairConfig(folders=folders, bands=BANDS, dem=given["dem"], seed=config.seed)
    return PairPatches(real), PairPatches(real.model_copy(update={"split": "validation"}))


if __name__ == "__main__":
    sys.exit(main())
