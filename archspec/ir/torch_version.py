"""Which torch is installed, found without importing it. A few figures depend on that."""

from __future__ import annotations

import re
from functools import cache


@cache
def torch_version() -> tuple[int, int]:
    """Its major and minor version."""
    from importlib.metadata import version

    found = re.match(r"(\d+)\.(\d+)", version("torch"))
    assert found is not None
    return int(found[1]), int(found[2])
