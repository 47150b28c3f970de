"""The peer to beat: EO-Point-Cloud, a DeltaTwin component, measured with its own functions (see bench/README.md)."""

from __future__ import annotations

from dataclasses import dataclass

from bench.bare import decode_cpu
from bench.data import scene
from bench.job import run
from bench.table import Row

FRACTION = 0.2
WORKERS = 2


@dataclass(frozen=True)
class Peer:
    """What it took at fraction 0.2, 20 m, on the machine where it was measured."""

    size: int
    cpu: float
    peak_mb: float
    decode_cpu: float
    """CPU seconds of the bare decode of its three bands on that machine."""


PEERS = (Peer(3000, 54, 2417, 3.7), Peer(5490, 204, 7362, 11.7))


def rows() -> list[Row]:
    """Ours against theirs, scaled by the decode speed of the two machines. Our start-up counts."""
    result = []
    for peer in PEERS:
        judged = peer.size == 5490
        jp2 = scene(peer.size, 20)
        decode, _ = decode_cpu(jp2.bands)
        scale = decode / peer.decode_cpu
        name = f"peer at {peer.size}^2, 20 m, fraction 0.2"
        result += [
            Row(f"{name}: bare decode of three bands here", decode, "CPU s"),
            Row(f"{name}: its CPU, scaled by decode speed x {scale:.2f}", scale * peer.cpu, "CPU s"),
        ]
        for known, bar in ((jp2, 8), (scene(peer.size, 20, "cog"), 15)):
            ours = run(known, FRACTION, WORKERS)
            kind = known.kind.upper()
            tree = ours.spent.tree_rss / 1e6
            result += [
                Row(f"{name}: ours from {kind}", ours.spent.cpu, "CPU s"),
                Row(
                    f"{name}: less CPU from {kind}",
                    scale * peer.cpu / ours.spent.cpu,
                    "x",
                    bar if judged else None,
                    "higher",
                ),
                Row(f"{name}: whole tree's peak from {kind}", tree, "MB"),
                Row(
                    f"{name}: less peak memory of the whole tree from {kind}",
                    *(peer.peak_mb / tree, "x", 5 if judged and known is jp2 else None, "higher"),
                ),
            ]
    return result
