import gc
import inspect
import linecache
import random
import sys
import textwrap
import traceback
import weakref
from typing import Any

import pytest
import torch
from drafts import Draft, image, network, residual
from torch import Tensor, nn

from archspec.emit import emit
from archspec.ir.graph import INPUT, Graph, Ref

IMAGE = Ref(INPUT)


class HandWritten(nn.Module):
    """`drafts.residual` with a shortcut, by hand; the merge at place 6 has no module."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out_channels, 3, stride=stride, padding=1)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.conv3(x))


def test_a_block_equals_the_hand_written_one_bit_for_bit_in_both_modes():
    torch.manual_seed(0)
    ours, theirs = emit(residual(3, 6, 6, 2), name="net"), HandWritten(3, 6, 2)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn(3, 3, 6, 6)
    for training in (True, False):
        for net in (ours, theirs):
            net.train(training)
        assert torch.equal(ours(x), theirs(x))
    for a, b in zip(ours.buffers(), theirs.buffers(), strict=True):
        assert torch.equal(a, b)


def test_the_printed_network_shows_names_and_block_types():
    lines = str(emit(network(), name="small-res_net")).splitlines()
    assert lines[0] == "SmallResNet("
    assert lines[2:5] == [
        "  (layer1): Sequential(",
        "    (0): Residual(",
        "      (conv1): Conv2d(4, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))",
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("vgg_block", "VggBlock"), ("conv2d", "Conv2d"), ("3d-net", "Net3dNet"), ("--", "Net")],
)
def test_class_names_are_camel_case(name, expected):
    assert type(emit(residual(), name=name)).__name__ == expected


def test_a_named_chain_is_a_sequential_of_its_own_and_a_group_is_a_plain_one():
    block = Draft(image(2, 4, 4), block="conv_act")
    block.op("conv2d", out_channels=2, kernel_size=1)
    block.op("relu", name="act")
    draft = Draft(image(2, 4, 4))
    draft.body(block.graph(), name="a-b")
    net = emit(draft.graph(), name="net")
    child = net.get_submodule("a-b")
    assert isinstance(child, nn.Sequential)
    assert type(child).__name__ == "ConvAct"
    assert isinstance(child[:1], nn.Sequential)
    assert child.code is None
    assert list(net.state_dict()) == ["a-b.0.weight", "a-b.0.bias"]
    assert type(emit(network(), name="net").layer1) is nn.Sequential


def test_equal_blocks_share_one_class_and_others_do_not():
    net = emit(network(), name="net")
    again = emit(residual(4, 8, 4), name="residual")
    assert type(again) is type(net.layer1[0])
    assert type(net.layer1[1]) is not type(net.layer1[0])


def test_inspect_shows_the_source_of_a_class():
    net = emit(residual(), name="shown")
    first, *method = inspect.getsource(type(net)).splitlines(keepends=True)
    assert first == "class Shown(Generated):\n"
    assert textwrap.dedent("".join(method)) == net.code


def test_inspect_shows_the_source_of_a_chain():
    draft = Draft(image(2, 4, 4), block="conv_act")
    draft.op("relu")
    source = inspect.getsource(type(emit(draft.graph(), name="steps")))
    assert source.startswith("class Steps(Chain):\n")


def test_a_class_nobody_uses_is_forgotten_with_its_source():
    net = emit(residual(), name="short_lived")
    filename = inspect.getsourcefile(type(net).forward)
    assert (own := inspect.getsourcefile(type(net))) in linecache.cache
    module = type(net).__module__
    reference = weakref.ref(type(net))
    assert inspect.getsource(net.forward) == net.code
    del net
    gc.collect()
    assert reference() is None
    assert filename not in linecache.cache and own not in linecache.cache
    assert module not in sys.modules


def test_a_traceback_shows_the_generated_line():
    net = emit(residual(), name="net")
    with pytest.raises(RuntimeError) as caught:
        net(torch.zeros(1, 9, 6, 6))
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert "x1 = self.conv1(x)" in [frame.line for frame in frames]


def test_hooks_on_blocks_fire():
    net, seen = emit(network(), name="net"), []
    net.layer1[0].register_forward_hook(lambda module, args, output: seen.append(output.shape))
    net(torch.zeros(2, 2, 8, 8))
    assert seen == [(2, 4, 8, 8)]


def heads() -> Graph:
    """Two inputs, a shared layer, a learned scale, and an auxiliary output in training."""
    draft = Draft(image(4), image(4), names=("left", "right"))
    first = draft.op("linear", name="encoder", out_features=3, reads=(Ref(INPUT, 0),))
    second = draft.op("linear", out_features=3, reads=(Ref(INPUT, 1),), shares=first)
    scale = draft.op("parameter", name="scale", reads=(), shape=(3,), init="ones")
    both = draft.op("concat", reads=(first, second))
    scaled = draft.op("mul", reads=(first, scale))
    aux = draft.op("linear", name="aux", out_features=2, reads=(scaled,), training_only=True)
    main = draft.op("linear", name="fc", out_features=5, reads=(both,))
    return draft.graph(main, aux, names=("logits", "aux"))


def test_several_inputs_shared_modules_learned_tensors_and_named_outputs():
    net = emit(heads(), name="heads", seed=0)
    assert sorted(net.state_dict()) == [
        "aux.bias", "aux.weight", "encoder.bias", "encoder.weight", "fc.bias", "fc.weight", "scale",
    ]  # fmt: skip
    left, right = torch.randn(2, 4), torch.randn(2, 4)
    outputs = net(left=left, right=right)
    assert list(outputs) == ["logits", "aux"]
    logits = net.fc(torch.cat((net.encoder(left), net.encoder(right)), 1))
    assert torch.equal(outputs["logits"], logits)
    assert torch.equal(outputs["aux"], net.aux(net.encoder(left)))
    net.aux.register_forward_hook(lambda *_: pytest.fail("ran in eval()"))
    assert torch.equal(net.eval()(left, right), logits)


def test_a_block_of_several_outputs_gives_a_tuple_and_none_for_what_eval_leaves_out():
    block = Draft(image(4), block="two")
    main = block.op("relu", name="act")
    side = block.op("sigmoid", name="side", training_only=True)
    draft = Draft(image(4))
    both = draft.body(block.graph(main, side), name="two")
    aux = draft.op("tanh", name="tanh", reads=(Ref(both.step, 1),), training_only=True)
    graph = draft.graph(both, aux, names=("main", "aux"))
    net, x = emit(graph, name="net"), torch.randn(2, 4)
    outputs = net(x)
    assert torch.equal(outputs["aux"], x.relu().sigmoid().tanh())
    assert torch.equal(net.eval()(x), x.relu())
    assert net.two(x)[1] is None


def test_a_module_is_not_shared_where_its_own_would_be_another():
    draft = Draft(image(4), image(6), names=("a", "b"))
    first = draft.op("linear", name="one", out_features=4, reads=(Ref(INPUT, 0),))
    second = draft.op("linear", name="two", out_features=4, reads=(Ref(INPUT, 1),), shares=first)
    draft.op("add", reads=(first, second))
    with pytest.raises(ValueError, match="'two' cannot share 'one'"):
        emit(draft.graph(), name="net")


def test_a_block_with_sizes_in_its_code_is_not_shared_at_another_size():
    def flat(size: int) -> Graph:
        block = Draft(image(1, size), block="flat")
        block.op("reshape", shape=(size,))
        return block.graph()

    draft = Draft(image(1, 4), image(1, 6), names=("a", "b"))
    first = draft.body(flat(4), name="one", reads=(Ref(INPUT, 0),))
    second = draft.body(flat(6), name="two", reads=(Ref(INPUT, 1),), shares=first)
    draft.op("concat", reads=(first, second))
    with pytest.raises(ValueError, match="cannot share"):
        emit(draft.graph(), name="net")


def test_values_are_freed_at_their_last_use():
    """Of a chain of sums that read two values each, no more than those two are alive."""
    draft = Draft(image(3))
    previous, value = IMAGE, draft.op("linear", name="first", out_features=3)
    for position in range(6):
        total = draft.op("add", reads=(value, previous))
        layer = draft.op("linear", name=f"layer{position}", out_features=3, reads=(total,))
        previous, value = total, layer
    net = emit(draft.graph(), name="net")
    made: list[weakref.ref[Tensor]] = []
    alive: list[int] = []

    def before(module: nn.Module, args: tuple[Any, ...]) -> None:
        alive.append(sum(reference() is not None for reference in made))

    def after(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        made.extend([weakref.ref(args[0]), weakref.ref(output)])

    for child in net.children():
        child.register_forward_pre_hook(before)
        child.register_forward_hook(after)
    with torch.no_grad():
        net(torch.zeros(2, 3))
    # The network's input is its caller's. At each layer its fresh argument is not yet in the
    # list, and of the values before it all are gone.
    assert alive == [0, 1, 1, 1, 1, 1, 1]


REFERENCE = {
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "add": lambda *values: sum(values[1:], values[0]),
    "mul": lambda a, b: a * b,
    "concat": lambda a, b: torch.cat((a, b), 1),
    "chunk": lambda a: a.chunk(2, 1),
}


def random_graph(chance: random.Random) -> Graph:
    """Ops on any values made so far, some in training only; outputs of any of them."""
    draft = Draft(image(4), image(4), names=("x", "x2"))
    always, training = [Ref(INPUT, 0), Ref(INPUT, 1)], []
    for _ in range(chance.randint(2, 12)):
        aside = chance.random() < 0.25
        kind = chance.choice(["relu", "sigmoid", "add", "mul", "halves"])
        pool = always + training if aside else always
        made = training if aside else always
        count = {"relu": 1, "sigmoid": 1, "halves": 1}.get(kind, 2)
        reads = tuple(chance.choice(pool) for _ in range(count))
        if kind == "halves":
            half = draft.op("chunk", chunks=2, reads=reads, training_only=aside)
            other = Ref(half.step, 1)
            pair = (other, half) if chance.random() < 0.5 else (half, half)
            made.append(draft.op("concat", reads=pair, training_only=aside))
        else:
            made.append(draft.op(kind, reads=reads, training_only=aside))
    aside = [chance.choice(training)] if training else []
    outputs = [chance.choice(always), always[-1], *aside]
    return draft.graph(*outputs, names=tuple("abc"[: len(outputs)]))


def interpret(graph: Graph, inputs: list[Tensor], training: bool) -> dict[str, Tensor]:
    values = {Ref(INPUT, i): value for i, value in enumerate(inputs)}
    for position, step in enumerate(graph.steps):
        if training or not step.training_only:
            result = REFERENCE[step.kind](*[values[ref] for ref in step.inputs])
            for output, value in enumerate(result if isinstance(result, tuple) else (result,)):
                values[Ref(position, output)] = value
    named = zip(graph.output_names or (), graph.outputs, strict=True)
    return {name: values[ref] for name, ref in named if ref in values}


@pytest.mark.parametrize("seed", range(150))
def test_random_graphs_compute_what_their_steps_say(seed):
    graph = random_graph(random.Random(seed))
    net = emit(graph, name="net")
    inputs = [torch.randn(2, 4), torch.randn(2, 4)]
    for training in (True, False):
        result, expected = net.train(training)(*inputs), interpret(graph, inputs, training)
        assert list(result) == list(expected)
        assert all(torch.equal(result[name], expected[name]) for name in expected)
