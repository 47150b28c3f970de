"""What the commands of training have in common: how they fail."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from eo.errors import EoShardsError

Arguments = ParamSpec("Arguments")


def command(main: Callable[Arguments, int]) -> Callable[Arguments, int]:
    """A command that tells what it could not do, instead of a traceback: its exit code is that of `eo-shards` then."""

    @wraps(main)
    def told(*arguments: Arguments.args, **named: Arguments.kwargs) -> int:
        try:
            return main(*arguments, **named)
        except EoShardsError as error:
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code

    return told
