"""`share: other_node` uses the same module again: counted once, with one key."""

from __future__ import annotations

import pytest
import torch
from listing import first_line, keys, listed, listing, loaded, refused

import archspec
from archspec.ir.facts import facts
from archspec.ir.op import REGISTRY
from archspec.ir.shape import N
from archspec.ir.types import EVERY


def test_a_shared_module_is_counted_once_and_has_one_key():
    arch = loaded("- {name: a, linear: 8}\n- relu\n- {share: a}\n- {name: c, share: a}")
    assert listing(arch) == [
        "a = linear(input) -> 4x8x8",
        "1 = relu(a) -> 4x8x8",
        "2 = linear(1) -> 4x8x8 shares a",
        "c = linear(2) -> 4x8x8 shares a",
    ]
    assert keys(arch) == ["a.weight", "a.bias"]
    assert arch.num_parameters == 72
    assert arch.macs == 3 * 4 * 8 * 64  # it runs three times
    assert arch.verify(batch_sizes=(2,)).ok


def test_the_same_weights_are_applied():
    net = loaded("- {name: a, linear: 8}\n- {share: a}").build()
    x = torch.rand(2, 4, 8, 8)
    assert torch.equal(net(x), net.a(net.a(x)))


@pytest.mark.parametrize(
    "node",
    [
        "{name: a, layers: [{linear: 8}, relu]}",
        "{name: a, repeat: 2, linear: 8}",
        "{name: a, repeat: 2, layers: [{linear: 8}]}",
        "{name: a, branches: [[{linear: 8}], []], merge: add}",
        "{name: a, residual: {out_channels: 4}}",
    ],
)
def test_whatever_has_a_name_may_be_shared(node):
    arch = loaded(f"- {node}\n- share: a")
    once = loaded(f"- {node}")
    assert keys(arch) == keys(once)
    assert any(" shares " in row for row in listing(arch))
    report = arch.verify(batch_sizes=(2,))
    assert report.ok, str(report)


def test_a_node_without_weights_may_be_shared_too():
    text = "- {name: a, add: [input, input]}\n- {name: b, relu}\n- {share: a, from: [a, b]}"
    assert listed(text)[2] == "2 = add(a, b) -> 4x8x8 shares a"


def test_sharing_the_share_is_sharing_the_owner():
    rows = listed("- {name: a, linear: 8}\n- {name: b, share: a}\n- {name: c, share: b}")
    assert rows[2] == "c = linear(b) -> 4x8x8 shares a"


def test_a_shared_convolution_takes_another_size():
    assert listed(
        "- {name: a, conv2d: {out_channels: 4, kernel_size: 3}}\n- {share: a}\n- {share: a}"
    )[1:] == ["1 = conv2d(a) -> 4x4x4 shares a", "2 = conv2d(1) -> 4x2x2 shares a"]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            "- {name: a, linear: 3}\n- {share: a}",
            "<text>:4:6: error AS507: the module of 'a' does not fit an input of (N, 4, 8, 3)\n"
            "  4 |   - {share: a}\n"
            "    |      ^^^^^\n"
            "  expected: an input like (N, 4, 8, 8)\n"
            "  found:    (N, 4, 8, 3)",
        ),
        (
            "- {name: a, add: [input, input]}\n- {share: a, from: [a, a, input]}",
            "<text>:4:6: error AS507: the module of 'a' is made for 2 inputs, and here it has 3 "
            "inputs\n"
            "  4 |   - {share: a, from: [a, a, input]}\n"
            "    |      ^^^^^\n"
            "  expected: 2 inputs: (N, 4, 8, 8), (N, 4, 8, 8)\n"
            "  found:    (N, 4, 8, 8), (N, 4, 8, 8), (N, 4, 8, 8)",
        ),
        (
            "- {share: b}\n- {name: b, relu}",
            "<text>:3:6: error AS502: 'b' stands after the node that reads it\n"
            "  3 |   - {share: b}\n"
            "    |      ^^^^^\n"
            "  expected: a node before this one: a graph has no cycles\n"
            "  help: move 'b', at line 4, before its reader",
        ),
    ],
)
def test_wrong_shares(layers, message):
    assert refused(layers) == message


def test_a_node_that_is_not_there_has_no_module():
    said = refused("- {name: a, linear: 8, when: false}\n- relu\n- {share: a}")
    assert first_line(said) == "5:6: error AS507: 'a' has no module to share"


