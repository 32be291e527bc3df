from hand_graphs import Affine, Builder, Halves, Join, Learned, Rectify, mlp_block

from archspec.analyses.memory import Memory, memory, saved_bytes
from archspec.ir.graph import Ref
from archspec.ir.op import REGISTRY
from archspec.ir.shape import N

FLOAT = 4


def test_a_chain_by_hand():
    net = Builder((N, 4))
    net.add(Affine(out_features=3))  # saves the input, 4
    net.add(Rectify())  # saves its output, 3
    net.add(Affine(out_features=2))  # saves the same storage again
    assert memory(net.graph(), batch=5) == Memory(
        activation_bytes=5 * (3 + 3 + 2) * FLOAT, saved_bytes=5 * (4 + 3) * FLOAT
    )


def test_views_occupy_nothing_and_save_their_whole_storage():
    net = Builder((N, 6))
    net.add(Affine(out_features=8))  # saves the input, 6
    halves = net.add(Halves())
    net.add(Join(), Ref(halves.step, 0), Ref(halves.step, 1))  # saves 8 once, makes 4
    assert memory(net.graph(), batch=1) == Memory((8 + 4) * FLOAT, (6 + 8) * FLOAT)


def test_a_view_of_the_input_is_no_activation():
    net = Builder((N, 6))
    net.add(Halves())
    assert memory(net.graph(), batch=2) == Memory(0, 0)


def test_learned_tensors_are_left_out():
    net = Builder((N, 6))
    token = net.add(Learned(features=6))
    net.add(Join(), Ref(-1), token)  # saves the input; the token is a parameter
    assert memory(net.graph(), batch=2) == Memory(2 * 6 * FLOAT, 2 * 6 * FLOAT)


def test_nested_graphs_and_shared_steps_run_each_time():
    net = Builder((N, 4))
    block = mlp_block(4, 4)
    net.add(block)
    net.add(block, shares=0)
    # Each run makes two tensors; saved are the input and each rectified output.
    assert memory(net.graph(), batch=1) == Memory(4 * 4 * FLOAT, 3 * 4 * FLOAT)


def test_training_only_steps_are_left_out_in_eval():
    net = Builder((N, 4))
    body = net.add(Rectify())
    aux = net.add(Affine(out_features=2), body, training_only=True)
    graph = net.graph(body, aux, names=("out", "aux"))
    assert memory(graph, 1, training=True) == Memory((4 + 2) * FLOAT, 4 * FLOAT)
    assert memory(graph, 1, training=False) == Memory(4 * FLOAT, 0)


def test_training_only_output_of_a_block():
    block = Builder((N, 4), block="with_aux")
    body = block.add(Rectify())
    aux = block.add(Affine(out_features=2), body, training_only=True)
    net = Builder((N, 4))
    net.add(block.graph(body, aux))
    last = net.add(Affine(out_features=3), Ref(0, 0))
    graph = net.graph(last, Ref(0, 1), names=("out", "aux"))
    assert memory(graph, 1, training=False) == Memory((4 + 3) * FLOAT, 4 * FLOAT)


def test_against_autograd(torch_saved_bytes):
    import torch
    from torch import nn

    import archspec.ops  # noqa: F401 (lists the ops)

    net = Builder((N, 3, 8, 8))
    conv = {"out_channels": 4, "kernel_size": 3}
    net.add(REGISTRY["conv2d"](**conv))
    net.add(REGISTRY["relu"]())
    net.add(REGISTRY["max_pool2d"](kernel_size=2))
    net.add(REGISTRY["flatten"]())
    net.add(REGISTRY["linear"](out_features=5))
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5)
    )
    for batch in (1, 3):
        real = torch_saved_bytes(module, torch.zeros(batch, 3, 8, 8))
        assert saved_bytes(net.graph(), batch) == real
