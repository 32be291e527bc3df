"""What every op must keep, checked on its own examples and on drawn calls, against torch."""

import copy
import inspect
import pickle
import pkgutil
import re
import sys

import pytest
import torch
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st
from torch import nn

import archspec.ops
from archspec.diagnostics.diagnostic import Refusal
from archspec.ir.infer import infer
from archspec.ir.op import REGISTRY, ShapeKeeping
from archspec.testing import contract as testing

LAYOUTS = ("row-major", "channels-last", "part")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """The tensors are tiny: threads would only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


EXAMPLES = [
    pytest.param(call, id=f"{name}-{number}")
    for name in sorted(REGISTRY)
    for number, call in enumerate(testing.examples(name))
]


@pytest.mark.parametrize("call", EXAMPLES)
def test_example_agrees_with_torch(call):
    assert testing.check_call(call, layouts=LAYOUTS)


@pytest.mark.filterwarnings("ignore:dropout2d")
@pytest.mark.parametrize("call", EXAMPLES)
def test_built_module_can_be_copied_and_pickled(call):
    built = call.op.build(*call.inputs)
    if built is None:
        pytest.skip("an expression has no module")
    for twin in (copy.deepcopy(built), pickle.loads(pickle.dumps(built))):
        assert type(twin) is type(built)
        values = testing.drawn_inputs(call, 2)
        if isinstance(built, nn.Module):
            assert repr(twin) == repr(built)
            twin.eval(), built.eval()
        found, expected = [testing.applied(call, module)(*values) for module in (twin, built)]
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("call", EXAMPLES)
def test_module_is_built_on_meta_without_memory(call):
    with torch.device("meta"):
        built = call.op.build(*call.inputs)
    tensors = [built] if isinstance(built, torch.Tensor) else []
    if isinstance(built, nn.Module):
        tensors = list(built.state_dict().values())
    assert all(tensor.is_meta for tensor in tensors)


def signature(call):
    """What the class takes that the op builds, or the function that it calls, by name."""
    built = call.op.build(*call.inputs)
    if isinstance(built, nn.Module):
        return inspect.signature(type(built)).parameters
    if built is not None:
        return {}
    names = [f"x{position}" for position in range(len(call.inputs))]
    called = re.match(r"torch\.nn\.functional\.(\w+)", call.op.expression(names, call.inputs))
    function = getattr(nn.functional, called[1]) if called else None
    return inspect.signature(function).parameters if inspect.isfunction(function) else {}


RECURRENT = {"bias", "bidirectional", "dropout", "num_layers", "return_state"}

OWN_DEFAULTS = {
    # Operators, functions and methods of torch, which have no signature.
    **{
        name: {"other"} for name in ("add", "eq", "ge", "gt", "le", "lt", "mul", "ne", "pow", "sub")
    },
    **{name: {"other"} for name in ("maximum", "minimum")},
    **{name: {"keepdim"} for name in ("all", "amax", "amin", "any", "argmax", "argmin")},
    **{name: {"keepdim"} for name in ("logsumexp", "max", "mean", "min", "prod", "sum")},
    **{name: {"correction", "keepdim"} for name in ("std", "var")},
    "vector_norm": {"keepdim", "ord"},
    "chunk": {"dim"},  # torch's is the batch
    "clamp": {"min", "max"},  # a method of tensors, which has no signature
    "concat": {"dim"},  # torch's is the batch
    "div": {"other", "rounding_mode"},
    **{name: {"axes"} for name in ("layer_norm", "rms_norm")},
    "module": {"args", "kwargs"},
    "multi_head_attention": {"is_causal"},  # an argument of its `forward`
    "mul": {"other"},
    "constant": {
        *("value", "arange", "linspace", "eye", "tril", "diagonal", "full"),
        *("dtype", "persistent", "batch"),
    },
    "parameter": {"init", "mean", "std", "low", "high", "batch"},  # tests/ops/test_parameter.py
    "relative_position_bias": {"flat"},
    # torch's classes take any arguments, by their signature: tests/ops/test_recurrent.py
    "gru": RECURRENT,
    "lstm": RECURRENT | {"proj_size"},
    "rnn": RECURRENT | {"nonlinearity"},
    "round": {"decimals"},
    "sort": {"dim", "descending", "stable"},
    "slice": {"start", "end", "step"},
    **{name: {"dim"} for name in ("split", "stack", "unbind")},  # torch's is the batch
    "topk": {"dim", "largest", "sorted"},
    "stochastic_depth": {"mode"},  # torchvision has no default for it
    "where": {"input", "other"},
}
"""Defaults that torch has not, or not in a signature."""


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_defaults_are_torch_s_own(name):
    fields, compared = REGISTRY[name].fields(), set()
    optional = {key: field.default for key, field in fields.items() if not field.is_required}
    for call in testing.examples(name):
        stated = signature(call)
        theirs = {key: stated[key].default for key in optional.keys() & stated.keys()}
        theirs = {key: value for key, value in theirs.items() if value is not inspect._empty}
        compared |= theirs.keys()
        for key, value in theirs.items():
            # None stands for 0 in `pad`.
            assert optional[key] == value or (value is None and not optional[key]), key
    assert optional.keys() - compared == OWN_DEFAULTS.get(name, set())


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_op_is_documented_and_has_examples(name):
    op = REGISTRY[name]
    assert (op.__dict__.get("__doc__") or "").strip()
    assert len(op.examples) >= 1
    assert op.primary is None or op.primary in op.fields()
    owned = [weight for call in testing.examples(name) for weight in testing.stated_weights(call)]
    assert set(op.kernels) <= {weight.name for weight in owned}


def test_every_file_of_ops_is_imported_where_all_are_asked_for():
    found = {module.name for module in pkgutil.iter_modules(archspec.ops.__path__)}
    assert all(f"archspec.ops.{name}" in sys.modules for name in found)


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_drawn_calls_agree_with_torch(name):
    accepted = []

    # The more inputs, the rarer is a legal call.
    @settings(
        max_examples=24 if REGISTRY[name].num_inputs > 3 else 12,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(testing.op_calls(name))
    def agrees(call):
        accepted.append(testing.check_call(call, layouts=LAYOUTS))

    agrees()
    assert any(accepted), "nothing legal was drawn"


def test_a_good_share_of_drawn_calls_is_refused_by_shape_rules():
    refused = []

    # Those that keep the shape of any input have no rule to break.
    names = [name for name, op in REGISTRY.items() if op.infer is not ShapeKeeping.infer]

    @settings(max_examples=400)
    @given(st.sampled_from(sorted(names)).flatmap(testing.op_calls))
    def draw(call):
        refused.append(not _accepted(call))

    draw()
    assert len(refused) >= 400
    assert 0.3 <= sum(refused) / len(refused) <= 0.8


def _accepted(call):
    try:
        infer(call.op, call.inputs)
    except Refusal:
        return False
    return True


def test_strategies_reach_both_sides_of_a_rule():
    for wanted in (True, False):
        call = find(
            testing.op_calls("group_norm"),
            lambda call, wanted=wanted: len(call.inputs[0]) > 2 and _accepted(call) == wanted,
        )
        assert (call.inputs[0][1] % call.op.num_groups == 0) or not wanted
