"""Orders by S3: an object below `incoming/<process>/` becomes jobs."""
