"""Train in a container whose machine may be taken away: what training/Dockerfile starts, a job of AWS Batch.

    python -m training.cloud --bucket BUCKET --model atmosphere-field [-- --epochs 100 --country SWE]
    python -m training.cloud --bucket BUCKET --model land-cover-resnet26 --data bigearthnet.zarr [-- --workers 4]

The model's name says which training it is, --data the folder of s3://BUCKET/training/data/ that it reads, which is copied
to the machine first. A stack whose parameter Training is on has a queue and a job definition for it, whose parameters
model, data and options say the same:

    aws s3 sync bigearthnet.zarr s3://BUCKET/training/data/bigearthnet.zarr
    aws batch submit-job --job-name a-training --job-queue eo-shards-training --job-definition eo-shards-training \
      --parameters '{"model": "land-cover-resnet26", "data": "bigearthnet.zarr",
        "options": "--architecture resnet26 --workers 4 --precision bf16-mixed"}'

Checkpoints are in s3://BUCKET/training/runs/<run>/ a minute after they were made, and are brought back at the start;
the model is left in s3://BUCKET/models/<model>/. All attempts of one job are one run; `--run` goes on with that of another.
"""

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from eo.errors import EoShardsError, NothingFound, SourceUnavailable
from training.checkpoints import Mirror


class Training(NamedTuple):
    """A training as its command is told what there is."""

    module: str
    words: Callable[[str, Path | None], list[str]]
    """Which model and which data, if any, in its own options."""
    needs: str = ""
    """The data that it cannot do without."""


def _atmospheric_correction(model: str, data: Path | None) -> list[str]:
    return ["--model", model, *(["--data", "both", "--pairs", str(data)] if data else [])]


def _land_cover(_model: str, data: Path | None) -> list[str]:
    return ["--data", str(data)]  # its model is called as its --out


CORRECTION = Training("training.atmospheric_correction", _atmospheric_correction)
LAND_COVER = Training("training.land_cover", _land_cover, needs="BigEarthNet, converted to Zarr")
TRAININGS = {"land-cover-": LAND_COVER, "atmosphere-": CORRECTION, "unet-": CORRECTION, "physics": CORRECTION}
"""By what the names of its models begin with."""
NOTHING = "none"
"""As --data: no data. A job definition names a default of each parameter, and no word of a job may be empty."""
SECONDS = 60.0
"""Between looks for new checkpoints."""
PATIENCE = 45.0
"""Seconds that a training has to end itself. A spot machine has 120, a container 90 of them (see the template)."""
STOPPED = 128 + signal.SIGTERM
"""Exit status of what was told to end."""


class Stopped(BaseException):
    """The machine is taken away."""


def main(
    arguments: Sequence[str] | None = None, *, training: Sequence[str] | None = None, seconds: float = SECONDS
) -> int:
    """Run the command; gives its exit status, or that of `eo-shards` where the bucket cannot be used.

    `training` is what Python is told to run, by default the module of the model's training; `seconds` the time between
    looks for new checkpoints.
    """
    given = _parsed(arguments)
    try:
        return _run(given, training or ("-m", given.training.module), seconds)
    except EoShardsError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except (Boto3Error, BotoCoreError, ClientError) as error:
        print(f"error: bucket {given.bucket}: {error}; look at its name and at the job's role", file=sys.stderr)
        return SourceUnavailable.exit_code


def _run(given: argparse.Namespace, training: Sequence[str], seconds: float) -> int:
    """Bring what there is, train, and bring back what was made; the exit status of the training."""
    run = Mirror(given.folder / "run", f"s3://{given.bucket}/training/runs/{given.run}/")
    models = Mirror(given.folder / "models", f"s3://{given.bucket}/models/{given.model}/")
    words = [*training, "--out", str(models.folder / given.model), "--work", str(run.folder)]
    words += given.training.words(given.model, _brought(given) if given.data else None)
    _say(f"{run.pull()} files of run {given.run} from {run.prefix}")
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        status = _trained([sys.executable, *words, *given.options], run, seconds)
    finally:
        signal.signal(signal.SIGTERM, before)
    if status == 0:
        made = Mirror(models.folder / given.model, models.prefix)
        _say(f"{made.push()} files of the model to {made.prefix}")
    return status


def _brought(given: argparse.Namespace) -> Path:
    """The folder of data. Raises NothingFound where the bucket has none of that name."""
    # Called as in the bucket: a training knows by the folder whether it goes on with the data that it began with.
    data = Mirror(given.folder / "data" / given.data, f"s3://{given.bucket}/training/data/{given.data}/")
    files = data.pull()
    if files == 0:
        raise NothingFound(f"0 files in {data.prefix}: look at the name, or copy them there (aws s3 sync)")
    _say(f"{files} files of data from {data.prefix}")
    return data.folder


def _trained(command: Sequence[str], run: Mirror, seconds: float) -> int:
    """Exit status of a training, whose checkpoints are pushed while it goes on and when it ends."""
    process = subprocess.Popen(command)
    try:
        while True:
            try:
                return process.wait(seconds)
            except subprocess.TimeoutExpired:
                _kept(run)
    except Stopped:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
        return STOPPED
    finally:
        process.kill()
        process.wait()
        _say(f"{run.push()} files of the run to {run.prefix}")


def _kept(run: Mirror) -> None:
    """Push; what the store does not take now, or was just replaced, the next look pushes: no training ends for that."""
    try:
        run.push()
    except (Boto3Error, BotoCoreError, ClientError, OSError) as error:
        _say(f"checkpoints are not in {run.prefix} yet ({type(error).__name__})")


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise Stopped


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.cloud", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bucket", required=True, help="the data bucket")
    parser.add_argument("--model", required=True, type=_name, help="which model, as the training has it")
    parser.add_argument(
        "--data", type=_name, default=NOTHING, help=f"folder of the bucket's training/data/ that it reads, or {NOTHING}"
    )
    parser.add_argument("--run", type=_name, default=os.environ.get("AWS_BATCH_JOB_ID"), help="default the job's id")
    parser.add_argument("--folder", type=Path, default=Path("build/cloud"), help="where it works")
    parser.add_argument(
        "words",
        nargs="*",
        type=_cut,
        help="after --: further options of the training; several may be one word, as a parameter of a job is",
    )
    given = parser.parse_args(arguments)
    if not given.run:
        parser.error("--run: outside of AWS Batch a run needs a name")
    found = [training for start, training in TRAININGS.items() if given.model.startswith(start)]
    if not found:
        parser.error(f"--model: {given.model} is of no training: names begin with {', '.join(TRAININGS)}")
    given.training = found[0]
    given.data = None if given.data == NOTHING else given.data
    if given.training.needs and not given.data:
        parser.error(
            f"--data: {given.model} learns from {given.training.needs}: copy it to s3://{given.bucket}/training/data/NAME/ "
            "(aws s3 sync) and give --data NAME"
        )
    given.options = [option for word in given.words for option in word]
    return given


def _cut(word: str) -> list[str]:
    """As a shell does."""
    try:
        return shlex.split(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{word!r} is not cut into words ({error}): close its quotes") from None


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name: take letters, digits and . _ -")
    return text


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