@pytest.mark.parametrize(
    ("node", "beside", "word"),
    [
        ("linear: 8", "linear: 8", "linear"),
        ("linear: 8", "linear: 4", "linear"),
        ("linear: 8", "relu: ", "relu"),
        ("residual: {out_channels: 4}", "residual: {out_channels: 4}", "residual"),
        ("layers: [relu]", "layers: [relu]", "layers"),
        ("branches: [[relu], []], merge: add", "branches: [[relu], []], merge: add", "branches"),
        ("layers: [relu]", "repeat: 2, layers: [relu]", "layers"),
        ("linear: 8", "when: true, else: input", "else"),
    ],
)
def test_nothing_that_says_what_it_is_stands_beside_share(node, beside, word):
    said = refused(f"- {{name: a, {node}}}\n- {{share: a, {beside}}}")
    assert f"error AS507: `share` says what the node is, and {word!r} stands beside it" in said
    assert "help: write `share: a` alone" in said


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ("- {name: a, relu}\n- flatten\n- {share: a}", (N, 256)),
        (
            "- {name: a, linear: 8}\n- unflatten: {dim: 1, unflattened_size: [2, 2]}\n- share: a",
            (N, 2, 2, 8, 8),
        ),
        ("- {name: a, layer_norm}\n- reshape: [32, 8]\n- share: a", (N, 32, 8)),
        ("- {name: a, dropout: 0.3}\n- flatten\n- {share: a}", (N, 256)),
        (
            "- {name: a, layers: [relu, {dropout: 0.1}]}\n- flatten\n- {share: a}",
            (N, 256),
        ),
    ],
)
def test_a_module_that_takes_any_rank_is_shared_across_ranks(layers, shape):
    arch = loaded(layers)
    assert arch.output_shape == shape
    report = arch.verify(batch_sizes=(2, 3))
    assert report.ok, str(report)


@pytest.mark.parametrize(
    "layers",
    [
        "- {name: a, batch_norm: {affine: false, track_running_stats: false}}\n"
        "- flatten: {start_dim: 2}\n- {share: a}",
        "- {name: a, layer_norm: {elementwise_affine: false}}\n"
        "- permute: [0, 3, 2, 1]\n- {share: a}",
        "- {name: a, layer_norm: {axes: [1]}}\n- flatten: {start_dim: 2}\n- {share: a}",
        "- {name: a, stochastic_depth: {p: 0.1}}\n- flatten\n- {share: a}",
    ],
)
def test_a_module_made_for_other_inputs_is_refused(layers):
    assert "error AS507: the module of 'a' does not fit an input of" in refused(layers)


@pytest.mark.parametrize("named", ["[a, b]", "'a[0]'"])
def test_share_names_one_node(named):
    said = refused(f"- {{name: a, relu: }}\n- {{name: b, tanh: }}\n- {{share: {named}}}")
    assert "AS201: `share` names one node, whose module is applied again" in said
    assert "write `share: a`" in said


def test_each_iteration_may_share_another_module():
    rows = listed(
        "- {name: a0, linear: 8}\n- {name: a1, linear: 8}\n- {repeat: 2, share: 'a{index}'}"
    )
    assert rows[2:] == [
        "2 = linear(a1) -> 4x8x8 shares a0",
        "3 = linear(2) -> 4x8x8 shares a1",
    ]


def test_an_owner_that_nobody_reads_does_not_run():
    arch = archspec.loads(
        "input: [4]\nlayers:\n  - {name: a, linear: 4}\n  - {name: b, share: a, from: input}\n"
    )
    assert arch.macs == 4 * 4
    assert [(w.code, w.span.line) for w in arch.warnings] == [("AS901", 3)]
    assert "it does not run, and only keeps the module that others share" in str(arch.warnings[0])
    net = arch.build()
    assert net.code == "def forward(self, x):\n    return self.a(x)\n"
    assert list(net.state_dict()) == ["a.weight", "a.bias"]
    rows = {layer.path: (layer.num_parameters, layer.macs, layer.idle) for layer in arch.layers}
    assert rows == {"a": (20, 0, True), "b": (0, 16, False)}
    # Saved: the input alone, which both would have read.
    assert arch.summary(batch_size=3).saved_bytes == 3 * 4 * 4
    assert arch.summary(batch_size=3).activation_bytes == 3 * 4 * 4


def test_statistics_and_draws_of_an_owner_that_nobody_reads_are_left_alone():
    text = (
        "input: [4, 3]\nlayers:\n  - {name: a, layers: [batch_norm, {dropout: 0.5}]}\n"
        "  - {name: b, share: a, from: input}\n"
    )
    arch = archspec.loads(text)
    net, x = arch.build(), torch.rand(5, 4, 3)
    torch.manual_seed(0)
    y = net(x)
    assert net.a.get_submodule("0").num_batches_tracked == 1
    torch.manual_seed(0)
    assert torch.equal(y, torch.nn.functional.dropout(torch.nn.BatchNorm1d(4)(x), 0.5))
    assert arch.verify(batch_sizes=(2, 3)).ok


