"""Words of other libraries: each help names what there is, and what it shows compiles."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

import archspec
from archspec.diagnostics.diagnostic import bare
from archspec.diagnostics.torch_names import is_name
from archspec.document import other_words
from archspec.document.keys import SPEC_KEYS
from archspec.document.keys.inputs import INPUT_KEYS
from archspec.document.node_keys import NODE_KEYS
from archspec.ir.op import REGISTRY
from archspec.ir.types import named_elsewhere
from archspec.text.files import library_blocks

OPS = {*REGISTRY, *library_blocks()}
ARGUMENTS = (name for op in REGISTRY.values() for name in op.fields())
KEYS = {*SPEC_KEYS, *NODE_KEYS, *INPUT_KEYS, *ARGUMENTS}
ALONE = {"p", "dense", "layers", "inputs", "norm_first", "transformer_encoder_layer"}
"""Words in helps that are no node: arguments, keys, and what is said to be another thing."""


def helped(node: str, head: str = "input: [4, 8, 8]") -> list[str | None]:
    """The help of each mistake in a spec of one node."""
    with pytest.raises(archspec.SpecError) as raised:
        archspec.loads(f"{head}\nlayers:\n  - {node}\n", allow_modules=["torch"])
    return [each.help for each in raised.value.diagnostics]


def compiles(node: str, *sizes: int) -> None:
    layers = f"- {{name: a, identity: }}\n- {{name: b, sigmoid: }}\n- {{{node}, from: b}}\n"
    if re.match(r"(add|mul): ", node):
        layers = layers.replace(", from: b", "")
    if node.startswith("chunk: "):
        layers += "outputs: {first: '2[0]'}\n"
    archspec.loads(f"input: {list(sizes)}\nlayers:\n{layers}", allow_modules=["torch"])


def words(table: dict[str, str]) -> list[str]:
    return [word for words in table.values() for word in words.split()]


def test_every_word_is_bare_and_stands_once():
    ways = [word for words in other_words.HOW for word in words.split()]
    told = [*words(other_words.OPS), *ways, *other_words.SAME]
    assert sorted(set(told)) == sorted(told)
    for word in [*told, *words(other_words.KEYS)]:
        assert bare(word) == word
    # What has the same letters as an op is a slip of it, unless it is said to be something else.
    assert {word for word in told if word in map(bare, OPS)} == set(other_words.UNLIKE)


@pytest.mark.parametrize(
    ("word", "name"),
    [("uint8", "int32"), ("torch.Half", "float"), ("FloatTensor", "float"), ("torch.bool", "bool"),
     ("uint32", "int64"), ("Long", "int64"), ("complex64", None), ("", None)],
)  # fmt: skip
def test_a_type_of_another_library_has_one_name_here(word, name):
    assert named_elsewhere(word) == name
    assert (name or "None") in str(other_words.type_elsewhere(word))


def test_ops_and_keys_are_there():
    assert other_words.OPS.keys() <= OPS
    assert set(other_words.SAME.values()) <= OPS
    assert other_words.KEYS.keys() <= KEYS


@pytest.mark.parametrize("text", [*other_words.HOW.values(), *other_words.ABOUT_KEYS.values()])
def test_what_a_help_shows_compiles(text):
    for shown in re.findall(r"`([^`]+)`", text):
        node = shown.removeprefix("- ")
        word = node.partition(":")[0]
        if node in ALONE or (word in SPEC_KEYS and word != "layers"):
            continue
        assert word in OPS | {"layers"}
        if re.search(":.", node):
            compiles(node, 4, 8, 8)


@pytest.mark.parametrize(
    ("name", "args"),
    [(name, args) for args, names in other_words.CLASSES.items() for name in names.split()],
)
def test_a_class_that_a_help_names_is_there_and_runs(name, args):
    (help_,) = helped(name)
    shown = re.search(r"`(module: .*?)`, allowed by --allow-module torch", help_)[1]
    dimensions = re.search(r"(\d)d$", name)
    rank = int(dimensions[1]) if dimensions else 2
    compiles(shown, *(4, 8, 8, 8)[: rank + 1])
    assert issubclass(getattr(nn, name), nn.Module)
    assert bare(name) not in map(bare, OPS)


def test_a_word_that_torch_has_gets_no_near_word():
    everything = "`archspec list --ops` names them all; define your own under `blocks:`"
    for word in ("exp2", "max_unpool2d", "torch.sinh", "tan", "MaxUnpool2d"):
        assert helped(word) == [everything]


@pytest.mark.parametrize(
    ("node", "help_"),
    [
        ("lrn", "it is called 'local_response_norm' here"),
        ("clip", "it is called 'clamp' here"),
        ("transpose", "it is called 'permute' here"),
        ("nn.BatchNorm3d", "it is called 'batch_norm' here"),
        ("GlobalMaxPooling2D", "it is called 'global_max_pool2d' here"),
        ("DepthToSpace", "it is called 'pixel_shuffle' here"),
        ("average: [2, 3]", "it is called 'mean' here"),
        ("cast: int64", "it is called 'to' here"),
        ("long", "write `to: int64`"),
        ("half", "write `to: float`: a float has the network's own precision"),
        ("TokenEmbedding", "it is called 'embedding' here"),
        ("embedding: {vocab_size: 9, embedding_dim: 4}", "it is called 'num_embeddings' here"),
        ("embedding: {num_embeddings: 9, embed_dim: 4}", "it is called 'embedding_dim' here"),
        ("nn.Embedding(9, 4)", "arguments follow a colon, by name: "
         "`embedding: {num_embeddings: 9, embedding_dim: 4}`"),
        ("to: uint8", "write `to: int32`"),
        ("divide: 2", "it is called 'div' here"),
        ("CrossEntropyLoss", "a spec states no loss: the trainer has it"),
        ("conv2d: {filters: 8, kernel_size: 3}", "it is called 'out_channels' here"),
        ("linear: {units: 8}", "it is called 'out_features' here"),
        ("dropout: {rate: 0.5}", "it is called 'p' here"),
        ("max_pool2d: {pool_size: 2}", "it is called 'kernel_size' here"),
        ("slice: {stop: 1}", "it is called 'end' here"),
        ("layer_norm: {epsilon: 0.1}", "it is called 'eps' here"),
        ("{relu: , input: stem}", "it is called 'from' here"),
        ("linear: {out_features: 8, in_dim: 3}", None),
        (
            "linear: {out_features: 8, activation: relu}",
            "an activation is a node of its own, after this one: `- relu`",
        ),
        ("conv2d: {out_channels: width, kernel_size: 3}", "declare it under `params:`; text in an "
         "expression stands in quotes: 'width'"),
    ],
)  # fmt: skip
def test_words_of_other_libraries(node, help_):
    assert helped(node) == [help_]


@pytest.mark.parametrize("node", ["dense: 10", "Dense: 10", "Dense"])
def test_a_fully_connected_layer_of_keras(node):
    (help_,) = helped(node)
    assert help_.startswith("a fully connected layer is `linear: 10`")


def test_an_input_shape_is_the_input():
    assert helped("relu", "input_shape: [3]")[0] == "it is called 'input' here"


COMMON = """
    Dense Activation Embedding Conv1D Conv2D Conv3D SeparableConv2D DepthwiseConv2D Conv2DTranspose
    MaxPooling1D MaxPooling2D AveragePooling2D GlobalMaxPooling2D GlobalAveragePooling2D
    GlobalAveragePooling1D LSTM GRU BatchNormalization LayerNormalization GroupNormalization
    UnitNormalization SpatialDropout2D Dropout Reshape Flatten RepeatVector Permute Cropping2D
    UpSampling2D ZeroPadding2D Concatenate Average Maximum Minimum Add Subtract Multiply Dot ReLU
    Softmax LeakyReLU PReLU ELU Lambda Rescaling Resizing MultiHeadAttention InputLayer
    GaussianNoise Masking TimeDistributed Bidirectional RandomFlip
""".split()  # noqa: SIM905


def test_no_help_for_a_common_word_leads_astray():
    """A help names what is there; a near word is shown only where it is the same word."""
    methods = [name for name in dir(torch.Tensor) if not name.startswith("_")]
    for word in [*COMMON, *dir(nn), *dir(nn.functional), *methods]:
        if word in OPS or not (is_name(word) or word in COMMON):
            continue
        (text,) = helped(f"{{{word}: }}")
        if near := re.fullmatch(r"did you mean '(\w+)'\?", text):
            assert bare(near[1]) == bare(word)
        elif called := re.fullmatch(r"it is called '(\w+)' here", text):
            assert called[1] in OPS
