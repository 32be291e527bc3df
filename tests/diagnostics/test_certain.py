"""A fix is certain: no word that means something is rewritten, and what was fixed still is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import torch_names
from torch import nn
from torch.nn import functional

import archspec
import archspec.ops
from archspec.diagnostics import torch_names as kept
from archspec.diagnostics.suggestions import certain_word
from archspec.document.keys import SPEC_KEYS
from archspec.document.node_keys import NODE_KEYS
from archspec.document.wording import unknown_op
from archspec.ir.infer import infer
from archspec.ir.op import REGISTRY, Example
from archspec.ir.shape import N, Shape
from archspec.runtime.values import drawn
from archspec.text.files import library_blocks

# Other tests bring ops of their own.
OWN = {name for name, op in REGISTRY.items() if op.__module__.startswith("archspec.")}
OPS = {*OWN, *library_blocks()}
SLIPS = Path(__file__).with_name("slips.txt")
"""Slips that were fixed before torch's names were asked: of a seeded draw, by their words."""

NO_LONGER = {
    **dict.fromkeys(("g9lu", "sqlu"), "as near to `glu`"),
    "shared": "an argument of torch.from_file, not a slip of `share`: it is suggested still",
    **dict.fromkeys(
        ("max_poold", "max_poolsd", "global_avg_poold", "conv_transposed"),
        "as near to the op of other dimensions",
    ),
    **dict.fromkeys(("global_ag_pool2d", "global_av_pool2d"), "as near to `global_max_pool2d`"),
    **dict.fromkeys(
        ("transformer_ecnoder_layer", "transformer_ncoder_layer"),
        "as near to `transformer_decoder_layer`",
    ),
}


def slips() -> list[tuple[str, str, str]]:
    """Each slip with its word, and the kind of word that it is."""
    found, kind = [], ""
    for line in SLIPS.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            kind = line[2:]
        else:
            word, _, wrong = line.partition(": ")
            found += [(kind, word, slip) for slip in wrong.split()]
    return found


def words_of(kind: str) -> list[str]:
    if kind == "ops":
        return sorted(OPS)
    if kind == "node":
        return list(NODE_KEYS)
    return list(SPEC_KEYS) if kind == "file" else list(REGISTRY[kind.partition(":")[2]].fields())


def test_what_was_fixed_still_is():
    known = {kind: words_of(kind) for kind in {kind for kind, _, _ in slips()}}
    lost = {
        slip
        for kind, word, slip in slips()
        if certain_word(slip, known[kind]) != word
        # One letter of three makes another word, and a digit at the end another name.
        if len(word) > 3 and not re.search(r"\d(_|$)", slip)
    }
    assert lost == NO_LONGER.keys()
    assert len(slips()) > 2000


@pytest.mark.parametrize(
    ("word", "known"),
    [
        ("stop", ["start", "end", "step"]),
        ("exp2", ["exp"]),
        ("dropout3d", ["dropout", "dropout2d"]),
        ("max_unpool2d", ["max_pool2d"]),
        ("bilinear", ["linear"]),
        ("expp", ["exp"]),
        ("k_proj", ["q_proj"]),
        ("branch_b", ["branch_a"]),
        ("branch_a", ["branch"]),
        ("convB", ["convA"]),
        ("stage2", ["stage", "stage1"]),
        ("stage", ["stage1"]),
        ("layer_norm2d", ["layer_norm"]),
        ("decoders", ["encoders"]),
        ("col_pool", ["row_pool"]),
        ("resnext18", ["resnet18", "resnext50"]),
    ],
)
def test_what_has_a_meaning_of_its_own_is_no_slip(word, known):
    assert certain_word(word, known) is None


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("BatchNorm", ["batch_norm"], "batch_norm"),
        ("conv_1", ["conv1"], "conv1"),
        ("max_pool", ["max_pool2d"], "max_pool2d"),
        ("conv2dd", ["conv1d", "conv2d"], "conv2d"),
        ("steps", ["step", "end"], "step"),
        ("k3rnel_size", ["kernel_size"], "kernel_size"),
        ("decoders_out", ["decoder_out"], "decoder_out"),
        ("ouptut_chanels", ["output_channels"], "output_channels"),
    ],
)
def test_slips(word, known, meant):
    assert certain_word(word, known) == meant


