"""Cloud-optimised point clouds, COPC 1.0 (https://github.com/copcio/copcio.github.io): what makes LAZ chunks an octree."""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from point_cloud.las import evlr_header, vlr

NODE = np.dtype(
    [*((name, "<i4") for name in ("level", "x", "y", "z")), ("offset", "<u8"), ("bytes", "<i4"), ("points", "<i4")]
)
"""An entry of a hierarchy page: 32 bytes. Points 0: none here, but below. Points -1: another page says it."""
PAGE_LEVELS = 6
"""Levels that a page tells of, counted from the deepest: 1,365 nodes, or 44 KB, where relief does not cut them further."""
_INFO = struct.Struct("<5d2Q2d11Q")


@dataclass(frozen=True, slots=True)
class Info:
    """The record by which readers find their way."""

    centre: tuple[float, float, float]
    """Of the cube, in metres."""
    half: float
    """Half of the cube's edge in metres."""
    spacing: float
    """Metres between points of the root, which halve from level to level."""
    gps_time: tuple[float, float]
    """Smallest and largest of the points."""
    page: int
    """Bytes before the first page of the hierarchy."""
    page_size: int

    def encode(self) -> bytes:
        """The record as it comes first in the file."""
        none = [0] * 11
        data = _INFO.pack(*self.centre, self.half, self.spacing, self.page, self.page_size, *self.gps_time, *none)
        return vlr("copc", 1, "COPC info", data)


def sorted_keys(nodes: NDArray[np.void]) -> NDArray[np.uint64]:
    """A number for each node: by level, then x, y, z. Levels are below 20."""
    return _packed(*(nodes[name] for name in ("level", "x", "y", "z")))


def with_ancestors(nodes: NDArray[np.void]) -> NDArray[np.void]:
    """Nodes of `NODE` with all their ancestors, by level, x, y, z: readers do not look below a node that is not there."""
    by_level = [nodes[nodes["level"] == level] for level in range(int(nodes["level"].max()) + 1)]
    for level in range(len(by_level) - 1, 0, -1):
        parents = np.zeros(by_level[level].size, NODE)
        parents["level"] = level - 1
        for axis in "xyz":
            parents[axis] = by_level[level][axis] >> 1
        both = np.concatenate([by_level[level - 1], parents])
        # Of equal keys the first is taken: the node itself, where it has points.
        by_level[level - 1] = both[np.unique(sorted_keys(both), return_index=True)[1]]
    by_level[-1] = by_level[-1][np.argsort(sorted_keys(by_level[-1]))]
    return np.concatenate(by_level)


def hierarchy(nodes: NDArray[np.void], start: int) -> tuple[bytes, int]:
    """(all pages, the first one's size in bytes) of what `with_ancestors` made; `start` is the first page's place in the file.

    A page begins with a node and tells of what is below it, to a level where each node begins a page of its own.
    """
    levels = nodes["level"].astype(np.int64)
    deepest = int(levels.max())
    tops = np.array([0, *range((deepest + 1) % PAGE_LEVELS or PAGE_LEVELS, deepest + 1, PAGE_LEVELS)])
    top = tops[np.searchsorted(tops, levels, "right") - 1]
    page, first = np.unique(_ancestor(nodes, top), return_index=True)
    # Each page but the first is referred to by the page above, under the key of the node with which it begins.
    links = nodes[first[1:]].copy()
    links["points"] = -1
    above = tops[np.searchsorted(tops, links["level"]) - 1]
    every = np.concatenate([nodes, links])
    of_page = np.concatenate([_ancestor(nodes, top), _ancestor(links, above)])
    order = np.lexsort((sorted_keys(every), of_page))
    sizes = np.bincount(np.searchsorted(page, of_page)) * NODE.itemsize
    ends = np.cumsum(sizes)
    every["offset"][nodes.size :] = start + (ends - sizes)[1:]
    every["bytes"][nodes.size :] = sizes[1:]
    return every[order].tobytes(), int(sizes[0])


def _ancestor(nodes: NDArray[np.void], level: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Number (`sorted_keys`) of each node's ancestor of a level, or of itself."""
    up = nodes["level"] - level
    return _packed(level, nodes["x"] >> up, nodes["y"] >> up, nodes["z"] >> up)


def _packed(level: NDArray[np.integer], *place: NDArray[np.integer]) -> NDArray[np.uint64]:
    number = level.astype(np.uint64)
    for axis in place:
        number = number << np.uint64(19) | axis.astype(np.uint64)
    return number


def hierarchy_evlr(pages: bytes) -> bytes:
    """The hierarchy as the extended record that it is."""
    return evlr_header("copc", 1000, "EPT hierarchy", len(pages)) + pages
