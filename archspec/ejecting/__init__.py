"""Graph → one Python file that needs torch alone: `eject` is all that callers need."""

from archspec.ejecting.eject import eject

__all__ = ["eject"]
