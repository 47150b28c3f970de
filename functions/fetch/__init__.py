"""Source blocks to cube, and cube to target grid. The only package that opens pixels of a source."""