def test_the_list_holds_all_names_of_this_torch():
    listed = kept.listed()
    names, arguments = torch_names.names()
    assert names <= listed.names
    assert arguments <= listed.arguments
    # Other versions had a few more.
    assert len(listed.names - names) < 50
    assert {"exp2", "MaxUnpool2d", "bilinear", "dropout3d"} <= listed.names
    assert {"stop", "kernel_size", "dim"} <= listed.arguments


# --- every name of torch as an op ----------------------------------------------------------------

HOMES = (nn, functional, torch, torch.Tensor)
NOT_CALLED = {"Module", "Parameter", "gru", "lstm"}
"""Classes that compute nothing, whose namesakes here bring what one has; functions of weights."""


def written(name: str) -> set[str]:
    """How people write a name of torch's."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).split("_")
    camel = "".join(part[:1].upper() + part[1:] for part in parts)
    return {name, camel, name.lower(), "_".join(parts).lower(), name.replace("_", "-")}


def rewritten() -> dict[tuple[str, str], str]:
    """Names of torch's with the op that is written for them, by a form where it is."""
    place = archspec.Span(archspec.diagnostics.diagnostic.Source("", ""), 1, 1, 1, 1)
    found = {}
    for name in sorted({name for home in HOMES for name in dir(home)} - NOT_CALLED):
        if not name.startswith("_") and any(callable(getattr(home, name, 0)) for home in HOMES):
            for word in written(name) - OPS:
                for edit in unknown_op(word, OPS, place).edits:
                    found[name, edit.replacement] = word
    return found


OWN_EXAMPLES = {
    "channel_shuffle": [Example({"groups": 2}, inputs=[("N", 4, 3, 3)])],
    "chunk": [Example({"chunks": 2}, inputs=[("N", 6, 3)])],
    "where": [REGISTRY["where"].examples[0]],
}
INFERRED = {
    **dict.fromkeys(("in_channels", "num_features", "num_channels"), 1),
    **dict.fromkeys(("in_features", "normalized_shape", "embed_dim"), -1),
}
"""The axis whose size torch's classes are told."""


OF_THE_CLASS = {
    *("out_channels", "out_features", "kernel_size", "bias", "num_parameters", "init"),
    *("affine", "elementwise_affine", "track_running_stats", "num_embeddings", "embedding_dim"),
}
"""Arguments that make the weights, and that torch's functions of given weights do not have."""


def by_torch(thing: Any, args: dict[str, Any], inputs: list[torch.Tensor], state: Any) -> Any:
    """What torch's class or function gives for these arguments, with the weights of `state`."""
    if isinstance(thing, type) and issubclass(thing, torch.nn.RNNBase):
        module = thing(inputs[0].shape[-1], batch_first=True, **args).eval()
        module.load_state_dict(state)
        states = [x.transpose(0, 1).contiguous() for x in inputs[1:]]
        given = [tuple(states)] if len(states) > 1 else states
        return module(inputs[0], *given)[0]
    if isinstance(thing, type):
        known = set(torch_names.arguments(thing))
        told = {name: inputs[0].shape[axis] for name, axis in INFERRED.items() if name in known}
        first = {"batch_first": True} if "batch_first" in known else {}
        if first and len(inputs) > 1:
            told.update(kdim=inputs[1].shape[-1], vdim=inputs[2].shape[-1])
        if len(inputs) > 3:
            raise ValueError("masks: tests/ops/test_cross_attention.py has them")
        module = thing(**{**told, **first, **args}).eval()
        module.load_state_dict(state)
        return module(*(inputs * 3)[:3])[0] if first else module(*inputs)
    weights = {name: x for name, x in state.items() if name != "num_batches_tracked"}
    if weights:
        args = {name: value for name, value in args.items() if name not in OF_THE_CLASS}
    if args.get("padding_mode") == "zeros":
        del args["padding_mode"]
    if args.pop("axes", None) is None and thing.__name__ in ("layer_norm", "rms_norm"):
        weights["normalized_shape"] = state["weight"].shape
    if "instance_norm" in thing.__name__:
        weights["use_input_stats"] = "running_mean" not in state
    values: list[Any] = [x.clone() for x in inputs]
    if thing is torch.concat or thing.__name__ == "stack":
        values = [values]
    if thing is torch.einsum:
        return thing(args["equation"], *values)
    if thing.__name__ == "gather":
        return thing(values[0], args["dim"], values[1])
    if "shape" in args:
        args["shape"] = (len(inputs[0]), *args["shape"])
    if thing.__name__.startswith("expand"):
        args["size"] = (len(inputs[0]), *args["size"])
    for more in ({"training": False}, {"train": False}, {}):
        with suppress(TypeError):
            return thing(*values, **{**weights, **args}, **more)
    return thing(*values, *args.values(), **weights)


