"""What libraries say on their own."""

import logging
import sys
import warnings
from types import TracebackType
from typing import Any

from eo.errors import EoShardsError


def quiet() -> None:
    """Keep what libraries log and warn of from the terminal: what matters is raised, and nobody has redacted the rest."""
    logging.getLogger().addHandler(logging.NullHandler())
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    # GDAL calls back into Python to read remote files. What a failed read raises there cannot pass through C, so Cython
    # has it printed, by both hooks, unredacted; the reader has kept the error, and it is raised once GDAL gives up.
    sys.unraisablehook = _unsaid
    sys.excepthook = _raised


def _unsaid(_unraisable: Any) -> None:  # noqa: ANN401 - sys.UnraisableHookArgs exists for type checkers only
    """Say nothing of it."""


def _raised(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print what nobody caught, but not our own errors: whoever runs a job or a unit catches and tells those."""
    if not isinstance(error, EoShardsError):
        sys.__excepthook__(kind, error, trace)
