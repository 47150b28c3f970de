"""Where a job's local origin lies."""

from eo.job import Plan


def origin_pixel(plan: Plan) -> tuple[int, int]:
    """(column, row) of the pixel in the middle of the job, whose centre is the local origin."""
    window = plan.grid.window
    return window.col + window.width // 2, window.row + window.height // 2


def origin(plan: Plan) -> tuple[float, float, float]:
    """The local origin, in metres of the CRS."""
    col, row = origin_pixel(plan)
    return plan.grid.x(col + 0.5), plan.grid.y(row + 0.5), 0.0
