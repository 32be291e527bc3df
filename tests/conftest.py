"""Settings of the whole suite."""

import os

import pytest
from hypothesis import settings

import archspec.ops  # noqa: F401 (a test that runs alone sees all ops too)

# Test processes run side by side, one a core: more threads than that only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

# Many tests start a process of their own: each would compile all of archspec anew otherwise.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The same examples in every run; HYPOTHESIS_PROFILE=explore draws others each time.
settings.register_profile("suite", derandomize=True, database=None, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


def pytest_collection_modifyitems(items):
    """Tests marked `cuda` are skipped where there is no GPU. Torch is imported only for them."""
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="needs a GPU"))
