"""The commands: what they take, and whom they call."""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import eo
from cli.options import add_inputs, typed_inputs
from registry import PROCESSES, process

if TYPE_CHECKING:
    from cli.jobs import Jobs, Order
    from eo.settings import Settings

# What each command needs is imported when it runs: `describe` and a job that is finished start in half the time.


def command(argv: Sequence[str] | None) -> "Callable[[Settings], None]":
    """The command that was asked for. Ends the process with a short message where it is not understood."""
    arguments = _parser().parse_args(joined(sys.argv[1:] if argv is None else argv))

    def run(settings: "Settings") -> None:
        arguments.command(arguments, settings)

    return run


def joined(argv: Sequence[str]) -> list[str]:
    """Options with values that begin with a minus, such as western longitudes, as argparse takes them: `--bbox=-3,40,-2,41`."""
    result: list[str] = []
    for word in argv:
        if result and re.fullmatch(r"--[a-z][a-z-]*", result[-1]) and re.match(r"-[\d.]", word):
            result[-1] += f"={word}"
        else:
            result.append(word)
    return result


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line; the usage of a command with twenty options hides what was wrong."""
        self.exit(2, f"eo-shards: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="eo-shards", description="Earth-observation services on shards")
    parser.add_argument("--version", action="version", version=f"eo-shards {eo.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="order a process and wait for its result")
    plan = commands.add_parser("plan", help="show what an order would do and cost, without doing it")
    for ordering in (run, plan):
        kinds = ordering.add_subparsers(required=True, metavar="PROCESS")
        for name in PROCESSES:
            kind = kinds.add_parser(name, help=process(name).title, description=process(name).description)
            add_inputs(kind, process(name).Inputs)
            kind.add_argument("--out", type=_folder, default=Path("out"), metavar="FOLDER", help="default out")
            kind.set_defaults(process=name, command=_run if ordering is run else _plan)
            if ordering is run:
                kind.add_argument(
                    "--new", action="store_true", help="start afresh, whatever is there of the same order"
                )
                kind.add_argument("--keep-cube", action="store_true", help="keep the scratch space of a finished job")
            else:
                kind.add_argument("--json", action="store_true", help="print the plan itself")
    commands.add_parser("processes", help="list what can be ordered").set_defaults(command=_processes)
    describe = commands.add_parser("describe", help="describe a process and its inputs")
    describe.add_argument("process", choices=list(PROCESSES))
    describe.set_defaults(command=_describe)
    look = commands.add_parser(
        "inspect", help="show header, bounds, CRS and counts of a result, and draw a point cloud"
    )
    look.add_argument("file", type=Path, help="PLY file of this program, or any GeoTIFF, LAS, LAZ or COPC file")
    look.add_argument("--picture", type=Path, help="PNG to write of a point cloud; default beside the file")
    look.set_defaults(command=_inspect)
    commands.add_parser("jobs", help="list the jobs of this machine").set_defaults(command=_jobs)
    resume = commands.add_parser("resume", help="go on with a job")
    resume.add_argument("job", help="its id, or the beginning of it")
    resume.set_defaults(command=_resume)
    clean = commands.add_parser("clean", help="free the scratch space of jobs that are not running")
    clean.add_argument("job", nargs="?", help="one job; default all")
    clean.set_defaults(command=_clean)
    server = commands.add_parser("serve", help="offer the HTTP API on this machine (OGC API - Processes)")
    server.add_argument("--host", default="127.0.0.1", help="an address of this machine alone; default 127.0.0.1")
    server.add_argument(
        "--port", type=int, choices=range(65536), default=8080, metavar="N", help="default 8080; 0 takes any"
    )
    server.set_defaults(command=_serve)
    look = commands.add_parser("view", help="show a result in the browser")
    look.add_argument(
        "job",
        help="its id or the beginning of it, a result's folder, STAC item or COPC, or a deployed job's https://.../jobs/ID",
    )
    look.add_argument(
        "--port", type=int, choices=range(65536), default=0, metavar="N", help="default: any that is free"
    )
    look.add_argument("--region", help="of AWS, where a deployed job's address is of a domain of your own")
    look.add_argument("--no-browser", action="store_true", help="print the address alone")
    look.set_defaults(command=_view)
    return parser


def _known(settings: "Settings") -> "Jobs":
    from cli.jobs import Jobs  # noqa: PLC0415

    return Jobs(settings)


def _folder(text: str) -> Path:
    """A folder, by one name for each place: `a/../out` is `out`. An empty name is a mistake of the shell's, not the current folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; name a folder")
    return Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100 - `resolve` would follow links, `absolute` keeps `..`


