from hand_graphs import Affine, Builder, Frozen, Rectify, mlp_block

from archspec.analyses.cost import Cost, Costs
from archspec.ir.graph import INPUT, Graph, Ref
from archspec.ir.shape import N
from archspec.ir.types import FLOAT


def test_parameters_buffers_and_bytes_by_hand():
    net = Builder((N, 4))
    net.add(Affine(out_features=3))  # 4 * 3 + 3 parameters, 12 MACs
    net.add(Frozen())  # 10 fixed parameters, 3 + 1 buffer elements, the last of 8 bytes
    cost = Costs(net.graph()).total
    assert cost == Cost(
        num_trainable_parameters=15,
        num_frozen_parameters=10,
        num_buffers=4,
        state_dict_bytes=15 * 4 + 10 * 4 + 3 * 4 + 8,
        macs=12,
        training_macs=12,
    )
    assert cost.num_parameters == 25


def test_an_empty_graph_costs_nothing():
    net = Graph(None, ("input",), ((N, 4),), (FLOAT,), (), (Ref(INPUT),))
    assert Costs(net).total == Cost()


def test_a_shared_step_works_and_owns_nothing():
    net = Builder((N, 4))
    block = mlp_block(4, 4)
    net.add(block)
    net.add(block, shares=0)
    cost = Costs(net.graph()).total
    assert (cost.num_parameters, cost.state_dict_bytes) == (20, 80)
    assert (cost.macs, cost.training_macs) == (32, 32)


def test_a_block_used_twice_owns_twice():
    net = Builder((N, 4))
    block = mlp_block(4, 4)
    net.add(block)
    net.add(block)
    assert Costs(net.graph()).total.num_parameters == 40


def test_training_only_costs_macs_in_training_alone():
    net = Builder((N, 4))
    body = net.add(Affine(out_features=4))
    head = net.add(Affine(out_features=2))
    aux = net.add(mlp_block(4, 5), body, training_only=True)
    cost = Costs(net.graph(head, aux, names=("out", "aux"))).total
    assert (cost.macs, cost.training_macs) == (16 + 8, 16 + 8 + 20)
    assert cost.num_parameters == 20 + 10 + 25


def test_a_repeated_block_is_added_up_once(monkeypatch):
    calls = []
    macs = Affine.macs
    monkeypatch.setattr(Affine, "macs", lambda *args: calls.append(1) or macs(*args))
    inner = mlp_block(4, 4)
    outer = Builder((N, 4), block="outer")
    for _ in range(10):
        outer.add(inner)
    net = Builder((N, 4))
    block = outer.graph()
    for _ in range(10):
        net.add(block)
    assert Costs(net.graph()).total.macs == 100 * 16
    assert len(calls) == 1


def test_a_long_chain_meets_no_recursion_limit():
    net = Builder((N, 4))
    for _ in range(20_000):
        net.add(Rectify())
    net.add(Affine(out_features=1))
    assert Costs(net.graph()).total.macs == 4
