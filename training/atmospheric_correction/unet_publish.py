"""`unet-efficientnet-b2` as a folder that the functions run, and the one call that trains and publishes it."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eo.card import Card, Draft, Energy, ModelGrid, Normalisation, Range, Score, Tensor, Training, Uncertainty
from training.atmospheric_correction.emulator import Emulator
from training.atmospheric_correction.release import SATELLITES, code, learnt_from
from training.atmospheric_correction.unet import BANDS, DECODER, ENCODER, MULTIPLE, UNet
from training.atmospheric_correction.unet_config import UNetConfig
from training.atmospheric_correction.unet_patches import EDGE, Batch, Batches
from training.atmospheric_correction.unet_train import Pairs, sources, train
from training.publish.batch_norm import recalibrate
from training.publish.energy import energy
from training.publish.package import publish
from training.publish.provenance import hyperparameters

NAME = "unet-efficientnet-b2"
TILE, HALO = 768, 128
"""Pixels. Tiles of 768 cost least for each pixel of a shard of 2048 and of 4096 (measured: 512, 768, 1024, 1280); a larger
one leaves the core's cache, a smaller one is mostly halo."""
TOLERANCE = 5e-3
"""Of reflectance, between torch and the network whose weights are stored in half."""
EXAMPLE = 128
"""Pixels along the patch that shows the exporter what to expect."""
RECALIBRATION, WHOLE = 24, 8
"""Batches for BatchNorm, and patches in each."""
HELD = 16
"""Batches on which errors are measured: half of them give sigma, half its coverage."""
BEYOND = 1_000_000
"""Number of the first of these batches: later than any that training drew."""
ONE_SIGMA = 0.683
SIGMA = "sigma.json"
"""1-sigma by band, as `atmospheric_correction.tiles` reads it."""


def release(
    config: UNetConfig,
    emulator: Emulator,
    *,
    work: Path,
    out: Path,
    command: str,
    country: str,
    pairs: Pairs | None = None,
) -> Card:
    """Train, or go on training, and write the model's folder. Checkpoints, logs and simulated grounds lie in `work`."""
    work.mkdir(parents=True, exist_ok=True)
    with energy(country, work) as meter:
        net, how = train(config, emulator, work, pairs)
    return publish_unet(
        net, config, emulator, how=how, work=work, out=out, command=command, energy=meter.reading, pairs=pairs
    )


def publish_unet(
    net: UNet,
    config: UNetConfig,
    emulator: Emulator,
    *,
    how: Mapping[str, Any],
    work: Path,
    out: Path,
    command: str,
    energy: Energy,
    pairs: Pairs | None = None,
) -> Card:
    """Write a trained net's folder, BatchNorm recomputed, with its errors on held-out patches.

    Raises InvalidInput where `out` is not named as the model, CorruptData where onnxruntime and torch differ by more than
    TOLERANCE.
    """
    # Whole pieces: the larger they are, the nearer to tiles of images.
    whole = config.model_copy(update={"crop": EDGE, "batch": WHOLE} if config.data == "simulated" else {})
    seen, held = sources(whole, emulator, work, pairs)
    recalibrate(net, ([batch.toa] for batch in Batches(seen, count=RECALIBRATION, start=BEYOND)))
    found, truth, toa = _held_out(net, Batches(held, count=HELD, start=BEYOND))
    error = found - truth
    half = error.shape[1] // 2
    sigmas = {band: float(np.quantile(abs(error[b, :half]), ONE_SIGMA)) for b, band in enumerate(BANDS)}
    limits = np.array(list(sigmas.values()))[:, None]
    draft = _draft(
        net,
        config,
        how,
        command,
        energy,
        coverage=float((abs(error[:, half:]) <= limits).mean()),
        results=(*_scores(error, NAME), *_scores(_line(toa, truth) - truth, "one line per band, fitted to these")),
    )
    shown = held[0].batch(0).toa
    example = {"toa": shown[:1, :, :EXAMPLE, :EXAMPLE].contiguous()}
    # Of other extents, and of images: on noise, which it never saw, weights stored in half show more.
    compared = [example, *({"toa": shown[at : at + count]} for at, count in ((0, 1), (1, 2)))]
    tables = {SIGMA: ((json.dumps(sigmas, indent=1) + "\n").encode(), "1-sigma of surface reflectance, by band")}
    return publish(
        net, example, card=draft, out=out, tolerance=TOLERANCE, precision="float16", tables=tables, batches=compared
    )


