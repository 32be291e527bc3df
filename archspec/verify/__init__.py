"""Static against real: `verify` runs the emitted module and compares all that was said about it."""

from archspec.verify.report import Mismatch, Report
from archspec.verify.verifier import RUN_ERRORS, verify

__all__ = ["RUN_ERRORS", "Mismatch", "Report", "verify"]
