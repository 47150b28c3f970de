"""The command line: the front of the local engine, as an API gateway and its functions are of the bundle.

The packages beside `eo` do not import each other: each is deployed by itself, and only the plan's records join them.
This one is the exception. Nothing of it is deployed; on one machine it is what joins them, and so it imports `plan` to
make a plan, `merge` for the fan-in and `point_cloud.pictures` to draw what `inspect` looks at. No package imports it.
"""
