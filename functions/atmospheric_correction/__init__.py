"""Cube shards from top-of-atmosphere to surface reflectance."""
