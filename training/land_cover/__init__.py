"""Land-cover labels of Sentinel-2 patches, trained on BigEarthNet or on patches shaped like its."""
