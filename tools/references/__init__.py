"""The networks beyond torchvision's classifiers, and the modules to compare their specs with.

One module a kind of network. Each function below `@reference` makes the module to compare with; its
name is that of the spec, in `zoo/` or `specs/`. Packages that are not installed leave out the
networks that need them.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import nn

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = (ROOT / "zoo", ROOT / "specs")


@dataclass(frozen=True)
class Reference:
    """A module, and how a spec is compared with it.

    `kind` is the kind of network: its module here. `sizes` are those at which both really run,
    where the spec declares sizes; figures are compared at the spec's own. `call` applies the
    reference, where that is more than a call with the inputs of the spec in order. `arguments` are
    parameters of the spec, for a network that is compared at less than its full width or depth.

    `inert` are patterns of the tensors that cannot change what is returned, with the reason.
    """

    name: str
    kind: str
    make: Callable[[], nn.Module]
    sizes: Mapping[str, int] = field(default_factory=dict)
    call: Callable[..., Any] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    inert: Mapping[str, str] = field(default_factory=dict)

    @property
    def spec(self) -> Path:
        """Its spec's file."""
        found = [folder / f"{self.name}.yaml" for folder in FOLDERS]
        return next((path for path in found if path.is_file()), found[0])


KEY_BIAS = "adds the same to all logits of a query"
"""Why the bias of the keys of attention changes nothing."""

REFERENCES: dict[str, Reference] = {}
MISSING: dict[str, str] = {}
"""The kinds that are left out, and the packages that they need."""


def reference(**how: Any) -> Callable[[Callable[[], nn.Module]], Callable[[], nn.Module]]:
    """Registers the function that makes a reference; `how` are attributes of `Reference`."""

    def register(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
        kind = make.__module__.rpartition(".")[2]
        REFERENCES[make.__name__] = Reference(make.__name__, kind, make, **how)
        return make

    return register


def load() -> Mapping[str, Reference]:
    """All references whose packages are installed, by name."""
    for module in pkgutil.iter_modules(__path__):
        try:
            importlib.import_module(f"{__name__}.{module.name}")
        except ModuleNotFoundError as error:
            if "." in str(error.name):  # a part of a package that is installed
                raise
            MISSING[module.name] = str(error.name)
    return MappingProxyType(REFERENCES)
