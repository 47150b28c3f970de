"""How many TCP connections clients hold, counted so that a limit on them can be asserted."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time


def abort(connection: socket.socket) -> None:
    """End a connection by RST: a close with linger time 0 (SO_LINGER, socket(7))."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Connections:
    """Open now, most at once, and in all; thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open: dict[int, tuple[socket.socket, int]] = {}
        self._peak = 0
        self._total = 0

    @property
    def open(self) -> int:
        """Connections whose client has not closed them, now."""
        with self._changed:
            return self._living()

    @property
    def peak(self) -> int:
        """Most connections open at the same time."""
        with self._changed:
            return self._peak

    @property
    def total(self) -> int:
        """Connections accepted."""
        with self._changed:
            return self._total

    def opened(self, connection: socket.socket) -> None:
        """Count a connection that was just accepted."""
        with self._changed:
            self._total += 1
            self._open[id(connection)] = (connection, self._total)
            # A client that closes one connection and then opens another never had two, although the thread of the
            # first may not have seen its end yet: so the living are counted by looking at the sockets.
            self._peak = max(self._peak, self._living())

    def closed(self, connection: socket.socket) -> None:
        """Count a connection that has ended; a second call does nothing."""
        with self._changed:
            self._open.pop(id(connection), None)
            self._changed.notify_all()

    def number(self, connection: socket.socket) -> int:
        """Return the number of a connection, from 1 in order of acceptance; 0 if it has ended."""
        with self._changed:
            return self._open.get(id(connection), (connection, 0))[1]

    def forget(self) -> None:
        """Start counting anew; connections that are open stay counted."""
        with self._changed:
            self._peak = self._total = self._living()

    def close_all(self, patience: float = 5.0) -> None:
        """Shut every connection and wait for their threads to let go of them."""
        deadline = time.monotonic() + patience
        with self._changed:
            for connection, _ in self._open.values():
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            while self._open and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)

    def _living(self) -> int:
        return sum(not _ended(connection) for connection, _ in self._open.values())


def _ended(connection: socket.socket) -> bool:
    """Tell whether the client has closed (nothing but FIN or RST is left to read)."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
