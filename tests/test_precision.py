"""The precision of a network: figures, module, weights and `verify` in bfloat16 and its kin."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch import nn

import archspec
from archspec import Architecture, SpecError
from archspec.cli import main
from archspec.ir.op import REGISTRY
from archspec.ir.precision import precision_of
from archspec.ir.types import FLOAT, INT64, PRECISIONS, WIDE, ValueType
from archspec.testing import contract, graphs, mixed
from archspec.verify import verify

OTHERS = ("bfloat16", "float16", "float64")

NETWORK = """
input: [4, 8, 8]
layers:
  - {name: conv, conv2d: {out_channels: 6, kernel_size: 3, bias: false}}
  - {name: bn, batch_norm: }
  - relu
  - flatten
  - {name: fc, linear: 5}
"""

TYPES = """
input: {shape: [6], dtype: int64, below: 9}
layers:
  - {name: rows, embedding: {num_embeddings: 9, embedding_dim: 6}}
  - {name: mask, from: input, to: bool}
  - {name: whole, from: input, to: int32}
  - {name: number, to: float}
  - {name: column, unflatten: {dim: 1, unflattened_size: [6, 1]}}
  - {name: kept, from: mask, unflatten: {dim: 1, unflattened_size: [6, 1]}}
  - {name: product, mul: [rows, column, kept]}
  - {name: fc, linear: 3}
