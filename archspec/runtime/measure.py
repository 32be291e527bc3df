"""What a real run costs: the bytes that autograd saves and the multiply-accumulates."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from archspec.ir.op import Weight, Weights
from archspec.ir.types import PRECISION
from archspec.runtime.values import type_of

Result = TypeVar("Result")


def measure_saved_bytes(run: Callable[[], Result], owned: Iterable[Tensor]) -> tuple[Result, int]:
    """The result of `run` and the bytes that autograd keeps for its backward pass.

    Counts distinct storages, each in full, however many saved tensors look at it. Storages of
    `owned` (a module's parameters and buffers) are left out: they live on anyway. Recurrent layers
    run by torch's own cells: the workspace of a fused kernel depends on the processor.
    """
    mine = {tensor.untyped_storage().data_ptr() for tensor in owned}
    # The storages are held until they are counted: a freed address could be given out twice.
    saved: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in mine:
            saved[storage.data_ptr()] = storage
        # Detached, since an output that its own graph node holds would never be freed.
        return tensor.detach()

    hooks = saved_tensors_hooks(pack, lambda tensor: tensor)
    with torch.enable_grad(), plain_recurrence(), hooks:
        result = run()
    return result, sum(storage.nbytes() for storage in saved.values())


def as_weight(key: str, tensor: Tensor, precision: str = PRECISION) -> Weight:
    """A parameter or buffer of a module of a precision, as an op states it."""
    buffer = not isinstance(tensor, nn.Parameter)
    trainable = buffer or tensor.requires_grad
    return Weight(key, tuple(tensor.shape), buffer, type_of(tensor.dtype, precision), trainable)


def weights_of(module: nn.Module, precision: str = PRECISION) -> Weights:
    """What a module of a precision owns, in the order of its state dict."""
    owned = module.state_dict(keep_vars=True).items()
    return tuple(as_weight(key, tensor, precision) for key, tensor in owned)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draws on the CPU from `seed` inside; the global random state is as before afterwards."""
    state = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(state)


@contextmanager
def plain_recurrence() -> Iterator[None]:
    """Recurrent modules run by torch's own cells inside, not by a kernel of oneDNN or cuDNN."""
    running = ExitStack()

    def begin(module: nn.Module, inputs: object) -> None:
        if isinstance(module, nn.RNNBase):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # oneDNN's flags speak of Intel's GPUs
                running.enter_context(torch.backends.mkldnn.flags(enabled=False))
            running.enter_context(torch.backends.cudnn.flags(enabled=False))

    def end(module: nn.Module, inputs: object, result: object) -> None:
        if isinstance(module, nn.RNNBase):
            running.close()

    hooks = (
        register_module_forward_pre_hook(begin),
        register_module_forward_hook(end, always_call=True),
    )
    try:
        yield
    finally:
        running.close()
        for hook in hooks:
            hook.remove()


def _flops_of_layer(x: Any, ih: Any, hh: Any, *others: Any, **more: Any) -> int:
    """Those of oneDNN's kernel, from the shapes of what a cell reads and of its two matrices."""
    steps, batch, _ = x
    return 2 * int(steps * batch * (ih[0] * ih[1] + hh[0] * hh[1]))


@contextmanager
def counting_macs() -> Iterator[Callable[[], int]]:
    """Counts multiply-accumulates in its body; yields a function that reads the count so far.

    They are half of what `torch.utils.flop_counter` counts: convolutions and matrix products.
    Attention and recurrent layers run as plain products and grad is on, since the counter reports 0
    for kernels that it does not know and for what runs without grad on the CPU.
    """
    counter = FlopCounterMode(
        display=False, custom_mapping={torch.ops.aten.mkldnn_rnn_layer: _flops_of_layer}
    )
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # where nothing is learned: it does not count
    try:
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            yield lambda: int(counter.get_total_flops()) // 2
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def measure_macs(run: Callable[[], object]) -> int:
    """Multiply-accumulates of `run`, for the whole batch that it computes."""
    with counting_macs() as count:
        run()
        return count()


def uncounted(run: Callable[[], object]) -> list[str]:
    """Ops of `run` whose multiply-accumulates torch's counter may have missed, by their names.

    The counter does not know such an op, and it is none of those that are known to multiply no
    matrices. To move, add up or look up numbers costs nothing.
    """
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), _Unknown() as seen:
        run()
    return list(seen.names)


_NAMES = """
    _aminmax _cummax_helper _cummin_helper _embedding_bag _local_scalar_dense _log_softmax
    _logcumsumexp _masked_softmax _native_batch_norm_legit _native_batch_norm_legit_no_training
    _pack_padded_sequence _prelu_kernel _safe_softmax _softmax _to_copy _unsafe_view
    _weight_norm_interface allclose aminmax batch_norm_stats bernoulli binary_cross_entropy
    binary_cross_entropy_with_logits bincount binomial block_diag bucketize cat cauchy
    channel_shuffle clone col2im complex constant_pad_nd copy count_nonzero cudnn_batch_norm
    cummax cummin cumprod cumsum diag_embed dist embedding embedding_renorm equal exponential
    fill flip floor_divide gather geometric glu hardswish histc im2col isin item kthvalue
    lift_fresh linalg_cross linalg_vector_norm log_normal log_sigmoid_forward logcumsumexp
    median mode multinomial nanmedian native_batch_norm native_dropout native_group_norm
    native_layer_norm native_norm nonzero norm normal pixel_shuffle pixel_unshuffle poisson
    polar put random renorm repeat repeat_interleave resize resize_as roll rot90
    rrelu_with_noise rsub searchsorted segment_reduce set sort split split_with_sizes squeeze
    stack std_mean take topk trace transpose tril triu unfold uniform unsafe_split
    unsafe_split_with_sizes var_mean where zero
"""
_FREE = frozenset(_NAMES.split())
_FREE_STARTS = (
    *("_adaptive_", "_assert_", "_fake_quantize_", "_index", "_unique", "_unsafe_index"),
    *("_unsafe_masked_index", "_upsample_", "adaptive_", "avg_pool", "empty"),
    *("fake_quantize_", "fractional_max_pool", "full", "grid_sampler_", "index", "masked_"),
    *("max_pool", "max_unpool", "new_", "rand", "reflection_pad", "replication_pad", "scatter"),
    *("sym_", "unique_", "upsample_"),
)
_FREE_ENDS = ("_copy", "_like", "_loss", "_loss2d_forward", "_loss_forward", "_scatter")
"""ATen ops without products, by their names and by how these begin or end."""


def _is_free(func: Any) -> bool:
    """Whether an ATen op is known to multiply no matrices: elementwise ones say so themselves."""
    name = func.overloadpacket.__name__.rstrip("_")
    # An op that writes in place, `mish_`, may lack the tags of the plain one.
    plain = getattr(getattr(torch.ops.aten, name, None), func._overloadname, func)
    tags = {*func.tags, *plain.tags}
    return (
        func.is_view
        or plain.is_view
        or not {torch.Tag.pointwise, torch.Tag.reduction}.isdisjoint(tags)
        or name in _FREE
        or name.startswith(_FREE_STARTS)
        or name.endswith(_FREE_ENDS)
    )


class _Unknown(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Collects the ops whose cost is not known, while their results are as they are."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: dict[str, None] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet, kwargs = func.overloadpacket, kwargs or {}
        if packet not in flop_registry and not (func.namespace == "aten" and _is_free(func)):
            reads = any(isinstance(value, Tensor) for value in tree_leaves((args, kwargs)))
            if reads or func.namespace not in ("aten", "prim"):
                self.names[str(packet)] = None
        return func(*args, **kwargs)
