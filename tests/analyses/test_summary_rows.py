import json

import pytest
from hand_graphs import SPAN, Affine, Builder, Frozen, Halves, Join, Learned, mlp_block

import archspec
from archspec.analyses.layers import layers
from archspec.analyses.summary import Summary, summarise
from archspec.ir.graph import INPUT, Graph, Ref
from archspec.ir.shape import N
from archspec.ir.types import FLOAT


def tiny() -> Graph:
    """A net with every kind of row: blocks, a shared one, several outputs, training only."""
    net = Builder((N, 4))
    block = mlp_block(4, 4)
    net.add(block, name="stem")
    net.add(block, name="again", shares=0)
    net.add(Frozen())
    net.add(Affine(out_features=6, bias=False, scale=2.0), name="fc")
    halves = net.add(Halves(), name="halves")
    token = net.add(Learned(features=3), name="token")
    out = net.add(Join(), Ref(halves.step, 0), token)
    aux = net.add(Affine(out_features=1000), out, name="aux", training_only=True)
    return net.graph(out, aux, names=("out", "aux"))


def summary(depth: int | None = None, batch_size: int = 2) -> Summary:
    return summarise(tiny(), "tiny", depth=depth, batch_size=batch_size)


def test_every_node_is_a_row_in_order():
    assert [(row.path, row.op) for row in layers(tiny())] == [
        ("stem", "mlp"),
        ("stem.fc", "affine"),
        ("stem.1", "rectify"),
        ("again", "mlp"),
        ("again.fc", "affine"),
        ("again.1", "rectify"),
        ("2", "frozen"),
        ("fc", "affine"),
        ("halves", "halves"),
        ("token", "learned"),
        ("6", "join"),
        ("aux", "affine"),
    ]


def test_a_row_says_what_it_reads():
    reads = {row.path: row.reads for row in layers(tiny())}
    assert reads == {
        "stem": ("input",),
        "stem.fc": ("input",),
        "stem.1": ("stem.fc",),
        "again": ("stem.1",),
        "again.fc": ("stem.1",),
        "again.1": ("again.fc",),
        "2": ("again.1",),
        "fc": ("2",),
        "halves": ("fc",),
        "token": (),
        "6": ("halves[0]", "token"),
        "aux": ("6",),
    }
    assert [row.reads for row in layers(tiny(), depth=1)][:3] == [("input",), ("stem",), ("again",)]


SEVERAL = """
inputs: {left: [4], right: [4]}
outputs: {a: a, b: b}
blocks:
  swap:
    inputs: [x, y]
    outputs: [second, first]
    layers:
      - {name: first, relu: , from: x}
      - {name: second, sigmoid: , from: y}
layers:
  - {name: swapped, swap: , from: [right, left]}
  - {name: a, tanh: , from: "swapped[0]"}
  - {name: b, tanh: , from: "swapped[1]"}
"""


def test_reads_go_through_blocks_with_several_outputs():
    arch = archspec.loads(SEVERAL)
    reads = {layer.path: layer.reads for layer in arch.nodes}
    assert reads == {
        "swapped": ("right", "left"),
        "swapped.first": ("right",),
        "swapped.second": ("left",),
        "a": ("swapped.second",),
        "b": ("swapped.first",),
    }
    folded = {layer.path: layer.reads for layer in arch.summary(depth=1).nodes}
    assert folded == {
        "swapped": ("right", "left"),
        "a": ("swapped[0]",),
        "b": ("swapped[1]",),
    }


@pytest.mark.parametrize("name", ["googlenet", "torchvision/swin_t", "torchvision/densenet121"])
@pytest.mark.parametrize("depth", [None, 1, 2])
def test_what_is_read_is_a_layer_or_an_input(name, depth):
    summary = archspec.load(name).summary(depth=depth)
    known = {"input"}
    for layer in summary.layers:
        assert {path.partition("[")[0] for path in layer.reads} <= known
        known.add(layer.path)
    assert len(set(summary.nodes)) == len(summary.nodes)


def test_layers_are_hashable_whatever_their_arguments():
    spec = "input: [4]\nlayers: [{module: {type: torch.nn.Softsign, kwargs: {}}}]"
    (layer,) = archspec.loads(spec, allow_modules=["torch"]).layers
    assert hash(layer) == hash(layer._replace())


def test_an_idle_layer_reads_nothing():
    spec = """
input: [4]
layers:
  - {name: own, layers: [{name: fc, linear: 4}, relu]}
  - {name: again, share: own, from: input}
"""
    reads = {layer.path: layer.reads for layer in archspec.loads(spec).nodes if layer.idle}
    assert set(reads.values()) == {()}
    assert "own.fc" in reads


