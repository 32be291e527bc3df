"""An autograd tape without tensors: what a forward pass allocates and what it keeps.

Each op says in `Op.record` which storages it makes, which it only views, and what autograd would
save of them for the backward pass. The tape adds them up: a storage counts once, however many
saved tensors view it, and parameters do not count.

Strides matter: a view shares its input's storage, and whether `reshape` views or copies, or a
product copies its operand first, depends on them. Everything here is for one concrete batch size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from archspec.ir.types import FLOAT, PRECISION, WIDE, ValueType, promoted
from archspec.record import Record

Sizes = tuple[int, ...]

_CHANNELS_LAST = {4: (1, 3, 2, 0), 5: (1, 4, 3, 2, 0)}
"""The axes of the channels-last order by rank, from the innermost outwards."""


RECOMPUTED = {
    "concat": "a concatenation, or batch norm and ReLU of one",
    "norms": "a concatenation, a batch norm or the ReLU of one",
}
"""What a module can compute again in the backward pass instead of keeping it."""


class Storage:
    """A block of memory. Two storages are equal only if they are one object.

    A weight's storage is no activation: the tape never counts it.
    """

    __slots__ = ("is_weight", "nbytes")

    def __init__(self, nbytes: int, is_weight: bool = False) -> None:
        self.nbytes, self.is_weight = nbytes, is_weight


class Tensor(Record):
    """What autograd sees of a tensor: sizes and strides in elements, its storage and type.

    Only floats require gradients. `batched` says whether the first axis is the batch.
    """

    shape: Sizes
    strides: Sizes
    storage: Storage
    requires_grad: bool
    type: ValueType = FLOAT
    batched: bool = True

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def is_contiguous(self) -> bool:
        """Whether it is row-major. As in torch, axes of size 1 may have any stride."""
        return _is_dense(self, reversed(range(len(self.shape))))

    @property
    def is_channels_last(self) -> bool:
        """Whether it is 4-D or 5-D and dense, with the channels innermost.

        Axes of size 1 may have any stride."""
        order = _CHANNELS_LAST.get(len(self.shape))
        return order is not None and _is_dense(self, order)

    @property
    def prefers_channels_last(self) -> bool:
        """torch's `suggest_memory_format`: strides that order the axes as channels-last does.

        Several CPU kernels choose the layout of their result by this order. The tensor need not be
        dense, and an ambiguous one (one channel of one pixel) counts as row-major.
        """
        if len(self.shape) not in _CHANNELS_LAST or self.strides[1] == 0:
            return False
        least = 0
        for dim in _CHANNELS_LAST[len(self.shape)]:
            stride = self.strides[dim]
            if stride < least or (dim == 0 and least == self.strides[1]):
                return False
            least = stride * max(self.shape[dim], 1)
        return True

    def viewed(self, shape: Sizes, strides: Sizes) -> Tensor:
        """Another view of the same storage."""
        return Tensor(shape, strides, self.storage, self.requires_grad, self.type)

    def permuted(self, order: Sequence[int]) -> Tensor:
        """A view of these axes, in this order."""
        sizes, strides = self.shape, self.strides
        return self.viewed(tuple([sizes[i] for i in order]), tuple([strides[i] for i in order]))


class Tape:
    """Collects storages while the ops of a graph record themselves in order.

    `precision` says how many bytes a float has.
    """

    __slots__ = (
        *("allocated", "precision", "recompute", "saved", "sources", "training"),
        *("frozen", "given"),
    )

    def __init__(
        self, training: bool = True, precision: str = PRECISION, recompute: str | None = None
    ) -> None:
        """`recompute` names what is not kept, as in `runtime.recompute`; None keeps everything."""
        self.training, self.precision, self.recompute = training, precision, recompute
        self.saved: dict[Storage, None] = {}
        self.sources: dict[Tensor, tuple[Storage, ...]] = {}
        self.allocated: dict[Storage, None] = {}
        self.frozen = False  # whether nothing trains the parameters of the op that is recorded
        self.given: Mapping[str, Tensor] = {}  # tensors in the place of its weights, by name

    @property
    def is_short(self) -> bool:
        """Whether floats are shorter than those in which kernels compute sums."""
        return FLOAT.itemsize(self.precision) < WIDE.itemsize(self.precision)

    def new(
        self,
        shape: Sizes,
        *,
        requires_grad: bool,
        strides: Sizes | None = None,
        type: ValueType = FLOAT,
    ) -> Tensor:
        """A freshly allocated tensor, row-major unless `strides` are given."""
        storage = Storage(math.prod(shape) * type.itemsize(self.precision))
        self.allocated[storage] = None
        laid_out = contiguous_strides(shape) if strides is None else strides
        return Tensor(shape, laid_out, storage, requires_grad, type)

    def parameter(self, shape: Sizes) -> Tensor:
        """A learned tensor as a value. Neither it nor a view of it ever counts as memory."""
        storage = Storage(math.prod(shape) * FLOAT.itemsize(self.precision), is_weight=True)
        strides = contiguous_strides(shape)
        return Tensor(shape, strides, storage, requires_grad=not self.frozen)

    def weight(self, name: str = "weight") -> Tensor:
        """What autograd sees of a parameter of the op: its own, or what it is given instead.

        Of the op's own parameter only two facts count: it is no activation, and whether it is
        trained.
        """
        return self.given.get(name) or parameter(not self.frozen)

    def weights(self, *names: str) -> tuple[Tensor, ...]:
        """Like `weight`, for several parameters."""
        return tuple(map(self.weight, names))

    def save(self, *tensors: Tensor) -> None:
        """Records that autograd keeps these tensors for the backward pass."""
        for tensor in tensors:
            if not tensor.storage.is_weight:
                self.saved[tensor.storage] = None

    def joined(self, y: Tensor, parts: Sequence[Tensor]) -> None:
        """Records that `y` is a copy of `parts`, from which it could be made again."""
        if self.recompute:
            found = (self.sources.get(part, (part.storage,)) for part in parts)
            self.sources[y] = tuple(storage for storages in found for storage in storages)

    def follows(self, y: Tensor, x: Tensor, *others: Tensor, norm: bool = False) -> None:
        """Records that `y` follows from `x` and small `others`, where `x` is recomputed.

        A `norm` may also be recomputed from an `x` that is kept.
        """
        if not self.recompute:
            return
        kept = (x.storage,) if norm and self.recompute == "norms" else None
        sources = self.sources.get(x, kept)
        if sources is not None:
            self.sources[y] = (*sources, *(each.storage for each in others))

    @property
    def saved_bytes(self) -> int:
        replaced = {tensor.storage: storages for tensor, storages in self.sources.items()}
        found = (replaced.get(storage, (storage,)) for storage in self.saved)
        kept = {storage for storages in found for storage in storages}
        return sum(storage.nbytes for storage in kept if not storage.is_weight)

    @property
    def allocated_bytes(self) -> int:
        return sum(storage.nbytes for storage in self.allocated)


# Layouts -----------------------------------------------------------------------------------------


def contiguous_strides(shape: Sizes) -> Sizes:
    """Row-major strides."""
    return _strides_in_order(shape, reversed(range(len(shape))))


def channels_last_strides(shape: Sizes) -> Sizes:
    """The strides of a dense 4-D or 5-D tensor with the channels innermost."""
    return _strides_in_order(shape, _CHANNELS_LAST[len(shape)])


def layout_of(x: Tensor, shape: Sizes) -> Sizes:
    """The strides of a new tensor of `shape` in the memory format that `x` suggests."""
    return channels_last_strides(shape) if x.prefers_channels_last else contiguous_strides(shape)


def dense_layout(x: Tensor) -> Sizes:
    """The strides of a new tensor shaped like `x`, in the memory format in which `x` is dense.

    Where axes have size 1, both formats may hold: row-major then comes first. For a tensor that is
    dense in neither, the suggested format counts.
    """
    if x.is_contiguous:
        return contiguous_strides(x.shape)
    return channels_last_strides(x.shape) if x.is_channels_last else layout_of(x, x.shape)


def as_plane(x: Tensor) -> Tensor:
    """(n, c, l) as (n, c, 1, l), which is how torch runs many ops on one axis."""
    (n, c, length), (n_step, c_step, step) = x.shape, x.strides
    return x.viewed((n, c, 1, length), (n_step, c_step, length * step, step))


def plane_layout(x: Tensor, shape: Sizes) -> Sizes:
    """Like `layout_of`, where torch runs (n, c, l) as a plane."""
    if len(shape) != 3:
        return layout_of(x, shape)
    n, c, _, step = layout_of(as_plane(x), (*shape[:2], 1, shape[2]))
    return (n, c, step)


def view_strides(x: Tensor, shape: Sizes) -> Sizes | None:
    """The strides with which `shape` views the storage of `x`; None where only a copy will do.

    This is the rule of `Tensor.view`: neighbouring axes of `x` may fuse where one continues the
    other, and each new axis lies within one fused run. Both shapes have equally many elements.
    """
    strides: list[int] = []
    remaining = list(shape)
    run, step = 1, x.strides[-1]
    for dim in reversed(range(len(x.shape))):
        run *= x.shape[dim]
        if dim and (x.shape[dim - 1] == 1 or x.strides[dim - 1] == run * step):
            continue
        inner = 1
        while remaining and (inner < run or remaining[-1] == 1):
            strides.append(inner * step)
            inner *= remaining.pop()
        if inner != run:
            return None
        run, step = 1, x.strides[dim - 1]
    return None if remaining else tuple(reversed(strides))


def _is_dense(x: Tensor, innermost_first: Iterable[int]) -> bool:
    expected = 1
    for dim in innermost_first:
        if x.shape[dim] != 1 and x.strides[dim] != expected:
            return False
        expected *= x.shape[dim]
    return True


def _strides_in_order(shape: Sizes, innermost_first: Iterable[int]) -> Sizes:
    strides = [0] * len(shape)
    step = 1
    for dim in innermost_first:
        strides[dim] = step
        step *= max(shape[dim], 1)
    return tuple(strides)


def parameter(requires_grad: bool) -> Tensor:
    """A parameter whose shape does not matter, because it is no activation."""
    return Tensor((), (), Storage(0, is_weight=True), requires_grad)


def require_grad(*tensors: Tensor) -> bool:
    """Whether any of them requires a gradient, so that results computed from them do too."""
    return any(x.requires_grad for x in tensors)


def spread(x: Tensor, batch: int) -> Tensor:
    """`x` with the batch as a new first axis, expanded and not copied."""
    return x.viewed((batch, *x.shape), (0, *x.strides))


# Steps that many ops share -----------------------------------------------------------------------


def contiguous(tape: Tape, x: Tensor) -> Tensor:
    """`x.contiguous()`: itself, or a row-major copy."""
    return x if x.is_contiguous else _copy(tape, x, x.shape)


def reshape(tape: Tape, x: Tensor, shape: Sizes) -> Tensor:
    """`x.reshape(shape)`: a view where the strides allow it, otherwise a row-major copy."""
    strides = view_strides(x, shape)
    if strides is not None:
        return x.viewed(shape, strides)
    return _copy(tape, x, shape)


CONSTANT = Tensor((), (), Storage(0), requires_grad=False)
"""A number as torch sees it: an operand without axes, which decides the strides of a result."""


def elementwise(tape: Tape, *inputs: Tensor, type: ValueType | None = None) -> Tensor:
    """The new result of a pointwise op on broadcastable `inputs`. The op itself says what is saved.

    By default its `type` is the promoted type of the inputs. It requires a gradient where any input
    does. Its memory order is that of torch's `TensorIterator`: the order of the inputs where they
    agree, else that of the first input which has an order.
    """
    shape = broadcast([x.shape for x in inputs])
    return tape.new(
        shape,
        requires_grad=require_grad(*inputs),
        strides=_elementwise_strides(shape, inputs),
        type=type or promoted([x.type for x in inputs]),
    )


def empty_like(tape: Tape, x: Tensor, *, requires_grad: bool) -> Tensor:
    """`torch.empty_like(x)`: it has all strides of a dense `x`, even of axes of size 1.

    Otherwise its axes keep their memory order.
    """
    dense = _is_non_overlapping_and_dense(x)
    strides = x.strides if dense else _elementwise_strides(x.shape, [x])
    return tape.new(x.shape, requires_grad=requires_grad, strides=strides, type=x.type)


def _copy(tape: Tape, x: Tensor, shape: Sizes) -> Tensor:
    return tape.new(shape, requires_grad=x.requires_grad, type=x.type)


def _elementwise_strides(shape: Sizes, inputs: Sequence[Tensor]) -> Sizes:
    """`TensorIteratorBase::fast_set_up`, then `reorder_dimensions`, for a new output."""
    if all(x.shape == shape for x in inputs):
        if all(x.is_contiguous for x in inputs):
            return contiguous_strides(shape)
        if len(shape) == 4 and all(x.is_channels_last for x in inputs):
            return channels_last_strides(shape)
        first = inputs[0].strides
        if all(_is_non_overlapping_and_dense(x) and x.strides == first for x in inputs):
            return first
    broadcast_strides = [_broadcast_strides(x, shape) for x in inputs]
    order = list(reversed(range(len(shape))))  # innermost first; an insertion sort, as in torch
    for start in range(1, len(order)):
        moving = start
        for before in reversed(range(start)):
            outer = _compare(order[before], order[moving], shape, broadcast_strides)
            if outer > 0:
                order[before], order[moving] = order[moving], order[before]
                moving = before
            elif outer < 0:
                break
    return _strides_in_order(shape, order)


def _compare(a: int, b: int, shape: Sizes, all_strides: Sequence[Sizes]) -> int:
    """Positive where axis `a` belongs outside `b`, negative where inside, 0 where unknown."""
    for strides in all_strides:
        if strides[a] == 0 or strides[b] == 0:
            continue
        if strides[a] != strides[b]:
            return strides[a] - strides[b]
        if shape[a] > shape[b]:
            return 1
    return 0


def _is_non_overlapping_and_dense(x: Tensor) -> bool:
    return _is_dense(x, sorted(range(len(x.shape)), key=lambda dim: x.strides[dim]))


def broadcast(shapes: Sequence[Sizes]) -> Sizes:
    """torch's broadcasting, for shapes that fit."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return tuple(max(sizes) for sizes in zip(*padded, strict=True))


def _broadcast_strides(x: Tensor, shape: Sizes) -> Sizes:
    missing = len(shape) - len(x.shape)
    pairs = zip(x.shape, x.strides, shape[missing:], strict=True)
    return (0,) * missing + tuple(
        0 if own == 1 and size != 1 else stride for own, stride, size in pairs
    )
