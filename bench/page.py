"""The page that streams a point cloud of 50 million points, in a real Chromium: first points, bytes until then, frames."""

from __future__ import annotations

import gzip
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import copc
from bench.meter import COMMAND, python
from bench.table import Row

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MILLIONS = 50
RUNS = 3
FIRST_SECONDS, FIRST_BYTES, CODE_BYTES = 2.0, 5e6, 1e6
WEB = Path(__file__).parents[1] / "functions" / "api" / "web"
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
"""No graphics card: SwiftShader draws on the CPU."""
TURN = """async () => {
  const canvas = document.getElementById("canvas"), times = [];
  for (let turn = 0; turn < 40; turn++) {
    const before = performance.now();
    canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft", bubbles: true }));
    await new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next)));
    times.push(performance.now() - before);
  }
  return times.sort((a, b) => a - b)[20];
}"""
"""Median milliseconds from a turn of 7.5 degrees to the frame after the one that shows it."""


def rows() -> list[Row]:
    """The page's own size, and what it does with a large cloud where there is a browser."""
    code = sum(len(gzip.compress(path.read_bytes(), 9)) for path in WEB.rglob("*") if path.is_file())
    found = [Row("pages: all code, styles and coastline, gzip", code / 1e6, "MB", CODE_BYTES / 1e6)]
    chromium = shutil.which("chromium")
    if chromium is None:
        return found
    with tempfile.TemporaryDirectory() as folder:
        # Before there is a browser: what measures a process waits for all children.
        file = _cloud(Path(folder))
        told = _told(file, chromium)
    name = f"page: of {MILLIONS} M points"
    median = {key: statistics.median(one[key] for one in told) for key in told[0]}
    return [
        *found,
        Row(f"{name}, seconds until the first are on the screen", median["first"], "s", FIRST_SECONDS),
        Row(f"{name}, MB transferred by then, page included", median["bytes"] / 1e6, "MB", FIRST_BYTES / 1e6),
        Row(f"{name}, MB transferred when all in view is there", median["all"] / 1e6, "MB"),
        Row(f"{name}, those that are then drawn", median["points"], ""),
        Row(f"{name}, a frame while turning, without a graphics card", median["frame"], "ms"),
    ]


def _told(file: Path, chromium: str) -> list[dict[str, float]]:
    """What each load of a file's page took."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - an extra of the tests

    view = [COMMAND, "view", str(file), "--no-browser"]
    with sync_playwright() as driver, subprocess.Popen(view, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().split()[0]
        try:
            browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
            told = [_shown(browser, address) for _ in range(RUNS)]
            browser.close()
        finally:
            server.terminate()
    return told


def _cloud(folder: Path) -> Path:
    """The bench's own cloud, as the shards and the fan-in write it."""
    paths = {"PYTHONPATH": f"{Path(__file__).parents[1]}:{Path(__file__).parents[1] / 'functions'}"}
    for step in ("shards", "merge"):
        python(f"from bench.copc import {step}; {step}({MILLIONS}, {str(folder)!r})", env=paths)
    return next(folder.rglob(copc.CLOUD))


def _shown(browser: Browser, address: str) -> dict[str, float]:
    context = browser.new_context(viewport={"width": 800, "height": 600}, reduced_motion="reduce")
    page = context.new_page()
    answers: list[Any] = []
    page.on("requestfinished", lambda request: answers.append(request))  # noqa: PLW0108 - Playwright marks functions
    page.goto(address)
    page.wait_for_function("() => performance.getEntriesByName('first-points').length > 0", timeout=60_000)
    first = page.evaluate("() => performance.getEntriesByName('first-points')[0].startTime") / 1000
    by_then = _bytes(answers)
    page.wait_for_selector("html[data-state=ready]", timeout=120_000)
    points = float(page.locator("html").get_attribute("data-points") or 0)
    told = {"first": first, "bytes": by_then, "all": _bytes(answers), "points": points, "frame": page.evaluate(TURN)}
    context.close()
    return told


def _bytes(answers: list[Any]) -> float:
    """Of bodies and heads that have come."""
    sizes = [request.sizes() for request in answers]
    return float(sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes))
