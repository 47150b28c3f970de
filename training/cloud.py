"""Train in a container whose machine may be taken away: what training/Dockerfile starts, a job of AWS Batch.

    python -m training.cloud --bucket BUCKET --model atmosphere-field [-- --epochs 100 --country SWE]

A stack whose parameter Training is on has a queue and a job definition for it; `--parameters model=...` chooses
another model:

    aws batch submit-job --job-name a-training --job-queue eo-shards-training --job-definition eo-shards-training

Checkpoints are in s3://BUCKET/training/runs/<run>/ a minute after they were made, and are brought back at the start;
the model is left in s3://BUCKET/models/<model>/. All attempts of one job are one run; `--run` goes on with that of another.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from eo.errors import EoShardsError, SourceUnavailable
from training.checkpoints import Mirror

TRAINING = ("-m", "training.atmospheric_correction")
"""The command of any machine."""
SECONDS = 60.0
"""Between looks for new checkpoints."""
PATIENCE = 45.0
"""Seconds that a training has to end itself. A spot machine has 120, a container 90 of them (see the template)."""
STOPPED = 128 + signal.SIGTERM
"""Exit status of what was told to end."""


class Stopped(BaseException):
    """The machine is taken away."""


def main(
    arguments: Sequence[str] | None = None, *, training: Sequence[str] = TRAINING, seconds: float = SECONDS
) -> int:
    """Run the command; gives its exit status, or that of `eo-shards` where the bucket cannot be used.

    `training` is what Python is told to train, `seconds` the time between looks for new checkpoints.
    """
    given = _parsed(arguments)
    try:
        return _run(given, training, seconds)
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
    words = [*training, "--model", given.model, "--out", str(models.folder / given.model), "--work", str(run.folder)]
    if given.data:
        data = Mirror(given.folder / "data", f"s3://{given.bucket}/training/data/{given.data}/")
        _say(f"{data.pull()} files of data from {data.prefix}")
        words += ["--data", "both", "--pairs", str(data.folder)]
    _say(f"{run.pull()} files of run {given.run} from {run.prefix}")
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        status = _trained([sys.executable, *words, *given.words], run, seconds)
    finally:
        signal.signal(signal.SIGTERM, before)
    if status == 0:
        made = Mirror(models.folder / given.model, models.prefix)
        _say(f"{made.push()} files of the model to {made.prefix}")
    return status


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
    parser.add_argument("--data", type=_name, help="folder of the bucket's training/data/ that it reads")
    parser.add_argument("--run", type=_name, default=os.environ.get("AWS_BATCH_JOB_ID"), help="default the job's id")
    parser.add_argument("--folder", type=Path, default=Path("build/cloud"), help="where it works")
    parser.add_argument("words", nargs="*", help="after --: further options of the training")
    given = parser.parse_args(arguments)
    if not given.run:
        parser.error("--run: outside of AWS Batch a run needs a name")
    return given


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name: take letters, digits and . _ -")
    return text


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
