"""The primitive ops, one family a file, which is imported when one of its ops is asked for."""

from archspec.ir.op import REGISTRY
from archspec.ops.names import MODULES

REGISTRY.expect(__name__, MODULES)

__all__: list[str] = []
