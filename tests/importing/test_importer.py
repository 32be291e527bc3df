"""Modules to specs: what each construct becomes, and what is refused."""

from __future__ import annotations

from typing import Any

import importable as modules
import pytest
import torch
from torch import Tensor, nn

import archspec
from archspec.diagnostics.diagnostic import SpecError
from archspec.ir.graph import walk


def imported(net: nn.Module, *inputs: Tensor, **options: Any) -> archspec.Architecture:
    """The flat spec, which the import has compared with the module in both modes."""
    torch.manual_seed(0)
    return archspec.from_module(net, inputs, flat=True, **options)


def nodes(arch: archspec.Architecture) -> list[str]:
    """Every op with its path, in order."""
    steps = [visit for visit in walk(arch.graph) if visit.step.op is not None]
    return [f"{visit.path}: {visit.step.op!r}" for visit in steps]


def ops(arch: archspec.Architecture) -> list[str]:
    return [visit.step.op.op_name for visit in walk(arch.graph) if visit.step.op is not None]


X = torch.zeros(2, 4)


def refusal(net: nn.Module, *inputs: Tensor) -> str:
    with pytest.raises(SpecError) as caught:
        imported(net, *inputs)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "AS804"
    return str(diagnostic)


def test_in_place_functions_make_new_values():
    arch = imported(modules.InPlace(), X)
    assert ops(arch) == ["linear", "add", "relu", "add"]


@pytest.mark.parametrize(
    "net", [modules.InPlaceOnPart(), modules.WholeThenPart(), modules.Assigned()]
)
def test_writes_behind_views_are_followed(net):
    net.train()
    arch = imported(net, X)
    x = torch.randn(3, 4)
    built = arch.build()
    built.load_state_dict(net.state_dict())
    assert torch.equal(built(x), net(x))


def test_a_write_that_cannot_be_followed_is_refused():
    said = refusal(modules.OverlappingStrides(), X)
    assert "Tensor.mul_ writes into memory that another tensor shows" in said
    assert "as_strided((x.shape[0], 2), (4, 2)).mul_(3)" in said


def test_a_number_made_of_the_batch_is_refused():
    assert "1009 here is 1 times the size of the batch" in refusal(modules.BatchInNumber(), X)


def test_a_baked_batch_is_caught_by_the_comparison():
    said = refusal(modules.BatchInReciprocal(), X)
    assert "in eval() with a batch of 2 results differ" in said


def test_a_branch_on_data_is_refused_with_its_line():
    said = refusal(modules.Branches(), X)
    assert "depends on the numbers of a tensor (bool)" in said
    assert "if x.sum() > 0:" in said


def test_a_branch_on_a_constant_is_taken():
    assert ops(imported(modules.BranchOnConstant(), X)) == ["add"]


def test_tied_weights_have_both_keys():
    arch = imported(modules.Tied(), torch.zeros(2, 3, dtype=torch.int64))
    assert 'weights: {weight: "table.weight"}' in arch.source.text
    net = arch.build()
    assert net.table.weight is net.head.weight


def test_tied_weights_across_modules_get_dotted_names():
    arch = imported(modules.TiedAcross(), torch.zeros(2, 3, dtype=torch.int64))
    assert list(arch.build(device="meta").state_dict()) == [
        "trunk.table.weight",
        "trunk.norm.weight",
        "trunk.norm.bias",
        "head.weight",
    ]


def test_a_module_that_is_applied_again_is_shared():
    arch = imported(modules.Twice(), X)
    assert arch.source.text.count("share: a}") == 1
    assert arch.source.text.count("share: b}") == 1
    assert arch.num_parameters == 3 * 20


def test_buffers_are_constants_and_keep_their_keys():
    arch = imported(modules.Buffers(), X)
    assert nodes(arch) == [
        "kept: Constant(value=(1.0, -2.0, 0.5, 0.25), dtype='float', persistent=True)",
        "mul: Mul()",
        "passing: Constant(value=(2.0, 3.0, 4.0, 6.0), dtype='float')",
        "3: Add()",
    ]
    assert list(arch.build().state_dict()) == ["kept"]


