"""A land-cover net as the folder that the functions run: network with its calibration, card, thresholds, scores."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from eo.card import Card, Draft, ModelGrid, Normalisation, Precision, Range, Score, Tensor, Training
from eo.errors import InvalidInput
from eo.model import checked
from land_cover.cards import INPUT, OUTPUT
from land_cover.labels import CLASSES
from training.land_cover.as_published import judged_as_published
from training.land_cover.bands import EDGE
from training.land_cover.calibration import Line, unchanged
from training.land_cover.config import FREE, TrainConfig
from training.land_cover.data.module import LandCoverData
from training.land_cover.net import LandCoverNet, Published
from training.land_cover.predict import batches
from training.land_cover.published import Release
from training.land_cover.train import Judged, Trained
from training.publish.package import publish
from training.publish.provenance import code_digest, hyperparameters

TOLERANCE = 1e-4
"""Of probabilities, between torch and the network with equal weights."""
TOLERANCES: dict[Precision, float] = {"float32": TOLERANCE, "float16": 1e-2, "int8": 0.5}
"""The same by what is published. A label whose probability is within 0.01 of its threshold is a guess anyway. Of 8 bits this
only tells a network that computes something else: what they cost is in the scores, which are those of the published network.
"""
RANGES = 256
"""Training patches from which the ranges of activations are read, for 8 bits: with a quarter or twice as many, macro F1 on test
differs by less than 0.002."""
BYTES: dict[Precision, int] = {"float32": 4, "float16": 2, "int8": 1}
"""Of a weight."""
LAYER = 60_000_000
"""Bytes of a published model: with onnxruntime and the code it has to stay under Lambda's 250 MB."""
COMPARED = 8
"""Patches on which torch and onnxruntime are compared, beside one by itself."""
DOMAIN = (
    Range(quantity="latitude", units="degree", minimum=36, maximum=71),
    Range(quantity="longitude", units="degree", minimum=-11, maximum=32),
)
"""Roughly the ten countries of BigEarthNet: Portugal, Ireland, Finland and Serbia are its corners."""
FIRST, LAST = "2017-06-01T00:00:00Z", "2018-05-31T23:59:59Z"
"""Of BigEarthNet's scenes (Sumbul et al. 2019, doi:10.1109/IGARSS.2019.8900532)."""
OUT_OF_SCOPE = (
    "areas: a label says that a class occurs within 1,200 m, not how much of it",
    "patches with clouds, shadows of clouds, snow or missing pixels",
    "pixels of other sizes than 10 m, reflectance at the top of the atmosphere",
)
METRICS = {
    "f1": "F1", "precision": "precision", "recall": "recall", "label_accuracy": "label-wise accuracy",
    "average_precision": "average precision",
}  # fmt: skip
"""What scores are called in cards."""


def publish_trained(trained: Trained, config: TrainConfig, *, command: str, out: Path) -> Card:
    """Write the folder of a net that was trained here.

    Raises InvalidInput where `out` is not named as the model or it would be too large, CorruptData where onnxruntime and
    torch differ.
    """
    how, counts = trained.how, trained.how["patches"]
    split = (
        f"{counts['train']:,} patches to train on, {counts['validation']:,} for validation, {counts['test']:,} to test, "
        "split by geography"
    )
    training = Training(
        data=f"synthetic patches in the shape of BigEarthNet: {split}" if how["synthetic"] else f"BigEarthNet: {split}",
        seeds=(config.seed,),
        code=code_digest(Path(__file__).parent),
        command=command,
        epochs=how["epochs"],
        stopped=how["stopped"],
        hyperparameters=_told(config) | {"training_steps": how["steps"], "kept_step": how["kept_step"]},
        **({} if how["synthetic"] else {"start": FIRST, "end": LAST}),
    )

    def draft(judged: Judged) -> Draft:
        return _draft(
            trained.net,
            config.architecture,
            name=out.name,
            resampling=config.resampling,
            training=training,
            thresholds=judged.thresholds,
            results=scored(judged.scores),
            energy=trained.energy,
            domain=() if how["synthetic"] else DOMAIN,
            known_failures=_failures(trained),
        )

    held = LandCoverData(config).patches("validation")
    shown, _ = next(batches(held, batch=COMPARED, most=COMPARED))
    return _publish(trained.net, trained.judged, draft, shown, config=config, out=out)


