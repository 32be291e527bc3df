"""archspec: YAML graphs of blocks, compiled to verified torch modules.

>>> import archspec
>>> arch = archspec.load("densenet", params={"growth_rate": 12})
>>> arch.output_shape
('N', 10)
>>> net = arch.build()
"""

from archspec.architecture import Architecture, compile, load, loads
from archspec.diagnostics.diagnostic import Diagnostic, Span, SpecError
from archspec.text.files import bundled
from archspec.text.limits import Limits
from archspec.training import train

__version__ = "0.1.0"
__all__ = [
    "Architecture",
    "Diagnostic",
    "Limits",
    "Span",
    "SpecError",
    "__version__",
    "bundled",
    "compile",
    "load",
    "loads",
    "train",
]
