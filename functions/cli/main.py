"""The command `eo-shards`: signals and failures. What the commands do is in `cli.commands`."""

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eo.settings import Settings

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130
"""Exit code after Ctrl-C or SIGTERM, as shells have it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code. Failures are one line on standard error, never a traceback."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, _interrupt)
    try:
        return _checked(argv)
    except KeyboardInterrupt:
        return _fail("stopped; the same command goes on where it was", INTERRUPTED, None)


def _checked(argv: Sequence[str] | None) -> int:
    # Imported here, so that Ctrl-C meanwhile is no traceback; it is heard when they are: Rust's modules (pydantic) panic
    # where an exception comes into their initialisation.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        from cli.commands import command  # noqa: PLC0415
        from eo.errors import EoShardsError  # noqa: PLC0415
        from eo.quiet import quiet  # noqa: PLC0415
        from eo.settings import Settings  # noqa: PLC0415
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    quiet()
    settings: Settings | None = None
    try:
        run = command(argv)
        settings = Settings.from_environment()
        run(settings)
        sys.stdout.flush()
    except EoShardsError as error:
        return _fail(f"{type(error).__name__}: {error}", error.exit_code, settings)
    except BrokenPipeError:
        # The reader has gone (`| head`); what is left in the buffer must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # noqa: BLE001 - the last resort: a line and a log instead of a traceback
        return _fail(_unexpected(error, settings), 1, settings)
    return 0


def _fail(message: str, code: int, settings: "Settings | None") -> int:
    if settings is not None:
        from eo.settings import redact  # noqa: PLC0415

        message = redact(message, settings)
    print(f"eo-shards: {' '.join(message.split())}", file=sys.stderr)
    return code


def _unexpected(error: Exception, settings: "Settings | None") -> str:
    """Write the traceback where it can be sent from, and say where."""
    from eo.settings import redact  # noqa: PLC0415

    brief = f"unexpected {type(error).__name__}: {error}"
    if settings is None:
        return brief
    log = settings.home / "error.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(redact("".join(traceback.format_exception(error)), settings))
    except OSError:
        return brief
    return f"{brief}; this is a fault of eo-shards, please report it with {log}"


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
