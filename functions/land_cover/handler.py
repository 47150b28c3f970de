"""The land-cover function: patches of the cube as labels."""

from eo.handler import handled
from eo.unit_handler import unit

handler = handled(unit)