OWNERS_INPUT_IS_GONE = """\
input: [4, 2]
layers:
  - {name: other, linear: 6}
  - {name: a, layers: [{linear: 3}, batch_norm]}
  - {name: r, linear: 6, from: input}
  - {name: b, share: a}
  - {name: c, share: b, from: r}
  - add: [b, c]
"""


def test_what_only_an_idle_owner_reads_is_left_out():
    arch = archspec.loads(OWNERS_INPUT_IS_GONE)
    said = [str(w.message) for w in arch.warnings]
    assert said == [
        "nobody reads 'other' (linear): its 18 parameters are left out of the module",
        "nobody reads 'a' (group): it does not run, and only keeps the module that others share",
    ]
    assert arch.macs == 4 * (2 * 6) + 2 * 4 * (6 * 3)
    assert arch.num_parameters == (6 * 3 + 3) + 2 * 4 + (2 * 6 + 6)
    report = arch.verify(batch_sizes=(2, 3))
    assert report.ok, str(report)


@pytest.mark.parametrize(
    "text",
    [
        OWNERS_INPUT_IS_GONE,
        "input: [4]\nlayers: [{name: a, linear: 4}, {name: b, share: a, from: input}]",
        "input: [4]\nlayers: [{name: p, parameter: [1, 4]}, {name: q, share: p}, "
        "{add: [q, input]}]",
        "input: [4, 8, 8]\nlayers: [{name: z, conv2d: {out_channels: 6, kernel_size: 3}}, "
        "{name: a, add: [z, z]}, {name: b, share: a, from: [input, input]}]",
        "input: [4]\nlayers: [{name: p, parameter: [2, 4]}, {name: a, linear: 3, from: p}, "
        "{share: a, from: input}]",
        "input: []\nlayers: [{name: s, reshape: [1, 1]}, {name: a, prelu: }, "
        "{share: a, from: input}]",
    ],
)
def test_an_idle_owner_is_expanded_to_the_same_graph(text):
    arch = archspec.loads(text)
    again = archspec.loads(arch.expand())
    assert facts(again.graph) == facts(arch.graph)
    assert any(layer.idle for layer in again.nodes)
    assert list(again.build().state_dict()) == list(arch.build().state_dict())


def test_what_an_idle_owner_reads_is_of_its_type(monkeypatch):
    for name in ("identity", "reshape"):
        monkeypatch.setattr(REGISTRY[name], "takes", EVERY)
    text = (
        "layers: [{name: s, from: y, reshape: [1, 3]}, {name: a, identity: }, {share: a, from: y}]"
    )
    head = "inputs: {x: [1, 3], y: {shape: [3], dtype: int64, below: 5}}\n"
    # The float of that shape will not do.
    assert "\n  - {name: shaped_0_0, to: int64}\n" in archspec.loads(head + text).expand()
    head = "inputs: {x: {shape: [1, 3], dtype: int64, below: 5}, y: {shape: [3], dtype: int64}}\n"
    assert "shaped" in archspec.loads(head + text).expand()
    head = head.replace(", below: 5", "")
    assert "\n  - name: a\n    from: x\n" in archspec.loads(head + text).expand()


def test_an_idle_owner_reads_an_earlier_value_of_its_shape():
    text = (
        "input: [4]\nlayers: [{name: live, linear: 3}, {name: gone, linear: 3, from: input}, "
        "{name: own, linear: 2, from: gone}, {name: use, share: own, from: live}]"
    )
    expanded = archspec.loads(text, warn=False).expand()
    assert expanded.partition("layers:\n")[2].splitlines() == [
        *("  - name: live", "    linear: 3"),
        *("  - name: own", "    from: live", "    linear: 2"),
        *("  - name: use", "    from: live", "    share: own"),
    ]


def test_an_input_that_only_an_idle_owner_reads_is_unread():
    arch = archspec.loads(
        "inputs: {x: [4], y: [4]}\nlayers:\n  - {name: a, linear: 4, from: x}\n"
        "  - {share: a, from: y}\n"
    )
    assert [w.code for w in arch.warnings] == ["AS908", "AS901"]


def test_blocks_with_an_idle_owner_are_shared_themselves():
    head = (
        "blocks:\n  twice:\n    inputs: [x, y]\n    layers:\n"
        "      - {name: a, linear: 8, from: x}\n      - {share: a, from: y}\n"
    )
    arch = loaded(
        "- {name: one, twice: , from: [input, input]}\n- {share: one, from: [one, one]}", head=head
    )
    assert arch.macs == 2 * 4 * 8 * 64
    report = arch.verify(batch_sizes=(2,))
    assert report.ok, str(report)


