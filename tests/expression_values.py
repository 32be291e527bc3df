"""Expressions evaluated by themselves, outside a spec."""

from __future__ import annotations

import pytest

from archspec.diagnostics.diagnostic import Refusal
from archspec.expressions.evaluate import Budget, Env
from archspec.expressions.parse import parse
from archspec.text.limits import Limits


def value(text: str, shape=None, limits: Limits | None = None, **names):
    limits = limits or Limits()
    return parse(text, limits).evaluate(Env(names, shape, Budget(limits)))


def refusal(text: str, **names) -> Refusal:
    with pytest.raises(Refusal) as raised:
        value(text, **names)
    return raised.value
