"""The command `eo-shards`."""

import argparse
import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import eo
from cli import show
from cli.jobs import Jobs, Order
from cli.options import add_inputs, typed_inputs
from cli.progress import shown
from eo.errors import EoShardsError
from eo.settings import Settings, redact
from registry import PROCESSES, process

INTERRUPTED = 130
"""Exit code after Ctrl-C or SIGTERM, as shells have it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code. Failures are one line on standard error, never a traceback."""
    arguments = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _interrupt)
    settings: Settings | None = None
    try:
        settings = Settings.from_environment()
        return int(arguments.command(arguments, Jobs(settings)) or 0)
    except EoShardsError as error:
        return _fail(f"{type(error).__name__}: {error}", error.exit_code, settings)
    except KeyboardInterrupt:
        return _fail("stopped; the same command goes on where it was", INTERRUPTED, settings)
    except BrokenPipeError:
        # The reader has gone (`| head`); what is left in the buffer must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the last resort: a line and a log instead of a traceback
        return _fail(_unexpected(error, settings), 1, settings)


def _fail(message: str, code: int, settings: Settings | None) -> int:
    text = redact(message, settings) if settings else message
    print(f"eo-shards: {text}", file=sys.stderr)
    return code


def _unexpected(error: Exception, settings: Settings | None) -> str:
    """Write the traceback where it can be sent from, and say where."""
    brief = f"unexpected {type(error).__name__}: {error}"
    if settings is None:
        return brief
    log = settings.home / "error.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(redact("".join(traceback.format_exception(error)), settings))
    except OSError:
        return brief
    return f"{brief}; this is a fault of eo-shards, please report it with {log}"


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="eo-shards", description="Earth-observation services on shards")
    parser.add_argument("--version", action="version", version=f"eo-shards {eo.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="order a process and wait for its result")
    plan = commands.add_parser("plan", help="show what an order would do and cost, without doing it")
    for command in (run, plan):
        kinds = command.add_subparsers(required=True, metavar="PROCESS")
        for name in PROCESSES:
            kind = kinds.add_parser(name, help=process(name).title, description=process(name).description)
            add_inputs(kind, process(name).Inputs)
            kind.add_argument("--out", type=Path, default=Path("out"), metavar="FOLDER", help="default out")
            kind.set_defaults(process=name, command=_run if command is run else _plan)
            if command is run:
                kind.add_argument("--new", action="store_true", help="start afresh, whatever is there of the same order")
                kind.add_argument("--keep-cube", action="store_true", help="keep the scratch space of a finished job")
            else:
                kind.add_argument("--json", action="store_true", help="print the plan itself")
    commands.add_parser("processes", help="list what can be ordered").set_defaults(command=_processes)
    describe = commands.add_parser("describe", help="describe a process and its inputs")
    describe.add_argument("process", choices=list(PROCESSES))
    describe.set_defaults(command=_describe)
    look = commands.add_parser("inspect", help="show header, bounds, CRS and counts of a result, and draw it")
    look.add_argument("file", type=Path)
    look.add_argument("--picture", type=Path, help="PNG to write; default beside the file")
    look.set_defaults(command=_inspect)
    commands.add_parser("jobs", help="list the jobs of this machine").set_defaults(command=_jobs)
    resume = commands.add_parser("resume", help="go on with a job")
    resume.add_argument("job", help="its id, or the beginning of it")
    resume.set_defaults(command=_resume)
    clean = commands.add_parser("clean", help="free the scratch space of jobs that are not running")
    clean.add_argument("job", nargs="?", help="one job; default all")
    clean.set_defaults(command=_clean)
    return parser


def _order(arguments: argparse.Namespace) -> Order:
    typed = typed_inputs(arguments, process(arguments.process).Inputs)
    return Order(arguments.process, typed, arguments.out.expanduser().absolute())


def _run(arguments: argparse.Namespace, jobs: Jobs) -> None:
    with shown() as progress:
        outcome = jobs.run(_order(arguments), new=arguments.new, keep_cube=arguments.keep_cube, progress=progress)
    show.outcome(outcome)


def _resume(arguments: argparse.Namespace, jobs: Jobs) -> None:
    with shown() as progress:
        outcome = jobs.run(jobs.order(arguments.job), progress=progress)
    show.outcome(outcome)


def _plan(arguments: argparse.Namespace, jobs: Jobs) -> None:
    plan = jobs.plan(_order(arguments))
    if arguments.json:
        print(plan.model_dump_json(indent=1))
    else:
        show.plan(plan)


def _processes(_arguments: argparse.Namespace, _jobs: Jobs) -> None:
    for name in PROCESSES:
        print(f"{name}  {process(name).version}  {process(name).description}")


def _describe(arguments: argparse.Namespace, _jobs: Jobs) -> None:
    chosen = process(arguments.process)
    described = {
        "id": chosen.id,
        "title": chosen.title,
        "description": chosen.description,
        "version": chosen.version,
        "inputs": chosen.Inputs.model_json_schema(),
    }
    print(json.dumps(described, indent=2))


def _inspect(arguments: argparse.Namespace, _jobs: Jobs) -> None:
    show.point_cloud(arguments.file, arguments.picture)


def _jobs(_arguments: argparse.Namespace, jobs: Jobs) -> None:
    for status in jobs.all():
        print(f"{status.job}  {status.created}  {status.state:<10}  {status.process}  {status.out}  {status.message}")


def _clean(arguments: argparse.Namespace, jobs: Jobs) -> None:
    freed = jobs.clean_all() if arguments.job is None else {arguments.job: jobs.clean(jobs.order(arguments.job).job)}
    for job, size in freed.items():
        print(f"{job}  {size / 1e6:,.1f} MB freed")


if __name__ == "__main__":
    sys.exit(main())