def publish_converted(
    net: LandCoverNet,
    architecture: str,
    release: Release,
    *,
    command: str,
    out: Path,
    config: TrainConfig,
    judged: Judged | None = None,
) -> Card:
    """Write the folder of published weights. They come without thresholds: `judged` has those of real validation patches.

    `config` says how weights are stored, and where patches are that 8 bits need.

    Raises as `publish_trained` does.
    """
    known = judged or Judged(unchanged(len(CLASSES)), (), {})
    training = Training(
        data=f"BigEarthNet v2.0 (reBEN), weights {release} as its makers publish them",
        seeds=(),
        code=code_digest(Path(__file__).parent),
        command=command,
        epochs=0,
        stopped="not trained",
        start=FIRST,
        end=LAST,
    )

    def draft(judged: Judged) -> Draft:
        unknown = "published without thresholds: 0.5 is not the best of any class"
        return _draft(
            net,
            architecture,
            name=out.name,
            resampling="nearest",
            training=training,
            domain=DOMAIN,
            licence="MIT",
            thresholds=judged.thresholds,
            results=scored(judged.scores) if judged.scores else (),
            known_failures=() if judged.thresholds else (unknown,),
        )

    # Ground-like: smooth, of each band's mean and spread.
    drawn = torch.randn(COMPARED, len(net.bands), 6, 6, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(drawn, size=(EDGE, EDGE), mode="bilinear")
    mean, std = (each[: len(net.bands), None, None] for each in (net.mean, net.std))
    shown = (mean + std * smooth).clamp(min=0)
    return _publish(net, known, draft, shown, config=config, out=out)


def scored(scores: Mapping[str, Any]) -> tuple[Score, ...]:
    """The scores of a card: averages of both splits under chosen thresholds and 0.5, and each class of the test split."""
    rows = []
    for split, told in scores.items():
        for key, words in (("chosen", "thresholds chosen on validation"), ("usual", "threshold 0.5")):
            found = told[key]
            for average in ("macro", "micro"):
                rows += _row(f"{split} split", f"{average}, {words}", found[average])
            rows += [
                Score(set=f"{split} split", row=words, metric=name, value=round(found[field], 5))
                for name, field in (("subset accuracy", "subset_accuracy"), ("expected calibration error", "ece"))
            ]
    for name, found in zip(CLASSES, scores["test"]["chosen"]["classes"], strict=True):
        rows += _row("test split", f"{name}, thresholds chosen on validation", found)
    return tuple(rows)


def _row(of: str, row: str, found: Mapping[str, float | None]) -> Iterable[Score]:
    return [
        Score(set=of, row=row, metric=words, value=round(value, 5))
        for field, words in METRICS.items()
        if (value := found[field]) is not None
    ]


def _told(config: TrainConfig) -> dict[str, bool | int | float | str]:
    """What a training was told of the net and of learning; its epochs are those that there were, which the card has."""
    told = hyperparameters(config, most_epochs=config.epochs) | {"indices": ",".join(config.indices)}
    return {name: value for name, value in told.items() if name not in FREE | {"epochs"}}


def _failures(trained: Trained) -> tuple[str, ...]:
    """What a user has to know before any score."""
    lacking = [
        name
        for name, found in zip(CLASSES, trained.judged.scores["validation"]["chosen"]["classes"], strict=True)
        if found["patches"] == 0
    ]
    return (
        *(
            ("trained on generated patches: what it says of real scenes means nothing",)
            if trained.how["synthetic"]
            else ()
        ),
        *((f"no validation patch has {', '.join(lacking)}: threshold 0.5",) if lacking else ()),
        "what it says of a patch depends on the whole patch: shifted by half of one, its labels are others",
    )


def _draft(net: LandCoverNet, architecture: str, **own: Any) -> Draft:  # noqa: ANN401 - fields of Draft
    """A card: its own, and what all land-cover models have in common."""
    indices = f" and {', '.join(net.indices)}" if net.indices else ""
    resized = f", brought to {net.size} x {net.size} ({net.upscaling})" if net.size != EDGE else ""
    count = len(net.bands)
    return Draft(
        version="1.0.0",
        title="Land-cover labels of Sentinel-2 patches",
        summary=(
            f"Surface reflectance of {count} bands in patches of 1,200 m to a probability for each of {len(CLASSES)} "
            "classes of land cover, any number of which may be there at once"
        ),
        architecture=f"timm {architecture} on {count} bands{indices}{resized}; calibrated logits, one sigmoid",
        task="scene-classification",
        inputs=(
            Tensor(
                name=INPUT, shape=("batch", count, EDGE, EDGE), dims=("batch", "channel", "height", "width"),
                units="1", meaning="surface reflectance at 10 m, not clipped, no gaps", bands=net.bands,
            ),
        ),
        outputs=(
            Tensor(
                name=OUTPUT, shape=("batch", len(CLASSES)), dims=("batch", "class"), units="1",
                meaning="probability that a class occurs in the patch",
            ),
        ),
        bands=net.bands,
        level="L2A",
        normalisation=Normalisation(mean=tuple(net.mean[:count].tolist()), std=tuple(net.std[:count].tolist())),
        grid=ModelGrid(metres=10, tile=EDGE, multiple=EDGE),
        satellites=("sentinel-2a", "sentinel-2b", "sentinel-2c"),
        classes=CLASSES,
        intended_use="Land-cover labels of patches of 1,200 m x 1,200 m, from Sentinel-2 L2A",
        out_of_scope=OUT_OF_SCOPE,
        **own,
    )  # fmt: skip


def _publish(
    net: LandCoverNet,
    judged: Judged,
    draft: Callable[[Judged], Draft],
    shown: torch.Tensor,
    *,
    config: TrainConfig,
    out: Path,
) -> Card:
    """Write the folder; `draft` is the card of given thresholds and scores, which in 8 bits are those of what is written."""
    needed = sum(weight.numel() for weight in net.parameters()) * BYTES[config.weights]
    if needed > LAYER:
        raise InvalidInput(
            f"{out.name} takes {needed:,} bytes, a layer may have {LAYER:,}: "
            f"choose a smaller architecture{', or --weights float16' if config.weights == 'float32' else ''}"
        )
    told = draft(judged)
    if config.weights == "int8":
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
            first = Path(scratch) / out.name
            _written(net, judged.line, told, shown, config=config, out=first, told=False)
            told = draft(judged_as_published(checked(first, threads=torch.get_num_threads()), judged, config))
    return _written(net, judged.line, told, shown, config=config, out=out)


def _written(
    net: LandCoverNet,
    line: Line,
    card: Draft,
    shown: torch.Tensor,
    *,
    config: TrainConfig,
    out: Path,
    told: bool = True,
) -> Card:
    example = {INPUT: shown}
    return publish(
        Published(net, line),
        example,
        card=card,
        out=out,
        tolerance=TOLERANCES[config.weights],
        exact=TOLERANCE,
        precision=config.weights,
        ranges=_ranges(config),
        batches=[example, {INPUT: shown[:1]}],
        told=told,
    )


def _ranges(config: TrainConfig) -> Iterator[Mapping[str, torch.Tensor]]:
    """Training patches as they are, without augmentation; read only where 8 bits ask for them."""
    for patches, _labels in batches(LandCoverData(config).patches("train"), batch=COMPARED, most=RANGES):
        yield {INPUT: patches}
