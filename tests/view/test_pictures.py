"""Results without a point cloud: pictures, and before and after with a slider between them."""

import io
import json
from typing import Any

import numpy as np
from PIL import Image

from serving import Served

RED, BLUE = (200, 30, 30), (30, 30, 200)


def test_before_and_after_are_swiped(opened: Any, served: Served) -> None:
    """As a correction draws it: before in the left half of one picture, after in the right."""
    both = np.empty((120, 400, 3), np.uint8)
    both[:, :200], both[:, 200:] = RED, BLUE
    png = io.BytesIO()
    Image.fromarray(both).save(png, "PNG")
    address = f"{served.address}/jobs/0123456789abcdef"
    links = {"before_after": {"href": f"{address}/results/before_after.png", "type": "image/png", "title": "Both"}}
    shown = opened("about:blank")
    shown.page.route("**/results", lambda route: route.fulfill(content_type="application/json", body=json.dumps(links)))
    shown.page.route("**/before_after.png", lambda route: route.fulfill(content_type="image/png", body=png.getvalue()))
    shown.page.goto(f"{address}/view")
    shown.page.wait_for_selector(".swipe .edge")

    def row() -> Any:
        shot = Image.open(io.BytesIO(shown.page.locator(".swipe").screenshot())).convert("RGB")
        return np.asarray(shot)[shot.height // 2].astype(int)

    def share() -> float:
        """Of the row's red and blue pixels, how many are red; all red ones lie left of all blue ones."""
        pixels = row()
        red = np.abs(pixels - RED).max(axis=1) < 20
        blue = np.abs(pixels - BLUE).max(axis=1) < 20
        if red.any() and blue.any():
            assert np.flatnonzero(red).max() < np.flatnonzero(blue).min()
        return float(red.sum() / (red.sum() + blue.sum()))

    assert abs(share() - 0.5) < 0.02
    shown.shot("before-after")
    shown.page.fill(".card input[type=range]", "80")
    assert abs(share() - 0.8) < 0.02
    shown.page.focus(".card input[type=range]")
    shown.page.keyboard.press("Home")
    assert share() < 0.02

    # The edge follows the mouse, whatever lies under it, and stops at the ends.
    box = shown.page.locator(".swipe").bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    shown.page.mouse.move(box["x"] + 0.4 * box["width"], y)
    shown.page.mouse.down()
    for along in (0.4, 0.45, 0.55, 0.7, 0.3, 0.6):
        shown.page.mouse.move(box["x"] + along * box["width"], y)
        assert abs(share() - along) < 0.02
    shown.page.mouse.move(box["x"] + 1.2 * box["width"], y)
    assert share() > 0.98
    shown.page.mouse.up()
    shown.page.mouse.move(box["x"] + 0.5 * box["width"], y)
    assert share() > 0.98, "the button is up"
    # In either half: each has a picture of its own under the mouse.
    for along in (0.25, 0.6, 0.4):
        shown.page.mouse.click(box["x"] + along * box["width"], y)
        assert abs(share() - along) < 0.02
    assert shown.serious() == []
    assert shown.said == []
