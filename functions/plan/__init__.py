"""Job to plan: scenes, grid, stages, units, budget."""
