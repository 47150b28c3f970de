"""Fan-in: the parts of the last stage become the result."""
