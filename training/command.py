"""What the commands of training have in common: how they fail, and how they are stopped."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from eo.errors import EoShardsError

Arguments = ParamSpec("Arguments")
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""
AGAIN = "run the same command again"
"""What is said of a command that was stopped and knows nothing better."""


def command(main: Callable[Arguments, int]) -> Callable[Arguments, int]:
    """A command that tells what it could not do, instead of a traceback: its exit code is that of `eo-shards` then.

    One that was stopped says what to do about it, which is the text of the KeyboardInterrupt where that has any.
    """

    @wraps(main)
    def told(*arguments: Arguments.args, **named: Arguments.kwargs) -> int:
        try:
            return main(*arguments, **named)
        except EoShardsError as error:
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code
        except KeyboardInterrupt as stop:
            print(f"stopped: {str(stop) or AGAIN}", file=sys.stderr)
            return INTERRUPTED

    return told
