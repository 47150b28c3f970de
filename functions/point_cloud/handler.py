"""The point cloud function: shards of the cube as bodies of a PLY file."""

from eo.handler import handled
from eo.unit_handler import unit

handler = handled(unit)
