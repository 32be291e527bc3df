"""archspec: YAML graphs of blocks, compiled to verified torch modules.

>>> import archspec
>>> arch = archspec.load("densenet", params={"growth_rate": 12})
>>> arch.output_shape
('N', 10)
>>> net = arch.build()
"""

from typing import TYPE_CHECKING, Any

from archspec.architecture import Architecture, compile, load, loads
from archspec.diagnostics.diagnostic import (
    ArchspecError,
    Diagnostic,
    Span,
    SpecError,
    SpecWarning,
)
from archspec.text.files import bundled
from archspec.text.limits import Limits
from archspec.training import train

if TYPE_CHECKING:
    from archspec.data.errors import DataError
    from archspec.training.errors import Stopped, TrainingError
    from archspec.weights.errors import WeightsError

__version__ = "0.1.0"
__all__ = [
    "Architecture",
    "ArchspecError",
    "DataError",
    "Diagnostic",
    "Limits",
    "Span",
    "SpecError",
    "SpecWarning",
    "Stopped",
    "TrainingError",
    "WeightsError",
    "__version__",
    "bundled",
    "compile",
    "load",
    "loads",
    "train",
]

_LATER = {
    "DataError": "archspec.data.errors",
    "Stopped": "archspec.training.errors",
    "TrainingError": "archspec.training.errors",
    "WeightsError": "archspec.weights.errors",
}
"""Errors of rooms that are imported when they are first needed."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name)
