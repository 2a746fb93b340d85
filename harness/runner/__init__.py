"""Running cells: read the data, plan, encode, fit and score, and keep every result."""