def _held_out(
    net: UNet, batches: Iterable[Batch]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """(found, truth, TOA) reflectance of the pixels with a truth, each (3, pixels)."""
    parts = []
    with torch.no_grad():
        for batch in batches:
            known = batch.known[:, 0] > 0
            parts.append([each.movedim(1, 0)[:, known].numpy() for each in (net(batch.toa), batch.rho, batch.toa)])
    found, truth, toa = (np.concatenate(each, axis=1) for each in zip(*parts, strict=True))
    return found, truth, toa


def _line(toa: NDArray[np.float32], truth: NDArray[np.float32]) -> NDArray[np.float64]:
    """What one line per band makes of TOA reflectance, the best for these very pixels."""
    lines = [np.polyfit(x, y, 1) for x, y in zip(toa, truth, strict=True)]
    return np.stack([np.polyval(line, x) for line, x in zip(lines, toa, strict=True)])


def _scores(error: NDArray[np.floating[Any]], row: str) -> tuple[Score, ...]:
    return tuple(
        Score(set="held-out patches", row=row, metric=metric, band=band, value=round(float(value), 5))
        for b, band in enumerate(BANDS)
        for metric, value in (("rmse", np.sqrt(np.square(error[b]).mean())), ("bias", error[b].mean()))
    )


def _draft(
    net: UNet,
    config: UNetConfig,
    how: Mapping[str, Any],
    command: str,
    energy: Energy,
    *,
    coverage: float,
    results: tuple[Score, ...],
) -> Draft:
    bands = ", ".join(BANDS)
    simulated = "simulated 6S (patches of 2.56 km under the emulator's atmospheres)"
    data = {
        "simulated": simulated,
        "pairs": "pairs of L1C and L2A products",
        "both": f"{simulated}; pairs of L1C and L2A products",
    }
    shape, dims = ("batch", len(BANDS), "height", "width"), ("batch", "channel", "height", "width")
    trained = (
        f"{how['steps']:,} steps of {config.batch} patches of {config.crop} x {config.crop} pixels, {how['stopped']}"
    )
    if config.minutes and how["stopped"] == "cut short":
        trained += f" after {config.minutes:g} minutes"
    trained += f" (kept: the weights of step {how['kept_step']:,}, the best on held-out patches)"
    return Draft(
        name=NAME,
        version="1.0.0",
        title="U-Net from TOA to surface reflectance, visible bands",
        summary=f"TOA reflectance of {bands} to surface reflectance, pixel by pixel, from the image alone; trained {trained}",
        architecture=(
            f"segmentation-models-pytorch Unet, encoder {ENCODER}, decoder channels {', '.join(map(str, DECODER))}; residual of one line "
            "per band, ReLU output"
        ),
        task="regression",
        inputs=(Tensor(name="toa", shape=shape, dims=dims, units="1", meaning="TOA reflectance at 10 m, no gaps", bands=BANDS),),
        outputs=(Tensor(name="surface", shape=shape, dims=dims, units="1", meaning="surface reflectance", bands=BANDS),),
        bands=BANDS,
        level="L1C",
        normalisation=Normalisation(mean=tuple(net.mean.flatten().tolist()), std=tuple(net.std.flatten().tolist())),
        grid=ModelGrid(metres=10, tile=TILE, halo=HALO, multiple=MULTIPLE),
        satellites=SATELLITES,
        training=Training(
            data=data[config.data],
            seeds=(config.seed, config.seed + 1),
            code=code(),
            command=command,
            epochs=how["epochs"],
            stopped=how["stopped"],
            hyperparameters=hyperparameters(config, training_steps=how["steps"], kept_step=how["kept_step"]),
        ),
        domain=(
            Range(quantity="aerosol optical thickness at 550 nm", units="1", minimum=0.01, maximum=1.2),
            Range(quantity="sun zenith", units="degree", minimum=10, maximum=76),
            Range(quantity="view zenith", units="degree", minimum=0, maximum=12.5),
            Range(quantity="altitude of the ground", units="km", minimum=0, maximum=3.6),
        ),
        intended_use="Comparison with correctors of this kind, on Sentinel-2 L1C over land at 10 m",
        out_of_scope=(
            "measurements: use atmosphere-field or physics, which know the sun and the air",
            "pixels of other sizes than 10 m",
            "clouds and their shadows, cirrus, open sea with sun glint",
        ),
        known_failures=(
            f"trained {trained}, from chance: no pretrained weights",
            learnt_from(config.data),
            "its colours of ground that it never saw are not to be trusted: it guesses air from the image, and takes strange ground for air",
            "told neither sun, view nor elevation: the same pixels come out the same at noon and at dusk",
            "what it makes of a pixel depends on the whole tile around it",
        ),
        uncertainty=Uncertainty(how="one number per band, from errors on held-out patches (sigma.json)", coverage=coverage),
        results=results,
        energy=energy,
    )  # fmt: skip
