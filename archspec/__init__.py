"""archspec: YAML graphs of blocks, compiled to verified torch modules.

>>> import archspec
>>> arch = archspec.load("densenet", params={"growth_rate": 12})
>>> arch.output_shape
('N', 10)
>>> net = arch.build()
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archspec.architecture import Architecture
    from archspec.data.errors import DataError
    from archspec.diagnostics.diagnostic import (
        ArchspecError,
        Diagnostic,
        Span,
        SpecError,
        SpecWarning,
    )
    from archspec.exporting.errors import ExportError
    from archspec.importing.importer import from_module
    from archspec.loading import compile, load, loads
    from archspec.text.files import bundled
    from archspec.text.limits import Limits
    from archspec.training import train
    from archspec.training.errors import Stopped, TrainingError
    from archspec.weights.errors import WeightsError

__version__ = "0.1.0"
__all__ = [
    "Architecture",
    "ArchspecError",
    "DataError",
    "Diagnostic",
    "ExportError",
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
    "from_module",
    "load",
    "loads",
    "train",
]

_HOMES = {
    "architecture": ("Architecture",),
    "data.errors": ("DataError",),
    "diagnostics.diagnostic": ("ArchspecError", "Diagnostic", "Span", "SpecError", "SpecWarning"),
    "exporting.errors": ("ExportError",),
    "importing.importer": ("from_module",),
    "loading": ("compile", "load", "loads"),
    "text.files": ("bundled",),
    "text.limits": ("Limits",),
    "training": ("train",),
    "training.errors": ("Stopped", "TrainingError"),
    "weights.errors": ("WeightsError",),
}
"""Where each public name is defined: it is imported when it is first used."""


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            found = getattr(import_module(f"archspec.{home}"), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
