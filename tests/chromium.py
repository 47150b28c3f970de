"""A page in a real Chromium, and what it asked for and said. Screenshots go to build/screenshots, which CI keeps."""

import io
import json
import shutil
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import ConsoleMessage, Page, Request, Response, Route

ROOT = Path(__file__).parents[1]
AXE = ROOT / "view" / "node_modules" / "axe-core" / "axe.min.js"
SHOTS = ROOT / "build" / "screenshots"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# No GPU here: SwiftShader draws. The others keep the browser from calling home.
FLAGS = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--no-first-run",
]
BOX = [11.2405, 46.6212, 11.2895, 46.6535]
"""Within the scene and its elevation: 375 x 359 pixels."""
PATIENCE = 20_000
"""Milliseconds: machines that test are busy."""
STEP = 20


class Held:
    """Requests that wait for their answer."""

    def __init__(self, page: Page, pattern: str) -> None:
        self.routes: list[Route] = []
        self._page = page
        page.route(pattern, lambda route: self.routes.append(route))  # noqa: PLW0108 - Playwright marks functions

    def __getitem__(self, index: int) -> Route:
        """A request, waited for: that a page has sent it is told before it comes here."""
        for _ in range(PATIENCE // STEP):
            if index < len(self.routes):
                break
            self._page.wait_for_timeout(STEP)
        return self.routes[index]


@dataclass
class Shown:
    """A page, and what it asked for and said."""

    page: Page
    said: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)

    @classmethod
    def of(cls, page: Page) -> "Shown":
        shown = cls(page)
        page.on("console", shown.note)
        page.on("pageerror", lambda error: shown.said.append(str(error)))
        page.on("request", lambda request: shown.requests.append(request))  # noqa: PLW0108 - Playwright marks functions
        page.on("response", lambda response: shown.responses.append(response))  # noqa: PLW0108
        return shown

    def note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.said.append(message.text)

    def ready(self) -> "Shown":
        self.page.wait_for_selector("html[data-state=ready]", timeout=PATIENCE)
        return self

    def settled(self) -> "Shown":
        """Wait until what was asked of the view has been drawn, and all that it needs is there."""
        # Frames come in the order in which they were asked for.
        self.page.evaluate("async () => { for (const _ of [1, 2]) await new Promise(requestAnimationFrame) }")
        return self.ready()

    @property
    def points(self) -> int:
        return int(self.page.locator("html").get_attribute("data-points") or 0)

    def told(self, kind: str) -> str:
        """What the page says went wrong."""
        self.page.wait_for_selector(f"#message[data-kind={kind}]:visible", timeout=PATIENCE)
        return self.page.inner_text("#message")

    def until(self, script: str) -> None:
        """Wait until a condition holds in the page."""
        self.page.wait_for_function(script, timeout=PATIENCE)

    def mock(self, pattern: str, document: Any, status: int = 200) -> None:
        """Answer requests with a document in the service's place."""
        kind = "application/json" if status == HTTPStatus.OK else "application/problem+json"
        body = json.dumps(document)
        self.page.route(pattern, lambda route: route.fulfill(status=status, content_type=kind, body=body))

    def held(self, pattern: str) -> "Held":
        """Keep requests back until the test answers them."""
        return Held(self.page, pattern)

    def picture(self) -> NDArray[np.uint8]:
        """The canvas as it is on the screen, without what lies over it: its upper middle."""
        box = self.page.locator("#canvas").bounding_box()
        assert box is not None
        shot = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        left, top = int(box["x"] + box["width"] * 0.3), int(box["y"] + box["height"] * 0.3)
        return np.asarray(shot.crop((left, top, left + int(box["width"] * 0.4), top + int(box["height"] * 0.35))))

    def colours(self) -> int:
        """How many there are in the picture: ground has many, the sky behind it a few."""
        return len(np.unique(self.picture().reshape(-1, 3), axis=0))

    def shot(self, name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png")

    @property
    def pieces(self) -> list[Response]:
        """The answers with pieces of the point cloud."""
        return [each for each in self.responses if ".copc.laz" in each.url]

    def serious(self) -> list[str]:
        """What axe finds serious or critical."""
        found: dict[str, Any] = self.page.evaluate("() => axe.run()")
        bad = [each for each in found["violations"] if each["impact"] in {"serious", "critical"}]
        return [f"{each['id']}: {json.dumps([node['html'] for node in each['nodes']])}" for each in bad]
