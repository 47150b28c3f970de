"""Energy of a training: stated country, honest about estimates, no files, no network."""

import builtins
import time
from pathlib import Path
from typing import Any

import pytest

from eo.errors import InvalidInput
from training.publish.energy import KG_PER_KWH, WATTS_PER_CORE, energy


def busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_cpu_seconds_are_counted_where_codecarbon_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("codecarbon"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with energy("NOR") as meter:
        busy(0.3)
    reading = meter.reading
    assert reading.kwh == pytest.approx(0.3 * WATTS_PER_CORE / 3.6e6, rel=0.3)
    assert reading.co2e_kg == pytest.approx(reading.kwh * KG_PER_KWH)
    assert (reading.country, reading.how) == ("NOR", "estimated")
    assert "CPU seconds" in reading.source


def test_codecarbon_counts_offline_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codecarbon = pytest.importorskip("codecarbon")
    monkeypatch.chdir(tmp_path)
    with energy("NOR") as meter:
        busy(1.0)
    reading = meter.reading
    assert f"codecarbon {codecarbon.__version__}, offline" in reading.source
    # 1 to 100 W for a second or a little more.
    assert 1 / 3.6e6 < reading.kwh < 200 / 3.6e6
    # Norway's electricity is mostly from water: 0.02 to 0.05 kg per kWh.
    assert 0.005 < reading.co2e_kg / reading.kwh < 0.1
    assert not list(tmp_path.iterdir())


def test_a_training_that_fails_is_counted_and_its_error_passes() -> None:
    with pytest.raises(RuntimeError, match="out of memory"), energy("NOR") as meter:
        raise RuntimeError("out of memory")
    assert meter.reading.kwh >= 0


@pytest.mark.parametrize("country", ["no", "Norway", "NO", ""])
def test_a_country_is_three_capital_letters(country: str) -> None:
    with pytest.raises(InvalidInput, match="three capital letters"), energy(country):
        pass


def test_a_reading_before_the_end_is_refused() -> None:
    with energy("NOR") as meter, pytest.raises(InvalidInput, match="after the with statement"):
        _ = meter.reading