def test_a_block_that_would_return_other_values_is_not_shared():
    # The same two layers with the same weights, but the second call would return them crosswise.
    head = (
        "blocks: {pick: {params: {k: 0}, layers: [{name: n0, relu}, {name: n1, tanh, from: input}],"
        " outputs: ['n{k}', 'n{1 - k}']}}\n"
    )
    layers = (
        "- {name: a, pick: {k: $(0 if in_height > SIZE else 1)}}\n"
        "- {name: h, max_pool2d: 2, from: 'a[0]'}\n- {name: b, share: a}\n- add: ['b[0]', 'b[1]']"
    )
    assert listed(layers.replace("SIZE", "2"), head=head)[4] == (
        "b = pick(h) -> 4x4x4, 4x4x4 shares a"
    )
    said = refused(layers.replace("SIZE", "5"), head=head)
    assert "error AS507: the module of 'a' does not fit an input of (N, 4, 4, 4)" in said


def test_a_block_whose_code_would_be_another_is_not_shared():
    # `concat` repeats a learned tensor over the batch, and the code of the owner does not.
    head = "blocks: {cat: {inputs: [x, y], layers: [{concat: [x, y]}]}}\n"
    layers = (
        "- {name: p, parameter: [1, 3]}\n- {name: a, cat: , from: [FIRST, input]}\n"
        "- {name: b, share: a, from: [p, input]}\n- concat: [a, b]"
    )
    said = refused(layers.replace("FIRST", "input"), head=head, input="[3]")
    assert "error AS507: the module of 'a' does not fit an input of (1, 3)" in said
    arch = loaded(layers.replace("FIRST", "p"), head=head, input="[3]")
    assert arch.output_shape == (N, 12)
    assert arch.verify(batch_sizes=(1, 3)).ok


def test_a_mistake_of_the_owner_is_told_once():
    conv = "conv2d: {out_channels: 4, kernel_size: 99}"
    said = refused(f"- {{name: a, {conv}}}\n- {{share: a}}\n- {{share: a, from: input}}")
    assert said.count("error") == 1 and first_line(said).startswith("3:15: error AS401")


def test_both_keys_name_one_module():
    text = """
    input: [4]
    layers:
      - {name: first, layers: [{name: fc, linear: 4}, relu]}
      - {name: second, share: first, keys: both}
      - {name: scale, parameter: [4]}
      - {name: gain, share: scale, keys: both}
      - {name: scaled, mul: [second, gain]}
      - add: [scaled, scale]
    """
    arch = archspec.loads(text)
    net = arch.build()
    keys = {"first.fc.weight", "first.fc.bias", "second.fc.weight", "second.fc.bias"}
    assert set(net.state_dict()) == {*keys, "scale", "gain"}
    assert net.second is net.first and net.gain is net.scale
    assert len(list(net.parameters())) == 3
    assert arch.summary().num_parameters == 4 * 4 + 4 + 4
    assert arch.verify().ok, arch.verify()
    again = archspec.loads(arch.expand())
    assert again.expand() == arch.expand()
    state = {key: value for key, value in net.state_dict().items() if key[:6] == "second"}
    loaded = arch.build(weights={**state, "gain": net.scale.detach()})
    assert torch.equal(loaded.first.fc.weight, net.first.fc.weight)


@pytest.mark.parametrize("loop", ["", "repeat: 2, "])
def test_a_group_with_a_tensor_of_its_own_is_shared(loop):
    body = "[{name: gain, parameter: {shape: [4], init: 3}}, {mul: [gain, input]}]"
    text = f"- {{name: a, {loop}layers: {body}}}\n- relu\n- {{name: b, share: a}}"
    arch = loaded(text, input="[4]")
    x = torch.tensor([[-1.0, 0.0, 1.0, 2.0]])
    times = 9 if loop else 3
    assert arch.num_parameters == (8 if loop else 4)
    assert torch.equal(arch.build()(x), (x * times).relu() * times)
    assert arch.verify().ok


def test_one_attention_serves_one_sequence_and_two():
    text = """
        inputs: {x: [5, 4], m: [3, %s]}
        layers:
          - {name: a, multi_head_attention: 2, from: x}
          - {share: a, from: [a, m, m]}
        """
    arch = archspec.loads(text % 4)
    assert arch.num_parameters == 4 * (4 * 4 + 4) and arch.verify().ok
    with pytest.raises(archspec.SpecError, match="AS507"):
        archspec.loads(text % 6)
