"""The primitive ops, one family a file. Importing this package fills the registry."""

from archspec.ops import (
    activation,
    batch_norm_scratch,
    conv,
    linear,
    merge,
    norm,
    parameter,
    pool,
    regularization,
    reshape,
    resize,
    stochastic_depth,
)

__all__ = [
    "activation",
    "batch_norm_scratch",
    "conv",
    "linear",
    "merge",
    "norm",
    "parameter",
    "pool",
    "regularization",
    "reshape",
    "resize",
    "stochastic_depth",
]