def test_a_table_of_few_steps_is_computed_as_the_module_does():
    arch = imported(modules.Rotated(), torch.zeros(2, 12, 8))
    assert ops(arch)[-2:] == ["cos", "mul"]
    shapes = [step.outputs[0] for step in arch.graph.steps if step.op.op_name == "constant"]
    assert sorted(shapes) == [(8,), (12, 1)]


def test_a_step_of_some_instances_says_what_else_is_read():
    arch = archspec.from_module(modules.ShiftingInTurn(), X)
    assert arch.source.text.count("linear:") == 1
    assert "else: input" in arch.source.text


def test_inputs_by_name_and_of_other_types():
    net = modules.Several()
    inputs = {
        "image": torch.zeros(2, 4),
        "ids": torch.zeros(2, 3, dtype=torch.int64),
        "mask": torch.zeros(2, 3, dtype=torch.bool),
    }
    arch = archspec.from_module(net, inputs, flat=True)
    assert arch.input_dtype == {"image": "float", "ids": "int64", "mask": "bool"}
    assert arch.output_shape == {"mixed": ("N", 4), "words": ("N", 3, 4)}


def test_what_training_has_alone_is_marked():
    arch = imported(modules.Auxiliary(), X)
    marked = [visit.path for visit in walk(arch.graph) if visit.step.training_only]
    assert marked == ["aux"]
    assert arch.output_shape == ("N", 2)
    assert "{name: dropout, dropout: 0.25}" in arch.source.text


def test_another_computation_in_training_is_refused():
    said = refusal(modules.OtherInTraining(), X)
    assert "train() and eval() compute different things here" in said
    assert "return x * 2 if self.training else x * 3" in said


def test_lists_that_take_turns_get_dotted_names():
    arch = imported(modules.Interleaved(), torch.zeros(2, 2, 5, 5))
    assert [visit.path for visit in walk(arch.graph)] == [
        "convs.0",
        "norms.0",
        "convs.1",
        "norms.1",
    ]


def test_a_class_around_its_own_weights_is_one_node():
    arch = imported(modules.Fused(), torch.zeros(2, 3))
    assert nodes(arch) == ["norm: LayerNorm()", "1: GELU()"]


def test_the_batch_may_be_folded_with_other_axes():
    arch = imported(modules.Folded(), torch.zeros(2, 6, 4))
    shapes = [visit.step.outputs[0] for visit in walk(arch.graph)]
    assert shapes[0] == ("N", 2, 3, 4)
    assert arch.output_shape == ("N", 6, 4)


def test_the_batch_may_stand_elsewhere():
    arch = imported(modules.TimeFirst(), torch.zeros(2, 5, 4))
    assert "permute" not in ops(arch)


def test_stochastic_depth_is_recognised_by_its_mask():
    arch = imported(modules.StochasticDepth(0.25), X)
    assert "stochastic_depth: StochasticDepthOp(p=0.25)" in nodes(arch)


@pytest.mark.parametrize("spelling", ["function", "in place", "method"])
def test_stochastic_depth_may_be_drawn_by_rounding(spelling):
    arch = imported(modules.RoundedDepth(0.25, spelling), X)
    assert ops(arch) == ["linear", "stochastic_depth", "add"]
    assert "stochastic_depth: 0.25" in arch.source.text


def test_other_random_numbers_are_refused():
    assert "random numbers are drawn here" in refusal(modules.OwnNoise(), X)


def test_an_unknown_function_is_named():
    said = refusal(modules.Unknown(), X)
    assert "no op of the language is known for torch's erfinv" in said
    assert "return torch.erfinv(x)" in said


def test_a_token_for_every_sample():
    arch = imported(modules.ClassToken(), torch.zeros(2, 5, 4))
    assert ops(arch) == ["parameter", "concat", "parameter", "add", "slice", "flatten"]


def test_the_module_stays_as_it_was():
    net = modules.LeavesItself()
    net.a.eval()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    state = torch.get_rng_state()
    archspec.from_module(net, X)
    assert torch.equal(torch.get_rng_state(), state)
    assert (net.training, net.a.training) == (True, False)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert net.a.weight.device.type == "cpu" and not net._forward_hooks
    assert nn.Module.__call__.__name__ == "_wrapped_call_impl"


