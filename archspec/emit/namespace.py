"""The globals of generated code: torch, and functions that it calls.

A real module, since `torch.compile` looks a function's globals up in the module it names.
"""

import torch

from archspec.runtime.recurrent import with_state, with_states
from archspec.runtime.sizes import check_sizes, not_legal, not_legal_together

__all__ = ["check_sizes", "not_legal", "not_legal_together", "torch", "with_state", "with_states"]
