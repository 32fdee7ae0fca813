"""English sentences read into who moves, what it is seen from, and where it is first and last, without any model."""
