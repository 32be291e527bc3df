"""Makes nodes of the recorded calls, one after the other, by the handlers of `functions/`."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any

from archspec.diagnostics.diagnostic import Refusal
from archspec.importing.axes import (
    BATCH_AXIS,
    Axes,
    has_batch,
    our_axis,
    our_order,
    our_shape,
    plain_axes,
    real_shape,
    regrouped,
)
from archspec.importing.composing import Listed, Part, composed
from archspec.importing.constants import NotConstant, evaluate, without_batch
from archspec.importing.functions import handler_of, leaf_of, load_handlers
from archspec.importing.keeping import Kept
from archspec.importing.literals import constant_of, initial, type_of
from archspec.importing.trace import (
    BATCH,
    CONSTANT,
    DRAWN,
    LEARNED,
    Call,
    Invocation,
    Place,
    Trace,
    Value,
    cannot,
    mapped,
    refused,
    values_in,
)
from archspec.ir.op import REGISTRY
from archspec.record import Record

COMPOSED = 64
"""Constants of more numbers are taken apart, where that lists fewer of them."""
LISTED = 1024
"""Constants of more numbers are computed as the module does it, where they are computed at all."""
FEW = 12
"""A shorter table is computed by at most so many nodes, else it is listed."""


def _filled(value: Value) -> dict[str, Any] | None:
    """The arguments of a constant of one number that a function fills a tensor with."""
    call = value.source
    if call is None or call.name not in ("zeros", "ones", "full", "empty") or call.written:
        return None
    number = call.args[1] if call.name == "full" and len(call.args) > 1 else 0
    if call.name == "ones":
        number = 1
    if call.name == "full" and len(call.args) < 2:
        number = call.kwargs["fill_value"]
    if isinstance(number, Value) or not value.shape:
        return None
    dtype = type_of(value.dtype)
    sizes = [1 if size == BATCH else size for size in value.shape]
    kinds = {"float": float, "bool": bool}
    filled = {"full": sizes, "value": kinds.get(dtype, int)(number)}
    return filled if dtype in ("float", "bool", "int64") else {**filled, "dtype": dtype}


class Node:
    """A node to be written: an op with its arguments and inputs, and where its weights are.

    `owner` is the path at which its keys stand; None for an op without any. `owned` are its own
    parameters, `computed` the schemes by which some are computed, and `weights` edges that stand in
    the place of some, by name. `name` is what it is called where it may choose. `names` are those
    of its inputs where they do not go by position. `samples` says whether its value has a batch.
    `inside` is the call of a module that makes it. `shapes` are the sizes of its outputs without
    the batch, and `at_sizes` those of several runs.
    """

    __slots__ = (
        *(
            "args",
            "at_sizes",
            "computed",
            "inputs",
            "inside",
            "name",
            "op",
            "owner",
            "place",
            "samples",
            "shapes",
        ),
        *("names", "owned", "trainable", "training_only", "weights"),
    )

    def __init__(self, op: str, args: dict[str, Any], inputs: tuple[Edge, ...]) -> None:
        self.op, self.args, self.inputs = op, args, inputs
        self.inside: Invocation | None = None
        self.place: Place | None = None
        self.owner: str | None = None
        self.computed: dict[str, Mapping[str, Any]] = {}
        self.owned: dict[str, Value] = {}
        self.weights: dict[str, Edge | str] = {}
        self.name = ""
        self.samples = True
        self.shapes: tuple[tuple[int, ...], ...] = ()
        self.at_sizes: tuple[tuple[tuple[int, ...], ...], ...] = ()
        self.names: tuple[str, ...] = ()
        self.trainable = True
        self.training_only = False

    def __repr__(self) -> str:
        return f"<{self.op} {self.args} at {self.owner or self.inside}>"


def signature_of(module: Any) -> Iterable[str]:
    """The names of the arguments of a module's `forward`."""
    return inspect.signature(module.forward).parameters


