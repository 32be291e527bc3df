"""The globals of generated code: torch, and nothing else.

A real module, since `torch.compile` looks a function's globals up in the module it names.
"""

import torch

__all__ = ["torch"]
