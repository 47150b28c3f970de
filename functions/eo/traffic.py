"""What was asked of remote sources: counted where it happens, summed in the usage of a unit."""

from dataclasses import dataclass


@dataclass
class Traffic:
    """Requests and bytes of one piece of work."""

    requests: int = 0
    """Attempts, failed ones included."""
    bytes: int = 0
    """Bytes of bodies that arrived."""
