"""One job of `eo-shards serve`, as a process that ends with the server, however that ends."""

import os
import signal
import sys
import threading

from cli.main import main


def _follow() -> None:
    """Stop as if asked to when standard input ends: the server holds its other end."""
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_follow, daemon=True).start()
    sys.exit(main(["resume", sys.argv[1]]))
