"""What training takes, in kWh and kg of CO2 equivalents.

codecarbon (MIT) counts it without a network and without a file: by the processor's own counters where the system gives
them, else by load times nominal power. Where it is missing or fails, CPU seconds are what is left to count.
"""

import logging
import os
import re
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from eo.card import Energy
from eo.errors import CorruptData, InvalidInput

WATTS_PER_CORE = 10.0
"""Of a busy core: servers of 200 W nominal power have 16 to 64 cores, and memory and fans take their share."""
KG_PER_KWH = 0.475
"""World average carbon intensity of electricity (IEA, Global Energy & CO2 Status Report 2019), codecarbon's default too."""
SECONDS_BETWEEN_SAMPLES = 5
COUNTRY = "NOR"
"""Where the electricity is made, unless a command is told: the cards of the published models are counted so."""
COUNTRY_HELP = (
    "where the electricity is made, ISO 3166-1 alpha-3, which decides on the kg CO2e of the card and is not detected; "
    f"default {COUNTRY}, as in the published cards"
)
KEPT = "energy.json"
"""File of a training's folder: what all of its runs took."""
_COUNTERS = {"intel_rapl", "intel_power_gadget", "windows_emi"}
"""Modes in which codecarbon reads counters of the processor."""


@dataclass
class Meter:
    """Filled when the block that it counts ends, by an error too."""

    energy: Energy | None = None

    @property
    def reading(self) -> Energy:
        """What the block took. Raises InvalidInput before it has ended."""
        if self.energy is None:
            raise InvalidInput("the energy of a block is known when it has ended: read it after the with statement")
        return self.energy


@contextmanager
def energy(country: str, work: Path) -> Iterator[Meter]:
    """Count what a block takes, its child processes included. `country` is ISO 3166-1 alpha-3 and stated, not detected.

    What earlier runs took that left their checkpoints in the folder `work` is added, and kept there for the next; of one
    that was killed nothing is known. Raises InvalidInput where the country is not written so, CorruptData where what is
    kept is not readable. Counting itself never stops a training.
    """
    if not re.fullmatch(r"[A-Z]{3}", country):
        raise InvalidInput(f"country is {country!r}; state three capital letters (ISO 3166-1 alpha-3), such as NOR")
    before = _before(work)
    meter = Meter()
    seconds = _cpu_seconds()
    tracker = _tracker(country)
    try:
        yield meter
    finally:
        now = _counted(tracker, country) or _from_cpu_time(_cpu_seconds() - seconds, country)
        meter.energy = now if before is None else now + before
        # Of one process a GPU, the first tells. A full disk is for whoever writes what matters to tell.
        with suppress(OSError):
            if os.environ.get("LOCAL_RANK", "0") == "0":
                (work / KEPT).write_text(meter.energy.model_dump_json(indent=1) + "\n")


def _before(work: Path) -> Energy | None:
    kept = work / KEPT
    if not kept.exists():
        return None
    try:
        return Energy.model_validate_json(kept.read_bytes())
    except ValidationError as error:
        raise CorruptData(
            f"{kept} does not say what earlier runs took ({error.error_count()} errors): remove it, and what is "
            "published counts from this run"
        ) from None


def _tracker(country: str) -> Any:  # noqa: ANN401 - codecarbon has no types
    """A running tracker, None where there is none to be had."""
    log = logging.getLogger("codecarbon")
    try:
        from codecarbon import OfflineEmissionsTracker  # noqa: PLC0415 - may be missing

        log.disabled = True  # it speaks before its log level counts
        tracker = OfflineEmissionsTracker(
            country_iso_code=country,
            tracking_mode="process",
            measure_power_secs=SECONDS_BETWEEN_SAMPLES,
            output_methods=[],  # neither a file nor its API
            allow_multiple_runs=True,  # else it keeps a lock file
            log_level="critical",
        )
        tracker.start()
    except Exception:  # noqa: BLE001 - whatever it is, training goes on and CPU time is counted
        return None
    return tracker


def _counted(tracker: Any, country: str) -> Energy | None:  # noqa: ANN401
    """What the tracker counted, None where it did not."""
    try:
        tracker.stop()
        data = tracker.final_emissions_data
        modes = {getattr(part, "_mode", None) for part in tracker._hardware}  # noqa: SLF001 - no other place says it
        how: Literal["measured", "estimated"] = "measured" if modes & _COUNTERS else "estimated"
        source = f"codecarbon {data.codecarbon_version}, offline, PUE 1: " + (
            "counters of the processor, memory by its size"
            if how == "measured"
            else "CPU time of the process x nominal power, memory by its size"
        )
        return Energy(kwh=data.energy_consumed, co2e_kg=data.emissions, country=country, how=how, source=source)
    except Exception:  # noqa: BLE001 - as above; no tracker ends here too
        return None


def _from_cpu_time(seconds: float, country: str) -> Energy:
    kwh = seconds * WATTS_PER_CORE / 3.6e6
    return Energy(
        kwh=kwh,
        co2e_kg=kwh * KG_PER_KWH,
        country=country,
        how="estimated",
        source=f"CPU seconds x {WATTS_PER_CORE:g} W, {KG_PER_KWH:g} kg per kWh (world average); GPUs not counted",
    )


def _cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
