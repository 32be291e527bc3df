"""Graph → `torch.nn.Module`: `emit` is all that callers need."""

from archspec.emit.module import emit

__all__ = ["emit"]