def _order(arguments: argparse.Namespace) -> "Order":
    from cli.jobs import Order  # noqa: PLC0415

    typed = typed_inputs(arguments, process(arguments.process).Inputs)
    return Order(arguments.process, typed, arguments.out.absolute())


def _run(arguments: argparse.Namespace, settings: "Settings") -> None:
    _work(_known(settings), _order(arguments), new=arguments.new, keep_cube=arguments.keep_cube)


def _resume(arguments: argparse.Namespace, settings: "Settings") -> None:
    jobs = _known(settings)
    _work(jobs, jobs.order(arguments.job))


def _work(jobs: "Jobs", order: "Order", *, new: bool = False, keep_cube: bool = False) -> None:
    from cli import show  # noqa: PLC0415
    from cli.progress import shown  # noqa: PLC0415

    with shown() as progress:
        outcome = jobs.run(order, new=new, keep_cube=keep_cube, progress=progress)
    show.outcome(outcome)


def _plan(arguments: argparse.Namespace, settings: "Settings") -> None:
    from cli import show  # noqa: PLC0415

    plan, no_room = _known(settings).plan(_order(arguments))
    if arguments.json:
        print(plan.model_dump_json(indent=1))
    else:
        show.plan(plan, no_room)


def _processes(_arguments: argparse.Namespace, _settings: "Settings") -> None:
    for name in PROCESSES:
        print(f"{name}  {process(name).version}  {process(name).description}")


def _describe(arguments: argparse.Namespace, _settings: "Settings") -> None:
    chosen = process(arguments.process)
    described = {
        "id": chosen.id,
        "title": chosen.title,
        "description": chosen.description,
        "version": chosen.version,
        "inputs": chosen.Inputs.model_json_schema(),
    }
    print(json.dumps(described, indent=2))


def _inspect(arguments: argparse.Namespace, _settings: "Settings") -> None:
    from cli.inspect_raster import geotiff, is_geotiff  # noqa: PLC0415

    if is_geotiff(arguments.file):
        geotiff(arguments.file, arguments.picture)
        return
    from point_cloud.las import is_las  # noqa: PLC0415

    if is_las(arguments.file):
        from cli.inspect_las import las  # noqa: PLC0415

        las(arguments.file, arguments.picture)
        return
    from cli.inspect_ply import ply  # noqa: PLC0415

    ply(arguments.file, arguments.picture)


def _jobs(_arguments: argparse.Namespace, settings: "Settings") -> None:
    for status in _known(settings).all():
        print(f"{status.job}  {status.created}  {status.state:<10}  {status.process}  {status.out}  {status.message}")


def _serve(arguments: argparse.Namespace, settings: "Settings") -> None:
    from cli.serve import serve  # noqa: PLC0415

    serve(settings, arguments.host, arguments.port)


def _view(arguments: argparse.Namespace, settings: "Settings") -> None:
    from cli.view import view  # noqa: PLC0415

    view(settings, arguments.job, arguments.port, region=arguments.region, browser=not arguments.no_browser)


def _clean(arguments: argparse.Namespace, settings: "Settings") -> None:
    jobs = _known(settings)
    freed = jobs.clean_all() if arguments.job is None else jobs.clean(jobs.order(arguments.job))
    for job, size in freed.items():
        print(f"{job}  {size / 1e6:,.1f} MB freed")
