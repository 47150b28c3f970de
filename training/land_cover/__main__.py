"""Train a land-cover net, judge it on patches that it never saw, and publish it as a model folder.

    python -m training.land_cover --architecture resnet26 --data FOLDER --out layers/models/land-cover-resnet26
    python -m training.land_cover --architecture vit_small_patch16 --bands 11 --indices NDVI,NDWI --data FOLDER --out ...
    python -m training.land_cover --from-checkpoint model.safetensors --release 0.2.0 --architecture resnet50 --out ...

FOLDER is BigEarthNet v2 (reBEN) or v1 as distributed, or converted to Zarr. A training that was stopped goes on from its
last checkpoint in --work; one that has ended is published again. The exit code is that of `eo-shards` for the same failure.
"""

import argparse
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import torch
from pydantic import ValidationError

from eo.card import NAME
from eo.errors import InvalidInput
from training.command import command
from training.land_cover.bands import BANDS
from training.land_cover.config import TrainConfig
from training.land_cover.published import Release, converted
from training.publish.energy import COUNTRY, COUNTRY_HELP

OPTIONS = {"folder": "data"}
"""What an option is called where that is not its field's name."""
CONVERTING = {"architecture", "folder", "batch", "workers", "calibration", "weights"}
"""Options that --from-checkpoint leaves to choose: the weights decide on all others."""


@command
def main(arguments: list[str] | None = None) -> int:
    """Run the command; gives its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.land_cover", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the model, named land-cover-...")
    parser.add_argument(
        "--work", type=Path, help="checkpoints, logs and scores; default build/training/<name of --out>"
    )
    parser.add_argument("--country", default=COUNTRY, help=COUNTRY_HELP)
    parser.add_argument("--threads", type=int, help="of PyTorch on a CPU")
    parser.add_argument("--from-checkpoint", type=Path, help="published reBEN weights, instead of a training")
    parser.add_argument(
        "--release", choices=get_args(Release), help="of these weights: it decides on the order of bands"
    )
    for name, field in TrainConfig.model_fields.items():
        words = (field.description or "").replace("%", "%%").replace("\n", " ").rstrip(".")
        default = "" if field.is_required() or field.default is None else f"default {_word(field.default)}"
        told = "; ".join(filter(None, (words, default)))
        parser.add_argument(_option(name), dest=name, metavar=_choices(field.annotation), help=told)
    given = vars(parser.parse_args(arguments))
    # Else it would be found out when the training has ended.
    if not re.fullmatch(NAME, given["out"].name) or not given["out"].name.startswith("land-cover-"):
        parser.error(
            f"--out: {given['out']} is not named land-cover-..., in small letters, digits and hyphens, as folders of such "
            "models are"
        )
    if given["threads"] is not None:
        if given["threads"] < 1:
            parser.error(f"--threads: {given['threads']} are too few, at least 1 is needed")
        torch.set_num_threads(given["threads"])
    given["command"] = "python -m training.land_cover " + shlex.join(arguments or sys.argv[1:])
    if (given["from_checkpoint"] is None) != (given["release"] is None):
        parser.error("--from-checkpoint and --release go together: a file does not say in which order it reads bands")
    given["architecture"] = given["architecture"] or _named_after(given["out"].name)
    if given["from_checkpoint"] is not None:
        _convert(given, parser.error)
    else:
        _train(_chosen(given, parser.error), given)
    return 0


def _named_after(model: str) -> str | None:
    """The architecture of which a model has the name: land-cover-resnet50 that was a resnet26 would mislead."""
    from training.land_cover.net import timm_name  # noqa: PLC0415 - what is refused before waits for nothing

    named = model.removeprefix("land-cover-").replace("-", "_")
    try:
        timm_name(named)
    except InvalidInput:
        return None
    return named


def _option(name: str) -> str:
    return f"--{OPTIONS.get(name, name).replace('_', '-')}"


def _choices(kind: Any) -> str | None:  # noqa: ANN401 - any type of a field
    """Words of which one is given, as argparse writes them; None where there is no list of them."""
    words = ("true", "false") if kind is bool else get_args(kind) if get_origin(kind) is Literal else ()
    return f"{{{','.join(words)}}}" if words else None


def _word(value: Any) -> str:  # noqa: ANN401 - any default of a field
    """A default as it would be given; of bands by their number."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return str(next((count for count, bands in BANDS.items() if bands == value), ",".join(value) or "none"))
    return str(value)


def _chosen(given: dict[str, Any], refuse: Callable[[str], Any]) -> TrainConfig:
    """The configuration; what is wrong with it is said of its option."""
    said = {name: given[name] for name in TrainConfig.model_fields if given[name] is not None}
    try:
        return TrainConfig.model_validate(said)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name = str(fault["loc"][0]) if fault["loc"] else ""
        value = f" {said[name]}" if name in said else ""
        refuse(f"{_option(name)}{value}: {fault['msg'].removeprefix('Value error, ')}")
        raise


def _train(config: TrainConfig, given: dict[str, Any]) -> None:
    from training.land_cover.release import publish_trained  # noqa: PLC0415 - what is refused above waits for nothing
    from training.land_cover.train import train  # noqa: PLC0415

    work = given["work"] or Path("build/training") / given["out"].name
    trained = train(config, work, country=given["country"])
    publish_trained(trained, config, command=given["command"], out=given["out"])


def _convert(given: dict[str, Any], refuse: Callable[[str], Any]) -> None:
    from training.land_cover.data.module import LandCoverData  # noqa: PLC0415
    from training.land_cover.release import publish_converted  # noqa: PLC0415
    from training.land_cover.train import judged  # noqa: PLC0415

    if given["architecture"] is None:
        refuse("--architecture: say which one the published weights are of, such as resnet50")
    for name in TrainConfig.model_fields.keys() - CONVERTING:
        if given[name] is not None:
            refuse(f"{_option(name)} {given[name]}: published weights have that settled, leave it out")
    # Bands and resampling are theirs too; without data there is nothing to read, and no folder to name.
    config = _chosen(given | {"folder": given["folder"] or Path(), "resampling": "nearest"}, refuse)
    if config.weights == "int8" and given["folder"] is None:
        refuse("--weights int8: what each layer takes is read off patches: add --data, or take float16")
    net = converted(given["from_checkpoint"], given["architecture"], given["release"])
    data = LandCoverData(config)
    if given["folder"] is not None and data.synthetic:
        # The card says BigEarthNet, and its thresholds and scores would be of something else.
        raise InvalidInput(
            f"{given['folder']} holds generated patches: what they say of published weights means nothing on real ground; "
            "give BigEarthNet, or leave --data out"
        )
    found = judged(net, config, data) if given["folder"] is not None else None
    publish_converted(
        net,
        given["architecture"],
        given["release"],
        command=given["command"],
        out=given["out"],
        config=config,
        judged=found,
    )


if __name__ == "__main__":
    sys.exit(main())
