"""Names with dots, and single iterations of loops as edges, against modules written by hand."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from listing import first_line, listed, loaded
from torch import Tensor, nn

import archspec
from archspec.testing import check_spec

SPLIT = """
- {name: spx, chunk: {chunks: 3}}
- repeat: 2
  from: 'spx[0]'
  layers:
    - {name: "convs.{index}", conv2d: {out_channels: 2, kernel_size: 3, padding: 1, bias: false}}
    - {name: "bns.{index}", batch_norm}
    - {name: "y.{index}", relu}
- concat: [y.*, 'spx[2]']
- {name: conv3, conv2d: {out_channels: 6, kernel_size: 1}}
"""


class Split(nn.Module):
    """As Res2Net writes its bottleneck: two lists, whose children run in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(2, 2, 3, padding=1, bias=False) for _ in range(2))
        self.bns = nn.ModuleList(nn.BatchNorm2d(2) for _ in range(2))
        self.conv3 = nn.Conv2d(6, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        parts = x.chunk(3, dim=1)
        first = torch.relu(self.bns[0](self.convs[0](parts[0])))
        second = torch.relu(self.bns[1](self.convs[1](first)))
        return self.conv3(torch.cat([first, second, parts[2]], dim=1))


ENCODER = """
- {name: encoder.layers, repeat: 3, linear: 4}
- {name: encoder.norm, layer_norm}
- {name: heads.0, linear: 2, from: encoder.layers.0}
- {name: heads.1, linear: 2, from: encoder.layers.1}
- {name: mix, linear: 2, from: encoder.norm}
- concat: [heads.*, mix, encoder.layers.*]
"""


class Encoder(nn.Module):
    """A stack of layers of which every one's result is used."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Module()
        self.encoder.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        self.encoder.norm = nn.LayerNorm(4)
        self.heads = nn.ModuleList(nn.Linear(4, 2) for _ in range(2))
        self.mix = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        given = []
        for layer in self.encoder.layers:
            x = layer(x)
            given.append(x)
        heads = [head(each) for head, each in zip(self.heads, given, strict=False)]
        return torch.cat([*heads, self.mix(self.encoder.norm(x)), *given], dim=1)


def hold_same(arch: archspec.Architecture, reference: nn.Module, x: Tensor) -> nn.Module:
    """Asserts equal keys, parameters and outputs in both modes, here and after `expand`."""
    assert arch.num_parameters == sum(p.numel() for p in reference.parameters())
    assert arch.verify(elsewhere=False).ok
    for each in (archspec.loads(arch.expand(), warn=False), arch):
        net = each.build()
        assert sorted(net.state_dict()) == sorted(reference.state_dict())
        net.load_state_dict(reference.state_dict())
        for training in (False, True):
            net.train(training)
            reference.train(training)
            torch.testing.assert_close(net(x), reference(x), rtol=0, atol=0)
    return net


def test_two_lists_whose_children_run_in_turn():
    arch = loaded(SPLIT, input="[6, 8, 8]")
    net = hold_same(arch, Split(), torch.randn(2, 6, 8, 8))
    assert "self.convs[1](x" in net.code and "self.bns[1](x" in net.code
    assert isinstance(net.convs, nn.ModuleList)
    paths = [layer.path for layer in arch.layers]
    assert paths == ["spx", "convs.0", "bns.0", "y.0", "convs.1", "bns.1", "y.1", "7", "conv3"]
    assert {layer.depth for layer in arch.layers} == {0}
    assert arch.layers[7].reads == ("y.0", "y.1", "spx[2]")


def test_every_iteration_of_a_loop_is_read():
    arch = loaded(ENCODER, input="[4]")
    net = hold_same(arch, Encoder(), torch.randn(3, 4))
    assert net.code.count("self.encoder.layers(x)") == 1
    merge = arch.layers[-1]
    assert merge.reads[3:] == ("encoder.layers.0", "encoder.layers.1", "encoder.layers.2")
    folded = arch.summary(depth=1).nodes[-1]
    assert folded.reads[3:] == ("encoder.layers.0", "encoder.layers.1", "encoder.layers")
    assert str(arch.summary(depth=1)).count("encoder.layers ") == 1


def test_what_nobody_reads_of_a_loop_is_left_out():
    with pytest.warns(archspec.SpecWarning, match="nobody reads '[12]' .linear.: its 20 para"):
        arch = loaded("- {name: l, repeat: 3, linear: 4}\n- {tanh: , from: l.0}", input="[4]")
    assert arch.num_parameters == 20
    assert list(arch.build().state_dict()) == ["l.0.weight", "l.0.bias"]


def test_asking_for_a_size_keeps_no_iteration():
    layers = "- {name: l, repeat: {c: [4, 6]}, linear: c}\n- linear: size('l.0', 1)"
    arch = loaded(layers, input="[4]")
    assert arch.output_shape == ("N", 4)
    assert type(arch.build().l) is nn.Sequential


def test_a_shared_loop_gives_its_iterations_too():
    arch = loaded(
        """
        - {name: l, repeat: 2, linear: 4}
        - {name: again, share: l}
        - concat: [again.0, again, l.0]
        """,
        input="[4]",
    )
    net, x = arch.build(), torch.randn(2, 4)
    first, second = net.l.get_submodule("0"), net.l.get_submodule("1")
    once = first(x)
    twice = first(second(once))
    torch.testing.assert_close(net(x), torch.cat([twice, second(twice), once], 1))
    assert arch.num_parameters == 40 and arch.verify(elsewhere=False).ok


def test_taps_and_patches_call_nodes_by_whole_names(tmp_path):
    (tmp_path / "base.yaml").write_text(
        "input: [4]\nlayers:\n"
        "  - {name: a.l, repeat: 2, linear: 4}\n  - {name: a.b.c, relu: }\n"
        "  - {name: out, concat: [a.l.*, a.b.c]}\n"
    )
    (tmp_path / "variant.yaml").write_text(
        "extends: base.yaml\npatch:\n  - {replace: a.b.c, with: tanh}\n"
        "  - {insert_after: a.l.0, with: {name: more, linear: 4}}\n"
    )
    arch = archspec.load(tmp_path / "variant.yaml")
    assert [layer.path for layer in arch.layers] == ["a.l.0", "a.l.more", "a.l.2", "a.b.c", "out"]
    assert arch.layers[-1].reads == ("a.l.more", "a.l.2", "a.b.c")
    net, x = arch.build(outputs=["a.l", "a.l.0", "a.b.c"]), torch.randn(2, 4)
    found = net(x)
    assert list(found) == ["a.l", "a.l.0", "a.b.c"]
    torch.testing.assert_close(found["a.b.c"], found["a.l"].tanh())
    with pytest.raises(archspec.SpecError, match=r"did you mean .a\.b\.c."):
        arch.build(outputs=["a.b.d"])


def test_names_numbered_by_braces_stand_in_numeric_order():
    layers = "- {repeat: 11, name: 'y.{10 - index}', relu}\n- concat: y.*"
    reads = listed(layers)[-1]
    assert reads == f"11 = concat({', '.join(f'y.{i}' for i in range(11))}) -> 44x8x8"


def test_a_node_that_is_not_there_is_none_of_all():
    layers = """
        - {repeat: 3, layers: [{name: 'y.{index}', relu: , when: index != 1}]}
        - concat: [y.*, input]
        """
    assert listed(layers)[-1] == "2 = concat(y.0, y.2, input) -> 12x8x8"


CLASHES = ["self", "forward", "training", "_modules", "code", "append", "__class__", "lambda"]


@pytest.mark.parametrize("name", [*CLASHES, "held.training", "forward.x"])
def test_the_generator_steps_aside_for_any_name(name):
    arch = loaded(
        f"""
        - {{name: {name}, linear: 4}}
        - add: [{name}, input]
        - {{name: chain, layers: [{{name: {name}, batch_norm: }}]}}
        - {{name: own, layers: [{{name: {name}, parameter: [4]}}, {{mul: [{name}, input]}}]}}
        """,
        input="[4]",
    )
    net, x = arch.build(seed=0), torch.randn(3, 4)
    keys = ["weight", "bias"]
    assert list(net.state_dict()) == [
        *(f"{name}.{key}" for key in keys),
        *(f"chain.{name}.{key}" for key in [*keys, "running_mean", "running_var"]),
        f"chain.{name}.num_batches_tracked",
        f"own.{name}",
    ]
    state = net.state_dict()
    linear = torch.nn.functional.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])
    normed = (linear + x) / (1 + 1e-5) ** 0.5  # fresh statistics: mean 0 and variance 1
    for each in (net, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert each.train().training is True
        assert each.eval().training is False
        torch.testing.assert_close(each(x), normed * state[f"own.{name}"])
    assert arch.verify(elsewhere=False).ok


def test_a_holder_is_there_for_modules_alone():
    net = loaded("- {name: a.b, linear: 4}\n- {name: c.d, add: [a.b, input]}", input="[4]").build()
    assert [name for name, _ in net.named_children()] == ["a"]
    assert "self.a.b(x)" in net.code


def test_modules_with_holders_are_scripted_and_traced():
    arch = loaded(
        "- {repeat: 2, name: 'a.{index}', linear: 4}\n- {name: b.c, parameter: [4]}\n"
        "- add: [a.1, b.c]\n- {name: up.x.0, linear: 4}",
        input="[4]",
    )
    net, x = arch.build().eval(), torch.randn(2, 4)
    want = net(x)
    torch.testing.assert_close(torch.jit.script(net)(x), want)
    traced = torch.fx.symbolic_trace(net)
    torch.testing.assert_close(traced(x), want)
    assert sorted(traced.state_dict()) == sorted(net.state_dict())


@pytest.mark.parametrize("layers", [SPLIT, ENCODER])
def test_random_checks_hold_for_the_examples(layers):
    assert check_spec(f"input: {[6, 8, 8] if layers is SPLIT else [4]}\nlayers:{layers}") is None


def test_one_error_for_names_that_begin_each_other():
    for first, second in (("a", "a.{index}"), ("a.{index}", "a")):
        text = "input: [4]\nlayers:\n" + "".join(
            f"  - {{repeat: 3, layers: [{{name: '{name}', relu: }}]}}\n"
            if "{" in name
            else f"  - {{name: {name}, relu: }}\n"
            for name in (first, second)
        )
        with pytest.raises(archspec.SpecError) as raised:
            archspec.loads(text)
        assert len(raised.value.diagnostics) == 1
        assert first_line(str(raised.value)).startswith("4:")
