"""Graph → `torch.nn.Module`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from archspec.contracts.followed import is_needed, is_symbolic
from archspec.emit.checks import Check
from archspec.emit.children import TAKEN, adopt
from archspec.emit.classes import class_name, make_class
from archspec.emit.following import Graphs, Plans, bodies_of, plain_op
from archspec.emit.initialize import SkipFilling, initialize
from archspec.emit.source import StepPart, check_path, forward_source, is_chain, owner
from archspec.ir.graph import Graph, Step, is_following
from archspec.ir.parametrized import Parametrized
from archspec.ir.types import FLOAT, PRECISION
from archspec.runtime.measure import seeded
from archspec.runtime.values import dtype_of
from archspec.sizes.size import everywhere, known


def emit(
    graph: Graph,
    *,
    name: str,
    device: torch.device | str | None = None,
    init: str | None = None,
    seed: int | None = None,
    precision: str | None = None,
    checks: Sequence[Check] = (),
) -> nn.Module:
    """The module that computes `graph`, in `train()` mode, with fresh weights.

    Its class is named after `name`, those of its blocks after the blocks. Chains are
    `nn.Sequential`, everything else has a generated `forward`, shown by the attribute `code`.

    `device` is torch's default one unless given; on "meta" no memory is used and no value drawn.
    `init` fills the kernels by one of `initialize.SCHEMES`; else weights are as torch makes them.
    With a `seed` the weights are the same on every device, and the global random state is left
    alone; without, they are drawn from it, as torch does.

    With a `precision` they are drawn in float32, and then brought to it as `module.to` does: so
    the weights of every precision are those of float32, rounded. Without, they have torch's default
    dtype.

    Of a graph whose sizes are symbols it is the module for the values at hand; its code computes
    what follows the symbols from the shapes of its inputs, so it serves other sizes too. `checks`
    are those that it refuses.

    Raises ValueError for a graph that the language would have refused.
    """
    default = torch.get_default_device()
    target = default if device is None else torch.device(device)
    # Seeded weights are drawn on the CPU: the generators of other devices give other numbers.
    drawn_on = target if seed is None or target.type == "meta" else torch.device("cpu")
    with ExitStack() as context:
        if precision is not None:
            context.enter_context(_default_dtype(torch.float32))
        if drawn_on != default:
            context.enter_context(drawn_on)
        if drawn_on.type == "meta":
            context.enter_context(SkipFilling())
        elif seed is not None:
            context.enter_context(seeded(seed))
        builder = _Builder()
        module = builder.build((graph,), name, checks)
        if init is not None:
            initialize(module, graph, init)
        for op, child in builder.plain:
            op.attach(child)
    if precision not in (None, PRECISION):
        module.to(dtype_of(FLOAT, precision))
    # Also what was made on the CPU whatever the device: a buffer that only has a type.
    return module if target.type in ("cpu", "meta") else module.to(target)


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Tensors are made in this dtype inside, whatever torch's default is."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def kinds_of(graph: Graph, children: Mapping[str, object]) -> list[StepPart]:
    """What each step became, by the children (modules and tensors) of the module."""

    def kind(step: Step) -> StepPart:
        child = children.get(owner(graph, step).name)
        if isinstance(child, nn.Module):
            return StepPart.MODULE
        if isinstance(child, nn.Parameter):
            return StepPart.TENSOR
        return StepPart.EXPRESSION if child is None else StepPart.BUFFER

    return list(map(kind, graph.steps))


class _Builder:
    """Builds the modules of one network; a graph that occurs again finds its class ready."""

    def __init__(self) -> None:
        self.classes: dict[Graphs, type[nn.Module]] = {}
        self.plans = Plans()
        # Modules whose weights are to be computed, once all have their first values.
        self.plain: list[tuple[Parametrized, nn.Module]] = []

    def build(self, graphs: Graphs, name: str | None, checks: Sequence[Check] = ()) -> nn.Module:
        """The module of a graph; `name` is the spec's, the block's, or None for a group.

        More `graphs` are those of nodes that share the module at other sizes.
        """
        children = self._children(graphs)
        keyless = {step.name for step in graphs[0].steps if step.op and step.op.keyless}
        cls = self.classes.get(graphs)
        if cls is None:
            cls = self.classes[graphs] = _class_of(graphs, name, children, self.plans, checks)
        module = cls()
        for step in graphs[0].steps:
            if step.frozen and (own := children.get(step.name)) is not None:
                _freeze(own)
        _tie(children, graphs[0])
        adopt(module, children, keyless)
        return module

    def _children(self, graphs: Graphs) -> dict[str, nn.Module | Tensor]:
        graph = graphs[0]
        children: dict[str, nn.Module | Tensor] = {}
        names: set[str] = set()
        for position, step in enumerate(graph.steps):
            if step.name in names:
                raise ValueError(f"two nodes of one list are called {step.name!r}")
            names.add(check_path(step.name))
            bodies = bodies_of(graphs, position) if step.body is not None else ()
            if step.shares is not None:
                used = owner(graph, step)
                self._check_share(step, used, children, bodies)
                if step.both_keys and used.name in children:
                    children[step.name] = children[used.name]
            elif (child := self._child(step, bodies)) is not None:
                children[step.name] = child
        return children

    def _child(self, step: Step, bodies: Graphs) -> nn.Module | Tensor | None:
        if step.body is not None:
            return self.build(bodies, step.body.block)
        op = step.op
        assert op is not None
        if op.function is not None and is_symbolic(op) and is_following(step):
            return None
        op, shapes = plain_op(op), everywhere(known, step.input_shapes)
        if not isinstance(op, Parametrized):
            return op.build(*shapes)
        made = op.build_plain(*shapes)
        self.plain.append((op, made))
        return made

    def _check_share(
        self,
        step: Step,
        used: Step,
        children: Mapping[str, nn.Module | Tensor],
        bodies: Graphs,
    ) -> None:
        """Refuses to share a module that is not the one the step would have on its own.

        Generated code and layers may hold sizes of the input they were made for.
        """
        if step.body is not None and step.body is used.body:
            return
        if step.body is not None and not any(map(is_needed, bodies)):
            bodies = (step.body,)  # its own code, which must not differ
        count = len(self.plain)
        with torch.device("meta"), SkipFilling():
            own = self._child(step, bodies)
        del self.plain[count:]
        if _description(own) != _description(children.get(used.name)):
            raise ValueError(f"{step.name!r} cannot share {used.name!r}: their modules differ")


def _freeze(child: nn.Module | Tensor) -> None:
    """Nothing trains its parameters from now on."""
    for parameter in child.parameters() if isinstance(child, nn.Module) else (child,):
        parameter.requires_grad_(False)


def _tie(children: Mapping[str, nn.Module | Tensor], graph: Graph) -> None:
    """Registers parameters under the second names that other steps have for them."""
    for step in graph.steps:
        for tie in step.ties:
            source, own = children[graph.steps[tie.owner].name], children[step.name]
            assert isinstance(source, nn.Module) and isinstance(own, nn.Module)
            *holders, name = tie.name.split(".")
            holder = own.get_submodule(".".join(holders))
            setattr(holder, name, source.get_parameter(tie.key))


def _class_of(
    graphs: Graphs,
    name: str | None,
    children: Mapping[str, object],
    plans: Plans,
    checks: Sequence[Check],
) -> type[nn.Module]:
    graph, plan = graphs[0], plans.of(graphs)
    kinds = kinds_of(graph, children)
    if checks or not is_chain(graph, kinds, plan):
        source = forward_source(graph, kinds, plan, checks=checks)
        aside = any(each.partition(".")[0] in TAKEN for each in children)
        return make_class(class_name(name or "group"), source, aside)
    return nn.Sequential if name is None else make_class(class_name(name), None)


def _description(child: nn.Module | Tensor | None) -> object:
    """What two modules have in common that compute the same function of their weights."""
    if not isinstance(child, nn.Module):
        return child is None or (child.shape, child.dtype)
    layers = [(path, type(m), m.extra_repr(), _plain(m)) for path, m in child.named_modules()]
    return layers, [(key, value.shape) for key, value in child.state_dict().items()]


def _plain(module: nn.Module) -> dict[str, object]:
    """What a module knows beside its tensors and modules: a rank, say, that its repr leaves out."""
    kinds = (int, float, str, tuple, type(None))
    return {key: value for key, value in vars(module).items() if isinstance(value, kinds)}