"""


def loaded(text: str = NETWORK, **more: Any) -> Architecture:
    return archspec.loads(text, warn=False, **more)


def nbytes(net: nn.Module) -> int:
    """Of its state dict, where two keys may name one tensor."""
    stores = [value.untyped_storage() for value in net.state_dict().values()]
    return sum({store.data_ptr(): store.nbytes() for store in stores}.values())


# --- against real modules ------------------------------------------------------------------------

FIXED = settings(max_examples=40, suppress_health_check=list(HealthCheck))


def agree(spec: dict[str, Any], precision: str) -> Architecture | None:
    """Asserts that the real module in a precision is as stated; None for what is refused."""
    try:
        arch = loaded(graphs.to_text(spec))
    except SpecError:
        return None
    report = arch.verify((2,), dtype=precision)
    assert report.ok and report.dtype == precision, f"{report}\n{graphs.to_text(spec)}"
    net, usual = arch.build("cpu", seed=0, dtype=precision), arch.build("cpu", seed=0)
    assert list(net.state_dict()) == list(usual.state_dict())
    floats = {value.dtype for value in net.state_dict().values() if value.is_floating_point()}
    assert floats <= {getattr(torch, precision)}
    summary = arch.summary(dtype=precision)
    assert summary.state_dict_bytes == nbytes(net)
    assert arch.summary().state_dict_bytes == nbytes(usual)
    return arch


@pytest.mark.parametrize("drawn", [graphs.specs, mixed.mixed_specs])
def test_random_graphs_are_as_stated_in_other_precisions(drawn: Callable[[], Any]) -> None:
    seen: Counter[str] = Counter()

    @FIXED
    @given(drawn())
    def check(spec: dict[str, Any]) -> None:
        precision = "float64" if seen["accepted"] % 3 == 2 else "bfloat16"
        if (arch := agree(spec, precision)) is not None:
            seen["accepted"] += 1
            seen.update({layer.op for layer in arch.layers})

    check()
    assert seen["accepted"] >= 15, seen
    assert sum(seen[op] > 0 for op in REGISTRY) >= 7, seen


CALLS = [call for name in sorted(REGISTRY) for call in contract.examples(name)]


def test_every_op_keeps_what_torch_keeps_in_bfloat16() -> None:
    for call in CALLS:
        # torch averages over volumes, as over the channels of images, without short floats.
        lacks = call.op.op_name in ("avg_pool3d", "lp_pool3d") or (
            call.op.op_name == "local_response_norm" and len(call.inputs[0]) > 3
        )
        if lacks:
            with pytest.raises(NotImplementedError, match="avg_pool3d"):
                contract.check_call(call, dtype="bfloat16")
        else:
            assert contract.check_call(call, dtype="bfloat16")


def test_a_bundled_network_is_verified_in_float16() -> None:
    assert archspec.load("lenet_bn_scratch").verify((2,), dtype=torch.float16).ok


# --- figures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", PRECISIONS)
def test_bytes_are_those_of_the_precision(precision: str) -> None:
    size = torch.empty(0, dtype=getattr(torch, precision)).element_size()
    summary = loaded().summary(batch_size=2, dtype=precision)
    weights = 6 * 4 * 9 + 2 * 6 + (216 * 5 + 5)
    assert summary.state_dict_bytes == size * (weights + 2 * 6) + 8  # and a count of batches
    image, logits = 2 * 6 * 6 * 6, 2 * 5
    assert summary.activation_bytes == size * (3 * image + logits)
    # The input, what batch_norm reads with its mean and deviation, and what relu gives.
    assert summary.saved_bytes == size * (2 * 4 * 64 + image + 2 * 6 + image)
    assert summary.dtype == precision


def test_integers_and_truth_values_keep_their_bytes() -> None:
    summary = loaded(TYPES).summary(batch_size=3, dtype="bfloat16")
    numbers, rows = 3 * 6, 3 * 6 * 6
    # The mask and the int32, then the floats: rows, numbers, their product and what fc gives.
    floats = rows + numbers + rows + 3 * 6 * 3
    assert summary.activation_bytes == numbers * (1 + 4) + 2 * floats
    assert summary.input_dtypes == {"input": "int64"} and summary.dtype == "bfloat16"


def test_kernels_add_up_in_float32_at_least() -> None:
    found = [(p, FLOAT.itemsize(p), WIDE.itemsize(p), INT64.itemsize(p)) for p in PRECISIONS]
    assert found == [
        ("float32", 4, 4, 8),
        ("bfloat16", 2, 4, 8),
        ("float16", 2, 4, 8),
        ("float64", 8, 8, 8),
    ]


@pytest.mark.parametrize(
    ("precision", "saved"), [("float32", 2496), ("bfloat16", 1920), ("float64", 4992)]
)
def test_attention_with_dropout_keeps_wide_copies(precision: str, saved: int) -> None:
    """Of 2 samples of 4 tokens of 6 features in 3 heads."""
    size = PRECISIONS[precision]
    wide = max(4, size)
    rows, pairs = 2 * 4 * 6, 2 * 3 * 4 * 4
    values = rows * wide if size < wide else 3 * rows * size  # a copy, or all that was projected
    assert saved == 2 * rows * size + 2 * rows * wide + values + 3 * pairs * wide
    text = "input: [4, 6]\nlayers: [{multi_head_attention: {num_heads: 3, dropout: 0.2}}]"
    assert loaded(text).summary(batch_size=2, dtype=precision).saved_bytes == saved


def test_formulas_of_memory_are_those_of_the_precision() -> None:
    text = "input: [4, 8, 8]\nlayers: [{conv2d: {out_channels: 6, kernel_size: 3}}, sigmoid]"
    usual, short = (loaded(text).formulas("H", dtype=p) for p in ("float32", "bfloat16"))
    assert (usual.saved_bytes.value, short.saved_bytes.value) == (1888, 944)
    assert short.saved_bytes.value == 2 * (4 * 8 * 8 + 6 * 6 * 6)
    assert "dtype" not in usual.as_dict() and short.as_dict()["dtype"] == "bfloat16"


def test_float32_is_the_default() -> None:
    arch = loaded()
    assert arch.summary(dtype=torch.float32) == arch.summary()
    assert str(arch.summary(dtype="float32")) == str(arch.summary())
    assert "dtype" not in arch.summary().as_dict()
    other = arch.summary(dtype="bfloat16")
    assert other.as_dict()["dtype"] == "bfloat16"
    assert "\nPrecision           bfloat16\n" in str(other)
    assert "storages, in\nbfloat16." in str(other) or "storages, in bfloat16." in str(other)


# --- the module ----------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", OTHERS)
@pytest.mark.parametrize("text", [NETWORK, TYPES, f"init: orthogonal{NETWORK}"])
def test_weights_are_those_of_float32_rounded(precision: str, text: str) -> None:
    arch, dtype = loaded(text), getattr(torch, precision)
    usual = arch.build(seed=3).state_dict()
    for given_dtype in (precision, dtype, f"torch.{precision}"):
        found = arch.build(seed=3, dtype=given_dtype).state_dict()
        assert list(found) == list(usual)
        for key, value in usual.items():
            expected = value.to(dtype) if value.is_floating_point() else value
            assert found[key].dtype == expected.dtype and torch.equal(found[key], expected)


def test_weights_are_drawn_in_float32_whatever_torch_s_default_is() -> None:
    usual = loaded().build(seed=3).state_dict()
    torch.set_default_dtype(torch.bfloat16)
    try:
        assert loaded().build(seed=3).fc.weight.dtype == torch.bfloat16  # as torch itself does
        found = loaded().build(seed=3, dtype="float32").state_dict()
        assert torch.get_default_dtype() == torch.bfloat16
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(torch.equal(found[key], value) for key, value in usual.items())


def test_a_module_on_the_meta_device_has_the_precision() -> None:
    net = loaded().build("meta", dtype="float16")
    assert {v.dtype for v in net.parameters()} == {torch.float16}
    assert all(value.is_meta for value in net.state_dict().values())


def test_it_trains_in_bfloat16_with_its_own_batch_norm() -> None:
    arch = loaded(NETWORK.replace("batch_norm:", "batch_norm_scratch:"))
    net = arch.build(seed=0, dtype="bfloat16")
    images = torch.randn(4, 4, 8, 8).to(torch.bfloat16)
    net(images).sum().backward()
    assert {p.grad.dtype for p in net.parameters() if p.grad is not None} == {torch.bfloat16}
    assert net.bn.moving_mean.dtype == torch.bfloat16 and net.bn.moving_mean.abs().sum() > 0
    assert net.eval()(images).dtype == torch.bfloat16


def test_to_float_makes_the_network_s_precision() -> None:
    for precision in PRECISIONS:
        net = loaded(TYPES).build(seed=0, dtype=precision)
        assert net(torch.zeros(2, 6, dtype=torch.int64)).dtype == getattr(torch, precision)


def test_compile_takes_a_dtype() -> None:
    net = archspec.compile("lenet_bn", dtype=torch.float64)
    assert next(net.parameters()).dtype == torch.float64


# --- weights -------------------------------------------------------------------------------------


def test_trained_weights_are_converted() -> None:
    arch = loaded()
    trained = arch.build(seed=1).state_dict()
    net = arch.build(weights=trained, dtype="bfloat16")
    for key, value in net.state_dict().items():
        assert torch.equal(value, trained[key].to(value.dtype))
    taps = arch.build(weights=trained, dtype="bfloat16", outputs=["bn"])
    assert torch.equal(taps.conv.weight, net.conv.weight)


def test_values_too_large_for_the_precision_are_warned_of() -> None:
    arch = loaded()
    trained = arch.build(seed=1).state_dict()
    trained["fc.bias"] = torch.full((5,), 70_000.0)
    with pytest.warns(UserWarning, match="values of 1 key are too large.*: fc.bias"):
        net = arch.build(weights=trained, dtype="float16")
    assert net.fc.bias.isinf().all()
    assert arch.build(weights=trained, dtype="bfloat16").fc.bias.isfinite().all()


# --- verify --------------------------------------------------------------------------------------


def test_a_module_of_another_precision_is_found() -> None:
    arch = loaded()
    report = verify(arch.graph, name="net", build=lambda: arch.build(seed=0), precision="bfloat16")
    rows = {(m.path, m.what): (m.static, m.real) for m in report.mismatches}
    assert rows["fc.bias", "weight"] == ("parameter (5,) of float", "parameter (5,) of float32")
    assert ("bn.num_batches_tracked", "weight") not in rows


def test_a_layer_that_leaves_the_precision_is_found() -> None:
    class Wide(nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return super().forward(input).float()

    arch = loaded()

    def build() -> nn.Module:
        net = arch.build(seed=0, dtype="bfloat16")
        net.fc = Wide(216, 5).to(torch.bfloat16)
        return net

    report = verify(arch.graph, name="net", build=build, precision="bfloat16")
    assert [(m.path, m.static, m.real) for m in report.mismatches if "type" in m.what] == [
        ("fc", "float", "float32")
    ]


def test_a_kernel_that_torch_lacks_is_named() -> None:
    class Lacking(nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            raise NotImplementedError("\"sum_kernel\" not implemented for 'BFloat16'")

    arch = loaded()

    def build() -> nn.Module:
        net = arch.build(seed=0, dtype="bfloat16")
        net.fc = Lacking(216, 5).to(torch.bfloat16)
        return net

    (mismatch,) = verify(arch.graph, name="net", build=build, precision="bfloat16").mismatches
    assert (mismatch.path, mismatch.what) == ("fc", "run at N=2 in train()")
    assert mismatch.real == (
        "torch has no bfloat16 kernel for it on the cpu (sum_kernel): "
        "choose another device or precision"
    )


# --- modules of other packages -------------------------------------------------------------------


class Mixed(nn.Module):
    """A buffer that is wider than the network, and an output that may be."""

    def __init__(self, wide: bool = False) -> None:
        super().__init__()
        self.wide = wide
        self.register_buffer("steps", torch.arange(4, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x * self.steps.to(x.dtype)
        return y.float() if self.wide else y


def foreign(args: str = "") -> Architecture:
    text = f"input: [4]\nlayers: [{{module: {{type: {__name__}.Mixed, args: [{args}]}}}}]"
    return loaded(text, allow_modules=[__name__])


def test_a_module_of_another_package_is_brought_to_the_precision() -> None:
    arch = foreign()
    assert arch.verify().ok and arch.summary().state_dict_bytes == 4 * 8  # as it makes itself
    assert arch.verify(dtype="bfloat16").ok
    assert arch.summary(dtype="bfloat16").state_dict_bytes == 4 * 2


def test_one_that_leaves_the_precision_is_refused_at_its_node() -> None:
    arch = foreign("true")
    assert arch.verify().ok
    with pytest.raises(SpecError, match=r"gives float32 for bfloat16"):
        arch.summary(dtype="bfloat16")


# --- what is asked for ---------------------------------------------------------------------------

WRONG = {
    "bf16": "write bfloat16",
    "BFloat16": "write bfloat16",
    "half": "write float16",
    "fp16": "write float16",
    "float": "write float32",
    "double": "write float64",
    "int8": "choose float32, bfloat16, float16 or float64; archspec quantises nothing",
    "float15": "choose float32, bfloat16, float16 or float64 (did you mean 'float16'?)",
    "": "choose float32, bfloat16, float16 or float64",
}


@pytest.mark.parametrize("word", WRONG)
def test_what_is_no_precision_is_refused_with_a_word(word: str) -> None:
    message = f"{word!r} is no precision of a network: {WRONG[word]}"
    for ask in (loaded().summary, loaded().build, loaded().verify):
        with pytest.raises(ValueError) as raised:
            ask(dtype=word)
        assert str(raised.value) == message


@pytest.mark.parametrize(
    ("text", "help_"),
    [
        ("dtype: bf16\ninput: [4]\nlayers: [relu]", "--dtype chooses the precision"),
        ("input: [4]\nlayers: [{linear: {out_features: 3, dtype: half}}]", "--dtype chooses"),
        ("input: {shape: [4], dtype: bf16}\nlayers: [relu]", "precision, which `--dtype` chooses"),
        ("input: [4]\nlayers: [{to: bf16}]", "`to: float`, the network's own precision"),
        ("input: [4]\nlayers: [{to: torch.float16}]", "`to: float`, the network's own precision"),
    ],
)
def test_a_precision_in_a_spec_is_refused_with_the_option(text: str, help_: str) -> None:
    with pytest.raises(SpecError) as raised:
        loaded(text)
    (diagnostic,) = raised.value.diagnostics
    assert help_ in (diagnostic.help or "")


def test_a_dtype_of_torch_is_taken_by_its_name() -> None:
    assert [precision_of(getattr(torch, name)) for name in PRECISIONS] == list(PRECISIONS)
    with pytest.raises(ValueError, match=r"'torch.int64' is no precision"):
        precision_of(torch.int64)
    assert ValueType("float64").in_network("bfloat16") == FLOAT


def test_the_command_says_the_precision(capsys: pytest.CaptureFixture[str]) -> None:
    def said(*options: str) -> str:
        assert main(["compile", "lenet_bn", *options]) == 0
        return capsys.readouterr().out

    net = archspec.load("lenet_bn").build(dtype="bfloat16")
    assert said("--dtype", "float32") == said()
    line = said("--dtype", "bfloat16").rstrip()
    assert line.startswith(said().rstrip())
    assert line.endswith(f"KiB ({nbytes(net):,} bytes) in bfloat16")
    figures = json.loads(said("--dtype", "bfloat16", "--json"))
    assert (figures["dtype"], figures["state_dict_bytes"]) == ("bfloat16", nbytes(net))
    summary = json.loads(said("--dtype", "bfloat16", "--json", "--summary"))
    assert (summary["dtype"], summary["state_dict_bytes"]) == ("bfloat16", nbytes(net))
    assert "verified in bfloat16: " in said("--dtype", "bfloat16", "--verify")


def test_the_command_refuses_what_is_no_precision(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compile", "lenet_bn", "--dtype", "bf16"])
    assert ended.value.code == 2
    assert "--dtype: 'bf16' is no precision of a network: write bfloat16" in capsys.readouterr().err


def test_the_command_converts_weights(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "w.pth"
    torch.save(archspec.load("lenet_bn").build(seed=0).state_dict(), path)
    assert main(["compile", "lenet_bn", "--weights", str(path), "--dtype", "float16"]) == 0
    assert "converted 26 keys from float32 to float16" in capsys.readouterr().out
