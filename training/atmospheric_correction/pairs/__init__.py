"""Real training pairs: L1C and L2A products of one datatake and tile, as CDSE delivers them in SAFE format."""
