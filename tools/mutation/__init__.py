"""Mutation of the package: does a test notice when a line is wrong? See `tools/mutate.py`."""
