"""Cube shard to coloured points."""
