"""What the command line prints."""

from cli.jobs import Outcome
from eo.job import Plan
from eo.usage import UsageTotal


def outcome(found: Outcome) -> None:
    """Say what was made, how large it is and where the time went."""
    summary = found.result.summary
    if found.already:
        print(
            f"job {found.job} was finished before; its files are what they were ({len(found.result.files)} digests checked)"
        )
    for name in found.result.files:
        print(f"{found.out / name}  {(found.out / name).stat().st_size:,} bytes")
    print(
        f"{found.result.message}, {summary['bytes'] / 1e6:,.1f} MB in {found.seconds:,.1f} s, "
        f"{found.plan.grid.crs}, {found.plan.grid.resolution} m"
    )
    for note in summary["notes"]:
        print(f"note: {note}")
    if found.spent.usages:
        stages = ", ".join(f"{stage.name} {found.spent.cpu(stage.name):.2f} s" for stage in found.plan.stages)
        print(f"CPU by stage: {stages}; largest worker {found.spent.peak_rss / 1e6:,.0f} MB")
    if found.result.usage is not None:
        print(f"in all: {spent(found.result.usage)}")


def spent(used: UsageTotal) -> str:
    """What all calls of a job took."""
    failed = f" ({used.failed_calls:,} failed)" if used.failed_calls else ""
    return (
        f"{used.calls:,} calls{failed}, {used.cpu_seconds:,.1f} CPU s, {used.gb_seconds:,.1f} GB-s, "
        f"{used.source_requests:,} source requests ({used.source_bytes / 1e6:,.1f} MB), "
        f"{used.store_requests:,} store requests; on AWS about {estimated(used)}"
    )


def estimated(used: UsageTotal) -> str:
    """What that costs, in money and in energy; `eo.estimate` has the factors."""
    grid = used.region or "a mean grid"
    return f"{used.cost_usd:.4f} USD, {1000 * used.energy_kwh:,.3f} Wh, {used.co2e_g:,.3f} g CO2e ({grid})"


def plan(made: Plan, no_room: str | None) -> None:
    """Say what a job would do and cost, and why it could not run on this machine's disks, if so."""
    predicted, used = made.predicted, made.predicted.usage
    window = made.grid.window
    rows = [
        ("grid", f"{made.grid.crs}, {made.grid.resolution} m, {window.width} x {window.height} pixels"),
        ("scenes", f"{len(made.scenes)}, cover {100 * (1 - made.uncovered):.1f} % of the bbox"),
        *(
            (
                "",
                f"{scene.id}  {scene.datetime[:10]}  {'?' if scene.cloud_cover is None else format(scene.cloud_cover, '.1f')} % cloud",
            )
            for scene in made.scenes[:20]
        ),
        *([("", f"... and {len(made.scenes) - 20} more")] if len(made.scenes) > 20 else []),
        *(
            [("elevation", f"{made.elevation_name}, vertical CRS {made.vertical_crs or 'unknown'}")]
            if made.elevation_name
            else []
        ),
        ("units", ", ".join(f"{name} {count:,}" for name, count in predicted.units.items())),
        ("shards", f"{made.shard} x {made.shard} pixels, {predicted.parts:,} parts of at most 10,000"),
        # Only a process that samples makes points.
        ("points", f"up to {predicted.points:,} of {predicted.pixels:,} pixels")
        if "sampled_fraction" in made.inputs
        else ("pixels", f"{predicted.pixels:,}"),
        ("result", f"up to {predicted.result_bytes / 1e6:,.1f} MB"),
        ("scratch disk", f"about {predicted.scratch_bytes / 1e6:,.1f} MB"),
        ("from the source", f"about {used.source_requests:,} requests, {used.source_bytes / 1e6:,.1f} MB"),
        ("memory of a worker", f"up to {predicted.unit_memory_bytes / 1e6:,.0f} MB"),
        ("work", f"about {used.calls:,} calls, {used.cpu_seconds:,.1f} CPU s, {used.gb_seconds:,.1f} GB-s"),
        ("on AWS", f"about {estimated(used)}"),
        *(("note", note) for note in made.notes),
        *([("note", f"it would not run here: {no_room}")] if no_room else []),
    ]
    for name, text in rows:
        print(f"{name:<20}{text}")
