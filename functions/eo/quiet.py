"""What libraries say on their own."""

import logging
import sys
import warnings
from typing import Any


def quiet() -> None:
    """Keep what libraries log and warn of from the terminal: what matters is raised, and nobody has redacted the rest."""
    logging.getLogger().addHandler(logging.NullHandler())
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    # GDAL calls back into Python to read remote files. What a failed read raises there cannot pass through C, so Python
    # would print its traceback, unredacted; the reader has kept the error, and it is raised once GDAL gives up.
    sys.unraisablehook = _unsaid


def _unsaid(_unraisable: Any) -> None:  # noqa: ANN401 - sys.UnraisableHookArgs exists for type checkers only
    """Say nothing of it."""