def in_torch(name: str, op: str, example: Example, inputs: list[Any], state: Any) -> Iterator[Any]:
    """What each class or function of this name gives where it takes these arguments."""
    full = dict(example.args)
    if op in REGISTRY:
        made = REGISTRY[op](**example.args)
        full = {field: getattr(made, field) for field in made.fields()}
    if op == "to":
        full["dtype"] = getattr(torch, full["dtype"])
    things = {getattr(home, name) for home in HOMES if callable(getattr(home, name, None))}
    for thing in things - {torch.Tensor.where}:  # whose condition is not the first
        for args in (full.copy(), {key: full[key] for key in example.args}):
            with suppress(TypeError, ValueError, KeyError, NotImplementedError):
                yield by_torch(thing, args, inputs, state)
                break


def test_a_fix_of_torchs_name_gives_the_same_result():
    found = rewritten()
    assert len(found) > 60
    for (name, op), word in found.items():
        with pytest.raises(archspec.SpecError) as raised:
            archspec.loads(f"input: [4, 8, 8]\nlayers: [{{{word}: }}]\n")
        assert [edit.replacement for edit in raised.value.diagnostics[0].edits] == [op]
        if op == "index_select":
            continue  # inputs have a batch, and its positions have none: tests/ops/test_indexing.py
        assert compared(name, op), (name, op)


def outputs_of(op: str, example: Example) -> tuple[Shape, ...]:
    """What the op gives for an example; a block gives one value."""
    if op not in REGISTRY:
        return ((),)
    shapes = [(N, *shape[1:]) for shape in example.inputs]
    return infer(REGISTRY[op](**example.args), shapes)


def compared(name: str, op: str) -> int:
    """How many examples of the op give what torch's namesake gives; raises where one does not."""
    count = 0
    for example in OWN_EXAMPLES.get(op) or REGISTRY[op].examples:
        if any(len(shape) == 1 or shape[0] != "N" for shape in example.inputs):
            continue
        if name.endswith("_") and not all(kind.is_float for kind in example.input_types):
            continue  # in place torch keeps the type of the first
        dimensions = re.search(r"\dd$", name)
        if dimensions and len(example.inputs[0]) != int(dimensions[0][0]) + 2:
            continue  # torch would take it as one sample without a batch
        names = [f"x{i}" for i in range(len(example.inputs))]
        shapes = [shape[1:] for shape in example.inputs]
        types = [{"dtype": kind.name} for kind in example.input_types]
        head = {
            each: {"shape": shape, **kind}
            for each, shape, kind in zip(names, shapes, types, strict=True)
        }
        edges = names if len(names) > 1 else "x0"
        parts = len(outputs_of(op, example))
        spec = {
            "inputs": head,
            "layers": [
                {op: {**example.args, "inputs": names}}
                if op in REGISTRY and REGISTRY[op].variadic
                else {op: dict(example.args), "from": edges}
            ],
            "outputs": {f"part{i}": f"0[{i}]" for i in range(parts)} if parts > 1 else ["0"],
        }
        net = archspec.loads(json.dumps(spec)).build(seed=0).eval()
        inputs = [
            drawn(kind, (2, *shape))
            for shape, kind in zip(shapes, example.input_types, strict=True)
        ]
        ours = net(*inputs)
        state = {key.partition(".")[2]: value for key, value in net.state_dict().items()}
        for theirs in in_torch(name, op, example, inputs, state):
            expected = ours if isinstance(ours, torch.Tensor) else tuple(ours.values())
            if parts == 1 and not isinstance(theirs, torch.Tensor):
                # A lone part is the value itself here, and so are maxima without their positions.
                assert len(theirs) == 1 + name.startswith("adaptive_max_pool"), name
                theirs = theirs[0]
            if name.endswith("_") and expected.dtype == torch.bool:
                theirs = theirs.bool()
            torch.testing.assert_close(
                theirs, expected, equal_nan=True, msg=lambda text: f"{name}: {op}: {text}"
            )
            count += 1
    return count


def test_the_list_is_read_for_a_mistake_alone():
    program = (
        "import sys; from archspec.cli import main; main(['check', 'lenet_bn'])\n"
        "late = ['diagnostics.torch_names', 'document.other_words', 'diagnostics.catalogue']\n"
        "print([name for name in late if f'archspec.{name}' in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "[]", result.stderr
