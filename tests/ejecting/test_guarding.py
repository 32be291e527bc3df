"""The guard: a file that is not the network never leaves `eject`."""

from __future__ import annotations

import pytest

import archspec
from archspec.ejecting import building, channels, classes, guarding
from archspec.ejecting.constructors import Constructors
from archspec.ejecting.symbols import Differs
from archspec.ejecting.view import View
from archspec.folding.terms import Binary, Constant

NARROWING = """
input: [16, 8, 8]
blocks:
  narrow:
    layers:
      - {name: conv, conv2d: {out_channels: "in_channels // 2", kernel_size: 3, padding: 1}}
      - batch_norm
      - relu
      - {name: again, conv2d: {out_channels: in_channels, kernel_size: 1}}
layers:
  - {name: one, narrow: {}}
  - {name: two, narrow: {}}
  - {name: three, narrow: {}}
"""
TEXT = """
class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(4, 6)
        self.act = nn.ReLU()
        self.two = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x)
        y = self.act(self.two(x))
        return x + y
"""
SPEC = """
input: [4]
layers:
  - {name: one, linear: 6}
  - {name: two, linear: 6}
  - relu
  - add: [one, -1]
"""


def checked(text, spec=SPEC):
    view = View(archspec.loads(spec, warn=False).emitted, "net")
    guarding.check(text, "Net", view.root, Constructors(False))


def test_a_text_that_is_the_network_passes():
    checked(TEXT)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("Linear(6, 6)", "Linear(6, 7)", "other arguments of two"),
        ("Linear(6, 6)", "Linear(6, 6, bias=False)", "other arguments of two"),
        ("self.two = ", "self.three = ", "three where two is"),
        ("self.two(x)", "self.two(self.one(x))", "other computations"),
        ("x + y", "y + x", "other computations"),
        ("x + y", "y", "other computations"),
        ("self.two(x)", "self.one(x)", "other computations"),
        ("self.two(x)", "self.type(x)", "no attribute type"),
        ("self.two = ", "self.one = ", "other arguments of one"),
        (
            "super().__init__()",
            "super().__init__()\n        while self:\n            pass",
            "known",
        ),
    ],
)
def test_a_text_that_is_another_network_does_not(right, wrong, message):
    with pytest.raises(Differs, match=message):
        checked(TEXT.replace(right, wrong))


def test_modules_in_another_order_are_another_network():
    lines = TEXT.splitlines()
    lines[4], lines[6] = lines[6], lines[4]
    with pytest.raises(Differs, match="two where one is"):
        checked("\n".join(lines))


REPLACED = channels.replaced


def narrower(term, values):
    """As `replaced`, but divides by another number: a wrong term."""
    made = REPLACED(term, values)
    if isinstance(made, Binary) and made.operator == "//":
        return made._replace(right=Constant(4))
    return made


def test_a_class_with_a_wrong_term_is_written_in_full(monkeypatch):
    arch = archspec.loads(NARROWING, warn=False)
    assert "in_channels // 2" in arch.eject()
    monkeypatch.setattr(channels, "replaced", narrower)
    made = arch.eject()
    assert "nn.Conv2d(16, 8, 3, padding=1)" in made
    assert "// 4" not in made


def test_what_is_wrong_in_full_too_is_refused(monkeypatch):
    arch = archspec.loads(SPEC, warn=False)
    made = building.Building.value
    monkeypatch.setattr(
        classes.Class, "value", lambda *given: made(*given).replace("Linear(4", "Linear(5")
    )
    with pytest.raises(archspec.SpecError) as refused:
        arch.eject()
    (diagnostic,) = refused.value.diagnostics
    assert diagnostic.code == "AS805"
    assert "other arguments of one" in diagnostic.message
