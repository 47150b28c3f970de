"""Patches of BigEarthNet from its folders as distributed and from Zarr, to batches."""
