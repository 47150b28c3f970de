"""Cube shards to the land-cover labels of patches of 1,200 m."""
