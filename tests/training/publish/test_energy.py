"""Energy of a training: stated country, honest about estimates, no files, no network."""

import builtins
import time
from pathlib import Path
from typing import Any

import pytest

from eo.errors import CorruptData, InvalidInput
from training.publish.energy import KEPT, KG_PER_KWH, WATTS_PER_CORE, energy


def busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_cpu_seconds_are_counted_where_codecarbon_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("codecarbon"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with energy("NOR", tmp_path) as meter:
        busy(0.3)
    reading = meter.reading
    assert reading.kwh == pytest.approx(0.3 * WATTS_PER_CORE / 3.6e6, rel=0.3)
    assert reading.co2e_kg == pytest.approx(reading.kwh * KG_PER_KWH)
    assert (reading.country, reading.how) == ("NOR", "estimated")
    assert "CPU seconds" in reading.source


def test_codecarbon_counts_offline_and_leaves_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codecarbon = pytest.importorskip("codecarbon")
    monkeypatch.chdir(tmp_path)
    with energy("NOR", tmp_path) as meter:
        busy(1.0)
    reading = meter.reading
    assert f"codecarbon {codecarbon.__version__}, offline" in reading.source
    # 1 to 100 W for a second or a little more.
    assert 1 / 3.6e6 < reading.kwh < 200 / 3.6e6
    # Norway's electricity is mostly from water: 0.02 to 0.05 kg per kWh.
    assert 0.005 < reading.co2e_kg / reading.kwh < 0.1
    assert [path.name for path in tmp_path.iterdir()] == [KEPT]


def test_what_an_interrupted_run_took_is_counted_by_the_one_that_goes_on(tmp_path: Path) -> None:
    def interrupted() -> None:
        busy(0.2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), energy("NOR", tmp_path) as first:
        interrupted()
    with energy("NOR", tmp_path) as second:
        pass
    assert second.reading.kwh >= first.reading.kwh > 0
    with energy("NOR", tmp_path) as third:
        pass
    assert third.reading.kwh >= second.reading.kwh


def test_a_damaged_record_of_earlier_runs_is_told(tmp_path: Path) -> None:
    (tmp_path / KEPT).write_text("{")
    with pytest.raises(CorruptData, match=r"energy\.json does not say what earlier runs took .* remove it"):
        energy("NOR", tmp_path).__enter__()


def test_a_training_that_fails_is_counted_and_its_error_passes(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="out of memory"), energy("NOR", tmp_path) as meter:
        raise RuntimeError("out of memory")
    assert meter.reading.kwh >= 0


@pytest.mark.parametrize("country", ["no", "Norway", "NO", ""])
def test_a_country_is_three_capital_letters(country: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="three capital letters"), energy(country, tmp_path):
        pass


def test_a_reading_before_the_end_is_refused(tmp_path: Path) -> None:
    with energy("NOR", tmp_path) as meter, pytest.raises(InvalidInput, match="after the with statement"):
        _ = meter.reading
