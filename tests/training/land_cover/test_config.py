"""The configuration: one for the command line and the sweep; what is wrong is said of its field."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
import training.cpu_torchvision  # noqa: F401 - before what imports torchvision

pytest.importorskip("lightning")
from pydantic import ValidationError

from training.land_cover.__main__ import main
from training.land_cover.bands import BANDS
from training.land_cover.config import TrainConfig


def test_texts_of_a_command_line_are_what_they_say() -> None:
    config = TrainConfig.model_validate(
        {
            "folder": "x",
            "bands": "11",
            "indices": "NDVI,NDBI",
            "learning_rate": "3e-4",
            "weights": "float32",
            "size": "128",
        }
    )
    assert (config.bands, config.indices) == (BANDS[11], ("NDVI", "NDBI"))
    assert (config.learning_rate, config.weights, config.size, config.folder) == (3e-4, "float32", 128, Path("x"))
    assert TrainConfig(folder=Path("x"), indices="").indices == ()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--architecture", "resnet27", "did you mean"),
        ("--bands", "9", "choose 7, 10, 11, 12"),
        ("--bands", "B02,B99", "choose among B01"),
        ("--indices", "NDVI,EVI", "NDWI"),
        ("--indices", "NDVI,NDVI", "name each once"),
        ("--size", "20", "32"),
        ("--loss", "softmax", "'bce', 'asymmetric' or 'focal'"),
        ("--optimiser", "lion", "'adamw', 'adam' or 'sgd'"),
        ("--schedule", "step", "'cosine' or 'plateau'"),
        ("--learning-rate", "0", "greater than 0"),
        ("--weight-decay", "x", "number"),
        ("--batch", "0", "greater than or equal to 1"),
        ("--precision", "8-true", "'32-true', 'bf16-mixed' or '16-mixed'"),
        ("--patience", "1", "greater than or equal to 3"),
        ("--threads", "0", "at least 1"),
        ("--country", "Norway", "three capital letters"),
    ],
)
def test_the_command_names_the_option_that_is_wrong(
    option: str, value: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--out", str(tmp_path / "land-cover-x"), "--data", str(tmp_path), "--work", str(tmp_path / "w")]
    try:
        assert main([*arguments, option, value]) != 0
    except SystemExit as left:
        assert left.code == 2  # noqa: PT017 - either way of leaving is one
    said = capsys.readouterr().err
    assert words in said
    assert option in said or option == "--country"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "resnet26"], "not named land-cover-"),
        (["--out", "land-cover-ResNet"], "not named land-cover-"),
        (["--out", "land-cover-x"], "--data"),
        (["--out", "land-cover-x", "--from-checkpoint", "f"], "go together"),
        (["--out", "land-cover-x", "--from-checkpoint", "f", "--release", "0.2.0"], "--architecture"),
    ],
)
def test_the_command_says_what_is_missing(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert words in capsys.readouterr().err


def test_an_index_of_a_band_that_is_not_read_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"indices(.|\n)*NDVI needs B04: add them to the bands"):
        TrainConfig.model_validate({"folder": "x", "bands": "B02,B08", "indices": "NDVI"})


@pytest.mark.parametrize("change", [{"unknown": 1}, {"dropout": 1.0}, {"focus": -1}])
def test_fields_are_known_and_bounded(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        TrainConfig.model_validate({"folder": "x", **change})


def test_the_learning_rate_rises_then_falls_to_a_hundredth() -> None:
    config = TrainConfig(folder=Path("x"), warmup=2, epochs=10)
    rates = [config.rate_at(epoch) for epoch in range(12)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    assert all(after < before for before, after in itertools.pairwise(rates[2:11]))
    assert rates[10:] == pytest.approx([0.01, 0.01])
    assert TrainConfig(folder=Path("x"), warmup=5, epochs=1).rate_at(0) == 1


def test_the_help_says_of_each_option_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "--indices INDICES Spectral indices beside the bands" in said
    assert all(f"--{name.replace('_', '-')} " in said for name in TrainConfig.model_fields if name != "folder")
    assert "--bands BANDS 7, 10, 11, 12 or names with commas between them; default 10 " in said
    assert "--loss {bce,asymmetric,focal} Cross-entropy" in said
    assert "--flips {true,false} Left to right" in said
    assert "default None" not in said
    assert all(
        f"--{option} {{" in said
        for option in ("optimiser", "calibration", "precision", "weights", "monitor", "schedule", "resampling", "log")
    )
    assert "default NOR, as in the published cards" in said
