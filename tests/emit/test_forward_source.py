import ast

import pytest
import torch
from drafts import Draft, image, residual
from torch import nn

from archspec.emit import emit
from archspec.emit.source import check_name
from archspec.ir.graph import INPUT, Graph, Ref
from archspec.ir.op import REGISTRY

IMAGE = Ref(INPUT)


def source(graph: Graph) -> str:
    code = emit(graph, name="net", device="meta").code
    assert isinstance(code, str)
    return code


def test_a_residual_block_reads_as_if_written_by_hand():
    assert source(residual(3, 6, 6, 2)) == (
        "def forward(self, x):\n"
        "    x1 = self.conv1(x)\n"
        "    x1 = self.bn1(x1)\n"
        '    x1 = getattr(self, "2")(x1)\n'
        "    x1 = self.conv2(x1)\n"
        "    x1 = self.bn2(x1)\n"
        "    x = self.conv3(x)\n"
        "    x = x1 + x\n"
        "    del x1\n"
        '    return getattr(self, "7")(x)\n'
    )


def test_a_functional_step_takes_a_generated_forward():
    draft = Draft(image(4, 2, 2))
    draft.op("conv2d", out_channels=2, kernel_size=1)
    draft.op("reshape", shape=(8,))
    draft.op("linear", name="fc", out_features=3)
    assert source(draft.graph()) == (
        "def forward(self, x):\n"
        '    x = getattr(self, "0")(x)\n'
        "    x = x.reshape(x.shape[0], 8)\n"
        "    return self.fc(x)\n"
    )


def test_several_inputs_are_arguments_by_their_names_and_stay_the_callers():
    draft = Draft(image(4), image(4), names=("image", "self"))
    first = draft.op("linear", name="a", out_features=2, reads=(Ref(INPUT, 0),))
    second = draft.op("linear", name="b", out_features=2, reads=(Ref(INPUT, 1),))
    draft.op("add", reads=(first, second))
    assert source(draft.graph()) == (
        "def forward(self, image, self_):\n"
        "    x = self.a(image)\n"
        "    x1 = self.b(self_)\n"
        "    return x + x1\n"
    )


def test_outputs_of_a_chunk_are_unpacked_and_an_unread_one_is_freed_at_once():
    draft = Draft(image(6))
    chunk = draft.op("chunk", chunks=3)
    draft.op("mul", reads=(chunk, Ref(chunk.step, 2)))
    draft.op("relu", name="act")
    assert source(draft.graph()) == (
        "def forward(self, x):\n"
        "    x, x1, x2 = x.chunk(3, dim=1)\n"
        "    del x1\n"
        "    x = x * x2\n"
        "    del x2\n"
        "    return self.act(x)\n"
    )


def test_a_chunk_of_one_part_is_that_part():
    draft = Draft(image(1))
    draft.op("chunk", chunks=2)
    draft.op("linear", name="fc", out_features=3)
    net = emit(draft.graph(), name="net")
    x = torch.ones(2, 1)
    assert torch.equal(net(x), net.fc(x))


def test_learned_tensors_are_read_where_they_are_used():
    draft = Draft(image(3, 8))
    bias = draft.op("parameter", name="pos", reads=(), shape=(1, 3, 8))
    scale = draft.op("parameter", reads=(), shape=(8,))
    total = draft.op("add", reads=(IMAGE, bias))
    draft.op("mul", reads=(total, scale))
    assert source(draft.graph()) == (
        'def forward(self, x):\n    x = x + self.pos\n    return x * getattr(self, "1")\n'
    )


def auxiliary(*, aux_reads_last: bool = False, third: bool = False) -> Graph:
    """A trunk with an auxiliary head that only training has."""
    draft = Draft(image(4))
    trunk = draft.op("linear", name="trunk", out_features=4)
    more = draft.op("relu", name="act", reads=(trunk,))
    aux = draft.op("linear", name="aux", out_features=2, training_only=True,
                   reads=(more if aux_reads_last else trunk,))  # fmt: skip
    fc = draft.op("linear", name="fc", out_features=3, reads=(more,))
    if third:
        return draft.graph(fc, aux, more, names=("logits", "aux", "features"))
    return draft.graph(fc, aux, names=("logits", "aux"))


def test_training_only_steps_run_in_training_and_their_input_is_freed_in_both_modes():
    assert source(auxiliary()) == (
        "def forward(self, x):\n"
        "    x = self.trunk(x)\n"
        "    x1 = self.act(x)\n"
        "    if self.training:\n"
        "        x2 = self.aux(x)\n"
        "    del x\n"
        "    x1 = self.fc(x1)\n"
        "    if self.training:\n"
        '        return {"logits": x1, "aux": x2}\n'
        "    return x1\n"
    )


def test_several_outputs_left_in_eval_are_a_dict():
    assert source(auxiliary(aux_reads_last=True, third=True)).endswith(
        "    if self.training:\n"
        '        return {"logits": x2, "aux": x1, "features": x}\n'
        '    return {"logits": x2, "features": x}\n'
    )


