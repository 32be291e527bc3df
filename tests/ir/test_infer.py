"""What is asked of every node, whatever its op."""

import pytest
import torch

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer
from archspec.ir.op import REGISTRY
from archspec.ir.shape import N
from archspec.ir.torch_version import torch_version

X = (N, 4)


@pytest.mark.parametrize(
    ("name", "inputs", "message", "help"),
    [
        ("relu", [X, X], "relu takes 1 input(s), got 2", "name one value: `from: name`"),
        ("relu", [], "relu takes 1 input(s), got 0", None),
        ("matmul", [X], "matmul takes 2 input(s), got 1", None),
        ("add", [X], "add takes two or more inputs, got 1", "name them: `add: [a, b]`"),
        (
            *("einsum", [X], "einsum takes 2 inputs, got 1"),
            "name them: `einsum: {inputs: [a, b], equation: …}`",
        ),
    ],
)
def test_the_number_of_inputs_is_held(name, inputs, message, help):
    needed = {"equation": "ni,ni->n"} if name == "einsum" else {}
    with pytest.raises(Refusal) as refused:
        infer(REGISTRY[name](**needed), inputs)
    assert (refused.value.code, refused.value.message) == (Code.ARITY, message)
    assert (refused.value.help or "").startswith(help or "")
    assert (refused.value.help is None) == (help is None)


def test_what_no_machine_could_hold_is_refused():
    wide = REGISTRY["linear"](out_features=2**31 - 1)
    with pytest.raises(Refusal, match=r"its weight would have 2,199,023,254,528 elements$"):
        infer(wide, [(N, 1024)])
    with pytest.raises(Refusal, match=r"would have 1,099,511,627,777 elements per sample"):
        infer(REGISTRY["relu"](), [(N, 2**40 + 1)])
    assert infer(REGISTRY["relu"](), [(N, 2**40)]) == ((N, 2**40),)


def test_the_version_is_that_of_torch():
    major, minor, *_ = torch.__version__.split(".")
    assert torch_version() == (int(major), int(minor))
