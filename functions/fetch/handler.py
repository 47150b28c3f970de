"""The fetch function: blocks of sources into the cube, and the cube onto the target grid."""

from eo.handler import handled
from eo.unit_handler import unit

handler = handled(unit)
