"""OGC API - Processes over HTTP: events in the shape of API Gateway in, orders of the job service out."""
