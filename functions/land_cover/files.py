"""Names of the result's files, and the media type of the table."""

PARQUET, GEOJSON = "land_cover.parquet", "land_cover.geojson"
PROBABILITIES, LABELS = "land_cover_probabilities.tif", "land_cover_most_probable.tif"
NAMES = f"{LABELS}.aux.xml"
"""Where GDAL looks for what a GeoTIFF has no place for: the names of the codes (PAM)."""
MAP, STATISTICS = "land_cover.png", "statistics.json"
ITEM, MODEL_ITEM = "land_cover.json", "model.json"

TABLE = "application/vnd.apache.parquet"