def test_a_norm_between_permutations_is_over_channels():
    arch = imported(modules.ChannelNorm(), torch.zeros(2, 3, 4, 5))
    assert nodes(arch) == ["norm: LayerNorm(axes=(1,))"]


def test_sizes_that_are_left_open_are_followed():
    arch = imported(modules.Tokens(), torch.zeros(2, 3, 8, 12), symbolic=("H", "W"))
    assert arch.sizes == {"H": 8, "W": 12}
    assert arch.variant(sizes={"H": 10, "W": 6}).output_shape == ("N", 4, 5, 3)


def test_a_part_that_cannot_be_said_may_stay_python():
    arch = imported(modules.AroundInverse(), X, partial=True)
    assert "module: {type: importable.Inverse, kwargs: {features: 4, factor: 0.25}}" in str(
        arch.source.text
    ).replace('"', "")
    assert list(arch.build().state_dict()) == ["a.weight", "a.bias", "b.scale"]


def test_relu6_is_the_op_of_that_name():
    arch = imported(nn.Sequential(nn.ReLU6(), nn.Hardtanh(0.0, 5.0)), X)
    assert ops(arch) == ["relu6", "hardtanh"]


def test_an_adaptive_pool_stays_what_the_module_has():
    arch = imported(nn.Sequential(nn.AdaptiveAvgPool2d(1)), torch.zeros(2, 4, 3, 3))
    assert nodes(arch) == ["0: AdaptiveAvgPool2d(output_size=1)"]


@pytest.mark.parametrize("options", [{}, {"n_power_iterations": 2, "dim": 1, "eps": 1e-6}])
def test_spectral_norm_is_how_a_weight_is_computed(options):
    net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    nn.utils.parametrizations.spectral_norm(net[0], **options)
    assert all(f"{name}: " in imported(net, X).source.text for name in options)
    for vector in net[0].parametrizations.weight[0].buffers():  # far from where steps lead them
        vector.copy_(nn.functional.normalize(torch.arange(1.0, 1 + len(vector)), dim=0))
    arch = imported(net, X)
    built = arch.build()
    built.load_state_dict(net.state_dict())
    x = torch.randn(2, 4)
    for _ in range(2):  # a step moves the vectors
        assert torch.equal(built.train()(x), net.train()(x))
    assert torch.equal(built.eval()(x), net.eval()(x))
    assert built.state_dict().keys() == net.state_dict().keys()


def test_the_hook_of_spectral_norm_is_refused():
    said = refusal(nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 3))), X)
    assert "nn.utils.spectral_norm computes a weight here by a hook" in said
    assert "nn.utils.parametrizations.spectral_norm, which has other keys, is known" in said


def test_statistics_that_stand_still_in_training_are_refused():
    said = refusal(modules.FrozenNorm(), X)
    assert "batch_norm whose statistics stand still in train()" in said
    assert "return self.norm(x)" in said and "frozen_batch_norm" in said


@pytest.mark.parametrize("momentum", [0.0, None])
def test_the_momentum_of_statistics_is_kept(momentum):
    net = nn.Sequential(nn.BatchNorm1d(4, momentum=momentum))
    arch = imported(net, X)
    built = arch.build()
    built.load_state_dict(net.state_dict())
    for each in (built.train(), net.train()):
        each(torch.arange(8.0).reshape(2, 4))
    assert torch.equal(built.get_buffer("0.running_mean"), net[0].running_mean)


def test_attention_weights_that_are_read_are_refused():
    said = refusal(modules.ReadsAttention(), torch.zeros(2, 3, 4))
    assert "the attention weights of MultiheadAttention are read" in said
    assert "y, weights = self.attention(x, x, x)" in said and "softmax" in said


def test_tensors_that_nothing_reads_are_refused():
    net = modules.Unread()
    said = refusal(net, X)
    assert "only the module has mask" in said
    assert "a spec has no tensors that nobody reads: take them out of the module" in said
    del net.mask
    assert list(imported(net, X).build().state_dict()) == ["a.weight", "a.bias"]


def test_a_module_without_values_is_refused():
    with torch.device("meta"):
        net = modules.Unread()
    said = refusal(net, X)
    assert "mask is on the meta device and has no values" in said
    assert "make the module on the CPU" in said
