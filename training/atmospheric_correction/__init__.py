"""Correctors of Sentinel-2 L1C, trained on simulated scenes and, where a user has them, on real pairs."""
