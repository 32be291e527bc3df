"""Settings of the whole suite."""

import os

# Test processes run side by side, one a core: more threads than that only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
