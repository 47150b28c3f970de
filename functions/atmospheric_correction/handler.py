"""The atmospheric correction function: the air over a scene, and shards of the cube as surface reflectance."""

from eo.handler import handled
from eo.unit_handler import unit

handler = handled(unit)
