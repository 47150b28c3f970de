"""How many points are drawn at once, by the time that frames take, and that it is told where there would be more."""

import base64
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chromium import ROOT

VIEW = ROOT / "view"
RUN = """async ([module, took, drawn]) => {
    const { Budget } = await import(module);
    let clock = 0;
    performance.now = () => clock;
    // A graphics card that is done when the clock says so, and frames that come at once.
    window.requestAnimationFrame = (look) => { clock += took; look(); };
    const context = {
        SIGNALED: 1, fenceSync: () => ({}), flush() {}, deleteSync() {}, isContextLost: () => false, getSyncParameter: () => 1,
    };
    const budget = new Budget(context);
    const found = [budget.points];
    for (let frame = 0; frame < 50; frame++) {
        budget.begin()?.(Math.min(drawn, budget.points));
        found.push(budget.points);
    }
    return found;
}"""


CHOOSE = """async ([module, budget]) => {
    const { choose } = await import(module);
    const node = (depth, children) => ({ depth, count: 10, children, low: [0, 0, 0], high: [1, 1, 1], place: [0, 0, 0] });
    const root = node(0, [node(1, []), node(1, [])]);
    const eye = { place: [0, 0, 100], pixels: 1000, heights: 1, sees: () => true };
    const { visible, limited } = choose(root, eye, budget, () => 1, () => true);
    return [visible.length, limited];
}"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Gives a module as an address."""
    return lambda name: _compiled(tmp_path_factory.mktemp(name), name)


def _compiled(folder: Path, name: str) -> str:
    compiler = VIEW / "node_modules" / ".bin" / "tsc"
    options = [
        "--ignoreConfig",
        "--target",
        "es2022",
        "--module",
        "esnext",
        "--skipLibCheck",
        "--rootDir",
        "src",
        "--outDir",
        str(folder),
    ]
    subprocess.run([compiler, *options, str(Path("src", "view", f"{name}.ts"))], cwd=VIEW, check=True, timeout=120)
    return "data:text/javascript;base64," + base64.b64encode((folder / "view" / f"{name}.js").read_bytes()).decode()


@pytest.mark.parametrize(
    ("took", "drawn", "last"),
    [
        # However slow: a second, or half a minute.
        (1_200, 4_000_000, 250_000),
        (30_000, 4_000_000, 250_000),
        # Less is drawn than may be: it is from there that it falls.
        (90, 800_000, 250_000),
        (30, 4_000_000, 1_500_000),
        (5, 4_000_000, 4_000_000),
    ],
)
def test_fewer_points_are_drawn_where_frames_are_slow(
    opened: Any, compiled: Callable[[str], str], took: float, drawn: int, last: int
) -> None:
    found = opened("about:blank").page.evaluate(RUN, [compiled("budget"), took, drawn])
    assert found[0] == 1_500_000
    assert found[-1] == last
    if took > 1_000:
        assert found[5] == last, "after five frames"


@pytest.mark.parametrize(("budget", "found"), [(30, [3, False]), (29, [2, True]), (10, [1, True])])
def test_what_the_budget_leaves_out_is_known(
    opened: Any, compiled: Callable[[str], str], budget: int, found: list[Any]
) -> None:
    assert opened("about:blank").page.evaluate(CHOOSE, [compiled("detail"), budget]) == found
