"""A browser, a server, and a small job that has been done."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from api import web
from chromium import AXE, BOX, CHROMIUM, FLAGS, PATIENCE, Shown
from command import Machine, Place, make_place
from serving import Served, serving


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for the session: Playwright runs an event loop in this thread, and other tests of the process need their own."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium; install Debian's package chromium")
    if not web.built():
        pytest.skip("the pages are not built; run `make view` (it needs Node.js 20 or newer)")
    with sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Any]:
    """A function that opens an address: `opened(url, width=390, dark=True)`."""
    contexts: list[BrowserContext] = []

    def open_page(
        address: str,
        *,
        width: int = 1024,
        height: int = 700,
        dark: bool = False,
        touch: bool = False,
        script: str = "",
    ) -> Shown:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            has_touch=touch,
        )
        contexts.append(context)
        context.add_init_script(path=AXE)
        if script:
            context.add_init_script(script)
        shown = Shown.of(context.new_page())
        shown.page.set_default_timeout(PATIENCE)
        shown.page.goto(address)
        return shown

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return make_place(tmp_path_factory.mktemp("scene") / "files", size=512)


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine(tmp_path_factory.mktemp("machine"), {"EO_SHARDS_CHUNK": "128"})


@pytest.fixture(scope="session")
def job(machine: Machine, place: Place) -> str:
    """A job that the command line has done, with every pixel a point."""
    bbox = ",".join(map(str, BOX))
    done = machine.run("run", *machine.order(place, "--sampled-fraction", "1", bbox=bbox))
    assert done.code == 0, done.err
    return machine.run("jobs").out.split()[0]


@pytest.fixture(scope="session")
def served(machine: Machine, job: str) -> Iterator[Served]:
    assert job
    with serving(machine) as server:
        yield server


@pytest.fixture
def address(served: Served, job: str) -> str:
    """The page of the job."""
    return f"{served.address}/jobs/{job}/view"
