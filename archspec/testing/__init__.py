"""For tests of ops and specs of one's own: random calls and graphs, held against real torch."""

from archspec.testing.contract import OpCase, check_call, examples, op_calls
from archspec.testing.following import check_follows, following_specs
from archspec.testing.graphs import check_spec, specs, to_text
from archspec.testing.loops import loop_specs
from archspec.testing.mixed import mixed_specs

__all__ = [
    "OpCase",
    "check_call",
    "check_follows",
    "check_spec",
    "examples",
    "following_specs",
    "loop_specs",
    "mixed_specs",
    "op_calls",
    "specs",
    "to_text",
]
