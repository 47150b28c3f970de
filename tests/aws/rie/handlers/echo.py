"""A function that does nothing, or what it is told: what the emulator itself does and costs."""

from __future__ import annotations

import os
import time
from typing import Any


def handler(event: dict[str, Any], _context: object) -> Any:
    time.sleep(event.get("sleep", 0))
    return {"pid": os.getpid(), "text": "x" * event.get("bytes", 0)}
