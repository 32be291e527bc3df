"""A run's folder: what is in it, written whole, locked, and held against damage."""