def test_a_learned_tensor_that_only_training_reads_opens_no_empty_branch():
    draft = Draft(image(4))
    fc = draft.op("linear", name="fc", out_features=4)
    scale = draft.op("parameter", name="scale", reads=(), shape=(4,), training_only=True)
    aux = draft.op("mul", reads=(fc, scale), training_only=True)
    assert source(draft.graph(fc, aux, names=("a", "b"))) == (
        "def forward(self, x):\n"
        "    x = self.fc(x)\n"
        "    if self.training:\n"
        "        x1 = x * self.scale\n"
        '        return {"a": x, "b": x1}\n'
        "    return x\n"
    )


def test_a_shared_module_is_called_by_its_owners_name():
    draft = Draft(image(4))
    first = draft.op("linear", name="first", out_features=4)
    draft.op("linear", name="again", out_features=4, shares=first)
    assert source(draft.graph()) == (
        "def forward(self, x):\n    x = self.first(x)\n    return self.first(x)\n"
    )


@pytest.mark.parametrize(
    ("build", "base"),
    [
        (lambda d: [d.op("relu"), d.op("flatten")], nn.Sequential),
        (lambda d: [], nn.Sequential),
        (lambda d: [d.op("relu"), d.op("add", reads=(Ref(0), Ref(INPUT)))], nn.Module),
        (lambda d: [d.op("relu"), d.op("relu", shares=Ref(0))], nn.Module),
        (lambda d: [d.op("relu"), d.op("permute", dims=(0, 1, 3, 2))], nn.Module),
    ],
)
def test_only_a_plain_chain_of_modules_is_sequential(build, base):
    draft = Draft(image(2, 3, 3))
    build(draft)
    net = emit(draft.graph(), name="net")
    assert isinstance(net, nn.Sequential) == (base is nn.Sequential)


INJECTIONS = [
    "x; import os",
    "a b",
    "a..b",
    'a"](x); print("',
    "a\n",
    "a\nimport os",
    "",
    "-a",
    "naïve",
    "x)",
    "a'",
    "a\\",
    "{x}",
]


@pytest.mark.parametrize("name", INJECTIONS)
def test_no_text_but_a_name_enters_the_code(name):
    with pytest.raises(ValueError, match="cannot be the name"):
        check_name(name)
    node = Draft(image(4))
    node.op("linear", name=name, out_features=4)
    node.op("add", reads=(Ref(0), IMAGE))
    argument = Draft(image(4), image(4), names=(name, "b"))
    argument.op("add", reads=(IMAGE, Ref(INPUT, 1)))
    output = Draft(image(4))
    output.op("relu")
    for graph in (node.graph(), argument.graph(), output.graph(Ref(0), IMAGE, names=("a", name))):
        with pytest.raises(ValueError, match="cannot be the name"):
            emit(graph, name="net")


@pytest.mark.parametrize("names", [("a", "a.b"), ("a.b", "a")])
def test_a_name_that_begins_another_is_refused(names):
    draft = Draft(image(4))
    for name in names:
        draft.op("linear", name=name, out_features=4)
    with pytest.raises(ValueError, match="the beginning of another node's name"):
        emit(draft.graph(), name="net")


def test_one_name_for_two_nodes_or_two_inputs_is_refused():
    nodes = Draft(image(4))
    nodes.op("linear", name="a", out_features=4)
    nodes.op("linear", name="a", out_features=4)
    inputs = Draft(image(4), image(4), names=("a", "a"))
    inputs.op("add", reads=(IMAGE, Ref(INPUT, 1)))
    for graph in (nodes.graph(), inputs.graph()):
        with pytest.raises(ValueError, match=r"called 'a'|names of their own"):
            emit(graph, name="net")


@pytest.mark.parametrize(
    ("names", "spelled"),
    [
        (("a-b", "a_b"), "a_b_, a_b"),
        (("torch", "torch_"), "torch__, torch_"),
        (("self", "observe", "torch"), "self_, observe_, torch_"),
        (("__x", "input___x"), "input___x_, input___x"),
    ],
)
def test_inputs_that_would_be_spelled_alike_are_told_apart(names, spelled):
    draft = Draft(*[image(4) for _ in names], names=names)
    draft.op("add", reads=tuple(Ref(INPUT, i) for i in range(len(names))))
    assert source(draft.graph()).startswith(f"def forward(self, {spelled}):")


def test_names_cannot_hide_the_variables_of_the_code():
    draft = Draft(image(4), image(4), names=("torch", "x1"))
    first = draft.op("concat", reads=(IMAGE, Ref(INPUT, 1)))
    draft.op("concat", reads=(first, Ref(INPUT, 1)))
    assert source(draft.graph()) == (
        "def forward(self, torch_, x1):\n"
        "    x = torch.cat((torch_, x1), dim=1)\n"
        "    return torch.cat((x, x1), dim=1)\n"
    )


def test_ops_without_a_module_write_expressions_of_torch_and_their_values_alone():
    for op in REGISTRY.values():
        for example in op.examples:
            inputs = [tuple(shape) for shape in example.inputs]
            made = op(**example.args)
            if made.build(*inputs) is None:
                values = [f"v{i}" for i in range(len(inputs))]
                tree = ast.parse(made.expression(values, inputs), mode="eval")
                names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
                assert names <= {"torch", *values}, made