class Edge(Record):
    """Output `output` of a node; of an input of the network where `node` is its name."""

    node: Node | str
    output: int = 0


class Computed(Record):
    """A weight that a module computes of others: whose it is, its name, and the scheme."""

    path: str
    name: str
    scheme: Mapping[str, Any]


class Lifted(Record):
    """What our nodes give for a real tensor. `batched` says whether it has the batch first."""

    edge: Edge
    axes: Axes
    batched: bool
    dtype: str

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the real tensor."""
        return real_shape(self.axes)

    @property
    def ours(self) -> tuple[int, ...]:
        """The sizes of our value, without the batch."""
        return our_shape(self.axes, self.batched)


class Lifter:
    """The nodes of one trace. Handlers make them through its methods; see `functions/`.

    `kept` are parts that stay Python, by path. Where sizes are `symbolic`, constants are computed
    as the module computes them, so that they follow. The spec draws other random numbers than the
    module from the same seed where they are `redrawn`.
    """

    def __init__(
        self, trace: Trace, kept: Mapping[str, Kept] | None = None, *, symbolic: bool = False
    ) -> None:
        load_handlers()
        self.symbolic = symbolic
        self.redrawn = False
        self.computed: dict[Value, Computed] = {}
        self.kept = kept or {}
        self.readers: dict[Value, int] = {}
        for call in trace.needed():
            for value in call.reads:
                self.readers[value] = self.readers.get(value, 0) + 1
        self.trace = trace
        self.nodes: list[Node] = []
        self.values: dict[Value, Lifted] = {}
        self.copies: dict[tuple[Value, str], Lifted] = {}
        self.composed: dict[Value, Part | None] = {}
        self.listed: set[Value] = set()
        self.parts: dict[tuple[Value, str], tuple[Lifted, ...]] = {}
        self.laid_out: dict[Edge, Lifted] = {}
        self.permuted: dict[Edge, tuple[Lifted, tuple[int, ...]]] = {}
        self.keys: dict[Value, list[str]] = {}
        for key, value in trace.tensors.items():
            self.keys.setdefault(value, []).append(key)
        for name, value in trace.inputs.items():
            self.values[value] = Lifted(Edge(name), plain_axes(value.shape), True, value.dtype_name)
        self.call: Call = trace.calls[0] if trace.calls else None  # type: ignore[assignment]

    def run(self) -> None:
        """Lift every call that the outputs need. Raises `SpecError` with the line of Python."""
        for call in self.trace.needed():
            made = [value for value in call.made if value.kind not in (CONSTANT, DRAWN)]
            if not made:
                continue
            self.call = call
            try:
                self._lift(call)
            except Refusal as refusal:
                raise refused(refusal, call.place, call.inside) from None
        self.free_owners()

    def _lift(self, call: Call) -> None:
        if call.inside.path in self.kept and call.module is not None:
            self._keep(call, self.kept[call.inside.path])
            return
        handler = handler_of(call.name) if call.module is None else leaf_of(call.module)
        word = call.name.removeprefix("Tensor.")
        if handler is None:
            raise cannot(
                f"no op of the language is known for torch's {word}",
                help="import with partial=True (`--partial`), which keeps the module around it as "
                "a `module:` node, or write it with other functions",
            )
        first = (self,) if call.module is None else (self, call.module)
        try:
            bound = inspect.signature(handler).bind(*first, *call.args, **call.kwargs)
        except TypeError as error:
            raise cannot(f"{word} is not known with these arguments: {error}") from None
        result = handler(*bound.args, **bound.kwargs)
        if result is None:
            return
        if call.written and not isinstance(call.results, Value):
            self._assign(call.written[0][1], result)
            return
        for _, after in call.written:
            self._assign(after, result if isinstance(result, Lifted) else result[0])
        self._assign_all(call.results, result)

    def _keep(self, call: Call, kept: Kept) -> None:
        """A part of the module that stays Python, as a `module` node."""
        names = list(signature_of(call.module))[: len(call.args)] + list(call.kwargs)
        values = [*call.args, *call.kwargs.values()]
        given = {n: v for n, v in zip(names, values, strict=True) if v is not None}
        if not all(isinstance(each, Value) for each in given.values()):
            raise cannot(f"{call.inside.path} is called with more than tensors")
        made = self.node(
            "module",
            *given.values(),
            owner=call.inside.path,
            axes=[plain_axes(value.shape) for value in values_in(call.results)],
            type=kept.type,
            kwargs=dict(kept.kwargs),
        )
        if call.kwargs:
            made[0].edge.node.names = tuple(given)
        for value, lifted in zip(values_in(call.results), made, strict=True):
            self._assign(value, lifted)

    def _assign_all(self, results: Any, lifted: Any) -> None:
        if isinstance(results, Value):
            if results.source is self.call:
                self._assign(results, lifted if isinstance(lifted, Lifted) else lifted[0])
        elif isinstance(results, tuple | list):
            given = (lifted,) if isinstance(lifted, Lifted) else lifted
            for each, made in zip(results, given, strict=False):
                self._assign_all(each, made)

    def _assign(self, value: Value, lifted: Lifted) -> None:
        if real_shape(lifted.axes) != value.shape:
            raise AssertionError(
                f"{self.call}: {lifted} has the real shape {real_shape(lifted.axes)}, "
                f"and the run gave {value.shape}"
            )
        self.values[value] = lifted._replace(dtype=value.dtype_name)

    def needed(self, outputs: Iterable[Edge]) -> list[Node]:
        """The nodes on which these outputs depend, in order."""
        wanted = {edge.node for edge in outputs}
        kept: list[Node] = []
        for node in reversed(self.nodes):
            if node in wanted:
                kept.append(node)
                wanted.update(edge.node for edge in node.inputs)
                wanted.update(e.node for e in node.weights.values() if isinstance(e, Edge))
        return kept[::-1]

    # What handlers use.

    def __call__(self, value: Value | Lifted) -> Lifted:
        """What our nodes give for a tensor; a parameter or constant becomes a node when read."""
        if isinstance(value, Lifted):
            return value
        if not isinstance(value, Value):
            raise cannot(f"a tensor is expected, and this is {value!r}")
        if value in self.computed:
            raise cannot("a weight that is computed of others is read by more than its layer")
        if value in self.values:
            return self.values[value]
        if value.kind == CONSTANT:
            return self._constant(value)
        if value.kind == LEARNED and value.source is None:
            self.values[value] = self._parameter(value)
            return self.values[value]
        if value.kind == DRAWN:
            raise cannot("random numbers are drawn here in a way that no op of the language does")
        raise cannot("a result that the op of the language does not give is read")

    def _parameter(self, value: Value) -> Lifted:
        given = self.trace.initial.get(value)
        node = Node("parameter", {"shape": list(value.shape), **initial(given)}, ())
        node.owner = self.keys[value][0]
        path, _, name = node.owner.rpartition(".")
        module = self.module_at(path)
        node.trainable = module is None or module._parameters[name].requires_grad
        axes = tuple((size,) for size in value.shape)
        return self._made(node, (axes,), samples=False)[0]

    def _constant(self, value: Value) -> Lifted:
        key = (value, self.call.inside.path)
        if key in self.copies:
            return self.copies[key]
        said = _filled(value)
        if said is None:
            part = None if self.symbolic else self._composition(value)
            if part is not None:
                made = self.placed(part)
                axes = plain_axes(value.shape)
                self.copies[key] = made._replace(axes=axes, dtype=value.dtype_name)
                return self.copies[key]
            if self._is_worked_out(value):
                return self._worked_out(value)
            if (shorter := self._shorter(value)) is not None:
                return shorter
            real = without_batch(value, evaluate(self.trace, value))
            if real is None:
                raise cannot("a constant here differs from one sample of a batch to the next")
            said = constant_of(real)
        node = Node("constant", said, ())
        node.name = value.name.rpartition(".")[2] if value.name else ""
        if value in self.keys and self.is_persistent(value):
            node.owner = self.keys[value][0]
            node.args["persistent"] = True
        lifted = self._made(node, (plain_axes(value.shape),), samples=False)[0]
        self.copies[key] = lifted._replace(dtype=value.dtype_name)
        if node.owner is not None:
            self.values[value] = self.copies[key]
        return self.copies[key]

    def placed(self, part: Part) -> Lifted:
        """The nodes of a composition of numbers."""
        axes = tuple((size,) for size in part.shape)
        made: Lifted
        if isinstance(part, Listed):
            made = self.node("constant", axes=axes, **constant_of(part.table))
        else:
            parts = [self.placed(each) for each in part.parts]
            made = self.node(part.op, *parts, axes=axes, **part.args)
        return made

    def table(self, numbers: Any) -> Lifted:
        """The nodes of a tensor of numbers that no call of the module makes."""
        return self.placed(composed(numbers) or Listed(numbers, numbers.numel()))

    def _composition(self, value: Value) -> Part | None:
        """A large table as a composition of small ones, where one is found."""
        if prod(value.shape) <= COMPOSED or any(size % BATCH == 0 for size in value.shape):
            return None
        if value in self.keys and self.is_persistent(value):
            return None
        if value not in self.composed:
            self.composed[value] = composed(evaluate(self.trace, value))
        return self.composed[value]

    def _is_worked_out(self, value: Value) -> bool:
        """Whether nodes compute a constant: one too long for a list, or repeated for the batch."""
        if value.source is None or not value.source.reads:
            return False
        if self.symbolic or any(size % BATCH == 0 for size in value.shape):
            return True
        if prod(value.shape) <= LISTED:
            return False
        return "value" in constant_of(evaluate(self.trace, value), listed=False)

    def _worked_out(self, value: Value) -> Lifted:
        """The nodes of the call that made a constant."""
        outer, self.call = self.call, value.source
        try:
            self._lift(value.source)
        finally:
            self.call = outer
        return self.values[value]

    def _shorter(self, value: Value) -> Lifted | None:
        """The nodes of the calls that made a table, where they are few and list few numbers."""
        size = prod(value.shape)
        if value in self.listed or size <= COMPOSED or not value.dtype.is_floating_point:
            return None
        if value.source is None or not value.source.reads or value in self.keys:
            return None
        if "value" not in constant_of(evaluate(self.trace, value), listed=False):
            return None
        places = ("values", "copies", "laid_out", "permuted")
        before = {name: dict(getattr(self, name)) for name in places}
        count = len(self.nodes)
        try:
            made = self._worked_out(value)
            new = self.nodes[count:]
            listed = sum(prod(each.shapes[0]) for each in new if "value" in each.args)
            if len(new) <= FEW and 2 * listed <= size:
                return made
        except Refusal:
            pass
        del self.nodes[count:]
        for name, kept in before.items():
            setattr(self, name, kept)
        self.listed.add(value)
        return None

    def is_persistent(self, value: Value) -> bool:
        """Whether a buffer has a key in the state dict."""
        path, _, name = self.keys[value][0].rpartition(".")
        module = self.module_at(path)
        return module is not None and name not in module._non_persistent_buffers_set

    def module_at(self, path: str) -> Any:
        """The module at a path; None where there is none."""
        root = next(iter(self.trace.invocations)).module
        for part in path.split(".") if path else ():
            root = root._modules.get(part) if root is not None else None
        return root

    def real(self, value: Any) -> Any:
        """The numbers of a constant tensor. Refuses others."""
        try:
            return evaluate(self.trace, value)
        except NotConstant:
            raise cannot(
                "the numbers of this tensor must be known when the spec is written"
            ) from None

    def number(self, value: Any) -> Any:
        """A number that a spec may state: of Python, or of a constant tensor without axes.

        Refuses one that can only come from the batch's size.
        """
        if isinstance(value, Value):
            value = self.real(value).item()
        if isinstance(value, int | float) and abs(value) >= BATCH and value % BATCH == 0:
            raise cannot(
                f"{value} here is {value / BATCH:g} times the size of the batch",
                help="a network gives each sample the same result whatever the batch: divide by a "
                "size of one sample, or take a mean",
            )
        return value

    def is_number(self, value: Any) -> bool:
        """Whether something is a number of Python, or a constant tensor of one."""
        if isinstance(value, Value):
            return value.kind == CONSTANT and value.shape == () and not self.keys.get(value)
        return isinstance(value, int | float)

    def axis(self, x: Lifted, dim: int) -> int:
        """Our number of axis `dim` of the real tensor. Refuses one that holds the batch."""
        return our_axis(x.axes, dim % max(len(x.axes), 1), x.batched)

    def axes_of(self, x: Lifted, dims: Any) -> list[int]:
        """Our numbers of one or several real axes; None means all of them."""
        if dims is None:
            dims = range(len(x.axes))
        several = [dims] if isinstance(dims, int) else list(dims)
        return sorted(self.axis(x, dim) for dim in several)

    def plain(self, value: Value | Lifted) -> Lifted:
        """A value with the batch first and nothing folded into it, which most ops read."""
        x = self(value)
        if not x.batched:
            return self.batched(x) if has_batch(x.axes) else x
        axes = tuple(
            BATCH_AXIS if None in axis and real_shape((axis,)) == (BATCH,) else axis
            for axis in x.axes
        )
        if axes != x.axes:
            x = self.regroup(x, axes)
        if x.axes[:1] != (BATCH_AXIS,):
            raise cannot(
                "the batch is folded with another axis, or does not come first, where the function "
                "needs it alone in front"
            )
        return x

    def batched(self, value: Value | Lifted) -> Lifted:
        """The value with the batch first, where the real tensor repeats it for the batch."""
        x = self(value)
        if x.batched or not has_batch(x.axes):
            return x
        moved = self.unbatched_as(x, tuple(part for part in our_shape(x.axes, True)))
        node = moved.edge.node
        if isinstance(node, Node) and node.op in ("parameter", "constant") and self._alone(node):
            node.args["batch"], node.samples = True, True
            return x._replace(edge=moved.edge, batched=True)
        full = {"full": [1] * len(moved.ours), "value": 1, "batch": True, "dtype": "float"}
        ones = Node("constant", full, ())
        ones_edge = self._made(ones, ((BATCH_AXIS, *moved.axes),), samples=True)[0].edge
        node = Node("mul", {}, (ones_edge, moved.edge))
        return self._made(node, (x.axes,), samples=True)[0]

    def _alone(self, node: Node) -> bool:
        return not any(edge.node is node for each in self.nodes for edge in each.inputs)

    def unbatched_as(self, x: Lifted, ours: tuple[int, ...]) -> Lifted:
        """A value without a batch, laid out with these sizes."""
        if x.ours == ours:
            return x._replace(axes=tuple((size,) for size in ours))
        node = Node("reshape", {"shape": list(ours)}, (x.edge,))
        return self._made(node, (tuple((size,) for size in ours),), samples=False)[0]

    def regroup(self, x: Lifted, axes: Axes) -> Lifted:
        """The same elements under other axes."""
        old, new = x.ours, our_shape(axes, x.batched)
        if old == new:
            return x._replace(axes=axes)
        before = self.laid_out.get(x.edge)
        if before is not None and before.ours == new:
            return before._replace(axes=axes)
        op, args = _laying_out(old, new, x.batched)
        node = Node(op, args, (x.edge,))
        made = self._made(node, (axes,), samples=x.batched)[0]
        self.laid_out[made.edge] = before or x
        return made

    def reshape(self, x: Lifted, shape: Sequence[int]) -> Lifted:
        """The same elements as a real tensor of this shape, which may have a -1."""
        return self.regroup(x, regrouped(x.axes, self.whole(x, shape)))

    def whole(self, x: Lifted, shape: Sequence[int]) -> list[int]:
        """A shape with its -1 worked out."""
        total, known = 1, 1
        for size in x.shape:
            total *= size
        for size in shape:
            known *= size if size != -1 else 1
        return [total // known if size == -1 else int(size) for size in shape]

    def permute(self, x: Lifted, dims: Sequence[int]) -> Lifted:
        """The axes of the real tensor in another order; the batch stays first in ours."""
        dims = [dim % len(x.axes) for dim in dims]
        axes = tuple(x.axes[dim] for dim in dims)
        order = our_order(x.axes, dims, x.batched)
        if order == tuple(range(len(order))):
            return x._replace(axes=axes)
        inside = self._norm_inside(x, order)
        if inside is not None:
            return inside._replace(axes=axes)
        before, first = self.permuted.get(x.edge, (x, tuple(range(len(order)))))
        if [first[place] for place in order] == list(range(len(order))) and before is not x:
            return before._replace(axes=axes)
        node = Node("permute", {"dims": list(order)}, (x.edge,))
        made = self._made(node, (axes,), samples=x.batched)[0]
        self.permuted[made.edge] = (x, order)
        return made

    def _norm_inside(self, x: Lifted, order: tuple[int, ...]) -> Lifted | None:
        """A norm between a permutation and its inverse, as a norm over the axis that was last."""
        node = x.edge.node
        if not isinstance(node, Node) or node.op not in ("layer_norm", "rms_norm"):
            return None
        read = self.permuted.get(node.inputs[0])
        asked = [value for value in self.call.reads if self.values.get(value) == x]
        if read is None or "axes" in node.args or not x.batched or node.weights:
            return None
        before, first = read
        again = [first[place] for place in order] != list(range(len(order)))
        if again or len(asked) != 1 or self.readers[asked[0]] != 1:
            return None
        node.inputs = (before.edge,)
        node.args["axes"] = [first[-1]]
        node.shapes = (before.ours,)
        return before._replace(edge=x.edge)

    def weighted(
        self, op: str, *inputs: Lifted, weights: Mapping[str, Value | None], **rest: Any
    ) -> Any:
        """A node that owns `weights`, or gets those that are no parameters of one module as values.

        The path of the node is that of its weights. None is a weight that it has not.
        """
        given = {name: value for name, value in weights.items() if value is not None}
        own = {n: v for n, v in given.items() if v in self.keys or v in self.computed}
        owner = self.owner_of(own)
        others = {k: self(v).edge for k, v in given.items() if owner is None or k not in own}
        made = self.node(op, *inputs, owner=owner, **rest)
        node: Any = (made if isinstance(made, Lifted) else made[0]).edge.node
        node.weights.update(others)
        node.computed = {n: self.computed[v].scheme for n, v in own.items() if v in self.computed}
        node.owned = {n: v for n, v in own.items() if n not in node.computed and owner is not None}
        if owner is not None:
            node.trainable = self.is_trained(owner)
        return made

    def free_owners(self) -> None:
        """Give ops as values those weights that other nodes read too, under keys of their own.

        A node at `qkv` and a `parameter` at `qkv.bias` cannot stand beside each other.
        """
        owners = {node.owner for node in self.nodes if node.owner is not None}
        for node in list(self.nodes):
            path = node.owner
            if path is None or not node.owned:
                continue
            if not path or any(other.startswith(f"{path}.") for other in owners):
                place = self.nodes.index(node)
                ahead = self.nodes[:place]
                behind, self.nodes = self.nodes[place:], ahead
                for name, value in node.owned.items():
                    self.values.setdefault(value, self._parameter(value))
                    node.weights[name] = self.values[value].edge
                self.nodes += behind
                node.owner, node.owned = None, {}

    def compute(self, weight: Computed) -> None:
        """Remember what the present call computes: a weight, by a scheme that its layer has."""
        self.computed[self.call.made[0]] = weight

    def is_trained(self, path: str) -> bool:
        """Whether a module has parameters that are trained, or none at all."""
        parameters = list(self.module_at(path).parameters())
        return not parameters or any(each.requires_grad for each in parameters)

    def owner_of(self, weights: Mapping[str, Value]) -> str | None:
        """The path below which all these weights have their names; None where there is none."""
        found: set[str] | None = None
        for name, value in weights.items():
            keys = self.keys.get(value, [])
            if value in self.computed:
                keys = [f"{self.computed[value].path}.{self.computed[value].name}".lstrip(".")]
            paths = {key.removesuffix(f".{name}") for key in keys if key.endswith(f".{name}")}
            paths |= {""} if name in keys else set()
            found = paths if found is None else found & paths
        if not found:
            return None
        here = self.call.inside.path
        return here if here in found else sorted(found, key=lambda path: (len(path), path))[0]

    def node(
        self,
        op: str,
        *inputs: Value | Lifted,
        axes: Axes | Sequence[Axes] | None = None,
        owner: str | None = None,
        **args: Any,
    ) -> Any:
        """A new node, and the `Lifted` of its output, or a tuple of them for several `axes`."""
        if axes is None:
            read = tuple(self.plain(each) for each in inputs)
            made: Any = self.call.results
            shapes = [value.shape for value in values_in(made)] or [self.call.made[0].shape]
            several: Sequence[Axes] = [plain_axes(shape) for shape in shapes]
        else:
            read = tuple(self(each) for each in inputs)
            several = axes if isinstance(axes, list) else [axes]  # type: ignore[list-item]
        samples = any(each.batched for each in read)
        repeated = not samples and any(has_batch(each.axes) for each in read)
        if repeated and not REGISTRY[op].takes_unbatched:
            read = tuple(self.batched(each) for each in read)
            samples = True
        edges = tuple(each.edge for each in read)
        node = Node(op, args, edges)
        node.owner = owner
        kind = read[0].dtype if read else "float32"
        lifted = tuple(x._replace(dtype=kind) for x in self._made(node, several, samples))
        return lifted if isinstance(axes, list) or len(lifted) > 1 else lifted[0]

    def _made(self, node: Node, axes: Iterable[Axes], samples: bool) -> tuple[Lifted, ...]:
        node.args = {key: _plain_argument(value) for key, value in node.args.items()}
        node.samples = samples
        if self.call is not None:
            node.inside, node.place = self.call.inside, self.call.place
        self.nodes.append(node)
        several = tuple(axes)
        node.shapes = tuple(our_shape(each, samples) for each in several)
        return tuple(
            Lifted(Edge(node, number), each, samples, "float32")
            for number, each in enumerate(several)
        )


def _plain_argument(value: Any) -> Any:
    """Lists of equal numbers stay; tuples become lists."""
    return mapped(lambda each: each, list(value)) if isinstance(value, tuple) else value


def _laying_out(
    old: tuple[int, ...], new: tuple[int, ...], batched: bool
) -> tuple[str, dict[str, Any]]:
    """The op that lays `old` sizes out as `new` ones, which states as few of them as it can."""
    for start in range(len(old)):
        for end in range(start + 2, len(old) + 1):
            if new == (*old[:start], prod(old[start:end]), *old[end:]) and (batched or start):
                last = -1 if end == len(old) else end - 1 + batched
                if prod(old[start:end]) != 1:
                    return "flatten", {"start_dim": start + batched, "end_dim": last}
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    before, after = old[head : len(old) - tail], new[head : len(new) - tail]
    first = head + batched
    if not before and all(size == 1 for size in after) and len(after) == 1:
        return "unsqueeze", {"dim": first}
    if not after and len(before) == 1:
        return "squeeze", {"dim": first}
    if len(before) == 1 and len(after) > 1:
        return "unflatten", {"dim": first, "unflattened_size": list(after)}
    return "reshape", {"shape": list(new)}