def test_figures_of_rows():
    rows = {row.path: row for row in layers(tiny())}
    figures = {p: (r.num_parameters, r.macs, r.training_macs) for p, r in rows.items()}
    assert figures["stem"] == figures["stem.fc"] == (20, 16, 16)
    assert figures["again"] == figures["again.fc"] == (0, 16, 16)
    assert figures["2"] == (10, 0, 0)
    assert figures["fc"] == (24, 24, 24)
    assert figures["token"] == (3, 0, 0)
    assert figures["aux"] == (4000, 0, 3000)
    assert rows["2"].num_buffers == 4
    assert rows["halves"].output_shapes == ((N, 3), (N, 3))
    assert rows["halves"].output_shape == (N, 3)
    assert rows["again"].shares == "stem"
    assert rows["again.fc"].shares is None
    assert rows["aux"].training_only and not rows["fc"].training_only
    assert rows["fc"].share == 24 / 56
    assert rows["stem.fc"].name == "fc" and rows["stem.fc"].depth == 1
    assert rows["fc"].span == SPAN


def test_rows_of_one_level_add_up_to_the_totals():
    result = summary()
    top = [row for row in result.nodes if row.depth == 0]
    assert sum(row.num_parameters for row in top) == result.num_parameters == 4057
    assert sum(row.macs for row in top) == result.macs == 56
    assert sum(row.training_macs for row in top) == result.training_macs == 3056
    for depth in (None, 1):
        leaves = summary(depth).layers
        assert sum(row.num_parameters for row in leaves) == 4057
        assert sum(row.macs for row in leaves) == 56
    assert [row.path for row in result.blocks] == ["stem", "again"]
    assert [row.path for row in summary(depth=1).blocks] == []
    assert len(result.layers) + len(result.blocks) == len(result.nodes)


def test_depth_folds_blocks_and_leaves_totals_alone():
    full, folded, bare = summary(), summary(depth=1), summary(depth=0)
    assert [row.path for row in folded.nodes] == [
        row.path for row in full.nodes if "." not in row.path
    ]
    assert bare.nodes == []
    for figure in ("num_parameters", "num_buffers", "macs", "activation_bytes", "saved_bytes"):
        assert getattr(folded, figure) == getattr(bare, figure) == getattr(full, figure)


def test_marks_of_an_enclosing_step_reach_all_inside():
    net = Builder((N, 4))
    body = net.add(Affine(out_features=4))
    aux = net.add(mlp_block(4, 4), body, training_only=True)
    rows = {row.path: row for row in layers(net.graph(body, aux, names=("out", "aux")))}
    assert rows["1.fc"].training_only
    assert (rows["1.fc"].macs, rows["1.fc"].training_macs) == (0, 16)


def test_without_macs_shares_are_of_parameters():
    net = Builder((N, 4))
    net.add(Frozen())
    net.add(Learned(features=30))
    result = summarise(net.graph())
    assert result.share_of == "num_parameters"
    assert [row.share for row in result.nodes] == [0.25, 0.75]


def test_without_anything_shares_are_zero():
    net = Builder((N, 4))
    net.add(Halves())
    assert [row.share for row in summarise(net.graph(Ref(0, 0))).nodes] == [0.0]
    assert summarise(Graph(None, ("input",), ((N, 4),), (FLOAT,), (), (Ref(INPUT),))).nodes == []


def test_json_has_the_names_of_the_python_api():
    result = summary()
    data = json.loads(json.dumps(result.as_dict()))
    for key, value in data.items():
        if key not in ("input_shape", "output_shape", "training_outputs", "layers", "blocks"):
            assert value == getattr(result, key)
    assert data["input_shape"] == ["N", 4]
    assert data["output_shape"] == ["N", 3]
    assert data["training_outputs"] == {"aux": ["N", 1000]}
    rows = zip(data["layers"] + data["blocks"], result.layers + result.blocks, strict=True)
    for row, layer in rows:
        for key in row.keys() - {"span", "output_shape", "output_shapes", "output_dtypes", "reads"}:
            assert row[key] == getattr(layer, key)
        assert tuple(row["output_dtypes"]) == layer.output_dtypes
    assert data["layers"][5] == {
        "path": "fc",
        "depth": 0,
        "op": "affine",
        "is_block": False,
        "arguments": {"out_features": 6, "bias": False, "scale": 2.0},
        "reads": ["2"],
        "output_shape": ["N", 6],
        "output_shapes": [["N", 6]],
        "output_dtypes": ["float"],
        "num_parameters": 24,
        "num_buffers": 0,
        "macs": 24,
        "training_macs": 24,
        "share": 24 / 56,
        "training_only": False,
        "shares": None,
        "idle": False,
        "frozen": False,
        "span": {"file": "net.yaml", "line": 1, "column": 1},
    }


def test_memory_follows_the_batch_size():
    # By hand, in floats a sample. Outputs: stem 4 + 4, again 4 + 4, frozen 4, fc 6 (of which the
    # halves are views), join 3, aux 1000. Saved: stem's input 4 and outputs of both rectify 4 + 4,
    # frozen's output 4, fc's 6, join's 3.
    for batch in (1, 2, 7):
        result = summary(batch_size=batch)
        assert result.activation_bytes == 4 * batch * (8 + 8 + 4 + 6 + 3 + 1000)
        assert result.saved_bytes == 4 * batch * (4 + 4 + 4 + 4 + 6 + 3)


def test_layers_stand_in_sets():
    arch = archspec.loads("input: [4]\nlayers: [{linear: 4}, relu, {linear: 4}]\n")
    assert len(set(arch.layers)) == 3 and set(arch.layers) == set(arch.nodes)
