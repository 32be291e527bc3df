"""The module of a graph, run in both modes beside what the graph says of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import compress

import torch
from torch import Tensor, nn

from archspec.analyses.memory import saved_bytes
from archspec.contracts.chosen import Elsewhere
from archspec.diagnostics.diagnostic import Span
from archspec.emit import emit
from archspec.emit.checks import Check
from archspec.emit.observe import Executed, execution, observed
from archspec.emit.source import owner
from archspec.ir.graph import Graph, trained_only, walk
from archspec.ir.op import Weight
from archspec.ir.shape import Shape, concrete, is_batched
from archspec.ir.types import FLOAT, PRECISION
from archspec.runtime.measure import counting_macs, measure_saved_bytes, weights_of
from archspec.runtime.recompute import recomputing
from archspec.runtime.values import drawn, dtype_of, name_of
from archspec.verify.report import Mismatch, Report

RUN_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What running a module can raise: torch's own errors, out of memory among them."""


_NO_KERNEL = re.compile(r"\"(\w+)\" not implemented for '(\w+)'")
_SCALARS = {"bfloat16": "BFloat16", "float16": "Half", "float64": "Double"}
"""Precisions as torch's errors call them."""


def verify(
    graph: Graph,
    *,
    name: str,
    emitted: Graph | None = None,
    elsewhere: Sequence[Elsewhere] = (),
    checks: Sequence[Check] = (),
    batch_sizes: Sequence[int] = (2, 3, 5),
    device: torch.device | str = "cpu",
    build: Callable[[], nn.Module] | None = None,
    progress: Callable[[str], None] | None = None,
    precision: str = PRECISION,
    recompute: str | None = None,
) -> Report:
    """Runs the module of `graph` in `train()` and `eval()` and compares it with the graph.

    Compared are the shapes and types of every node's outputs, every parameter and buffer, every
    node's multiply-accumulates (in `eval()`, at N = 1 too), the memory saved for backward (on the
    CPU, for which it is stated) and the outputs. A backward pass must run, if an output is of
    floats. `build` makes the module, by `emit` unless it is given; `emitted` is the graph that it
    is made of, where its code computes sizes, and `checks` are the sizes that it refuses. The same
    module is run at the sizes of `elsewhere` too, with the first batch size, and held against the
    graphs there. Inputs and weights are drawn from fixed seeds, integers from all that their type
    allows; the global random state is left as it was. The floats of module and inputs are of
    `precision`, and all figures for it; the module computes again what `recompute` says. A run that
    fails is a mismatch with the error's text. `progress` is called with what runs next.
    """
    place = torch.device(device)
    if place.type == "meta":
        raise ValueError("the meta device computes nothing: choose a real one")
    report = Report(dtype=precision)
    try:
        new = partial(emit, emitted or graph, name=name, device=place, seed=0)
        module = build() if build else new(precision=precision, checks=checks)
        if recompute is not None:
            module = recomputing(module, recompute)
    except RUN_ERRORS as error:
        report.mismatches.append(Mismatch("", "build", "a module", _text(error)))
        return report
    _Verifier(graph, emitted or graph, module, place, report, precision, recompute).run(
        batch_sizes, progress or (lambda what: None), elsewhere
    )
    return report


class _Verifier:
    def __init__(
        self,
        graph: Graph,
        emitted: Graph,
        module: nn.Module,
        device: torch.device,
        report: Report,
        precision: str,
        recompute: str | None,
    ) -> None:
        self.graph, self.emitted = graph, emitted
        self.module, self.device, self.report = module, device, report
        self.precision, self.recompute = precision, recompute
        self.reported: set[tuple[str, str]] = set()
        self.ahead: Iterator[Executed] = iter(())  # what an observed run has still to do
        self.sizes: dict[str, int] = {}  # the sizes at hand, where they are not the stated ones
        self.owned = [*module.parameters(), *module.buffers()]

    def run(
        self,
        batch_sizes: Sequence[int],
        progress: Callable[[str], None],
        elsewhere: Sequence[Elsewhere],
    ) -> None:
        progress("weights")
        self.check_weights()
        for training in (True, False):
            self.module.train(training)
            for batch in batch_sizes:
                progress(f"{'train' if training else 'eval'}(), a batch of {batch}")
                self.check_pass(batch)
        if 1 not in batch_sizes:
            # In eval() alone, and what runs at all: norms refuse a single value, some in any mode.
            self.attempt(1, self.observe_pass, must_run=False)
        self.report.differentiable = any(kind.is_float for kind in self.graph.output_types)
        if batch_sizes and self.report.differentiable:
            progress("backward")
            self.module.train()
            self.attempt(batch_sizes[0], self.check_gradients)
        for other in elsewhere if batch_sizes else ():
            progress(str(other))
            self.check_at(other, batch_sizes[0])

    def check_at(self, other: Elsewhere, batch: int) -> None:
        """The same module for inputs of other sizes, for which it has this graph."""
        here, self.graph, self.sizes = self.graph, other.graph, other.sizes
        self.report.elsewhere.append(other.sizes)
        self.module.train()
        self.check_pass(batch)
        self.module.eval()
        self.attempt(batch, self.observe_pass)
        self.graph, self.sizes = here, {}

    # The whole network

    def check_weights(self) -> None:
        """Every key of the state dict: shape, type, parameter or buffer, trainable."""
        real = {weight.name: weight for weight in weights_of(self.module, self.precision)}
        static: dict[str, tuple[Weight, Span]] = {}
        for visit in walk(self.graph):
            step = visit.step
            if step.op is not None and not visit.shared:
                for weight in step.op.weights(*step.input_shapes):
                    key = ".".join(filter(None, (visit.module_path, weight.name)))
                    kind = weight.type.in_network(self.precision)
                    trainable = weight.trainable and (weight.buffer or not visit.frozen)
                    static[key] = weight._replace(type=kind, trainable=trainable), step.span
                prefix = visit.module_path.removesuffix(owner(visit.graph, step).name)
                for tie in step.ties:  # the parameter of another node, under this key too
                    theirs = static[f"{prefix}{visit.graph.steps[tie.owner].name}.{tie.key}"][0]
                    key = f"{visit.module_path}.{tie.name}"
                    static[key] = theirs._replace(name=key), step.span
            if step.both_keys:
                first = visit.module_path
                second = first.removesuffix(owner(visit.graph, step).name) + step.name
                for key in [key for key in static if f"{key}.".startswith(f"{first}.")]:
                    static[second + key.removeprefix(first)] = static[key]
        for key in static | real:
            self.report.checked["weights"] += 1
            known, span = static.get(key, (None, None))
            stated, found = _describe(known), _describe(real.get(key))
            if stated != found:
                self.mismatch(key, "weight", stated, found, span)

    def check_pass(self, batch: int) -> None:
        """Two equal runs: an observed one, and the plain one, for what it saves and returns."""
        watched = self.attempt(batch, self.observe_pass)
        if watched is None:
            return
        plain = self.attempt(batch, self.plain_pass)
        if plain is None:
            return
        self.report.checked["outputs"] += 1
        if not self.agree(plain, watched):
            # MACs are counted with plain attention, which rounds otherwise than the fused one.
            plain = self.attempt(batch, self.plain_attention_pass)
            if plain is not None and not self.agree(plain, watched):
                what = f"differ {self.at(batch)}"
                self.mismatch("", "outputs", "the same in two equal runs", what)

    def agree(self, plain: Sequence[Tensor], watched: Sequence[Tensor]) -> bool:
        rounding = torch.finfo(dtype_of(FLOAT, self.precision)).eps
        most = 4 * rounding if self.precision == "float64" else max(1e-4, 4 * rounding)
        tolerance = 0.0 if self.device.type == "cpu" else most

        def same(a: Tensor, b: Tensor) -> bool:
            if not a.is_floating_point() or a.dtype != b.dtype or a.shape != b.shape:
                return a.dtype == b.dtype and torch.equal(a, b)
            return torch.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)

        return len(plain) == len(watched) and all(map(same, plain, watched))

    def plain_attention_pass(self, batch: int) -> list[Tensor]:
        """Runs the module as `observe_pass` does, unobserved."""
        with counting_macs():
            return list(_outputs(self.module(*self.inputs(batch))).values())

    def plain_pass(self, batch: int) -> list[Tensor]:
        """Runs the module as users do; checks its outputs' shapes and what autograd saved."""
        inputs = self.inputs(batch)
        result, saved = measure_saved_bytes(lambda: self.module(*inputs), self.owned)
        if self.device.type == "cpu":
            self.report.checked["saved memory"] += 1
            training = self.module.training
            stated = saved_bytes(self.graph, batch, training, self.precision, self.recompute)
            if stated != saved:
                what = f"saved bytes {self.at(batch)}"
                self.mismatch("", what, f"{stated:,}", f"{saved:,}", kind="saved memory")
        outputs = _outputs(result)
        stated_outputs = self.stated_outputs(batch)
        found = {name: tuple(value.shape) for name, value in outputs.items()}
        if found != stated_outputs:
            what = f"outputs {self.at(batch)}"
            self.mismatch("", what, str(stated_outputs), str(found), kind="outputs")
        return list(outputs.values())

    def stated_outputs(self, batch: int) -> dict[str, Shape]:
        """Shapes of what the module returns, by name, or by position where there is none."""
        names = self.graph.output_names or map(str, range(len(self.graph.outputs)))
        present = {
            name: concrete(self.graph.shape(ref), batch)
            for name, ref in zip(names, self.graph.outputs, strict=True)
            if self.module.training or not trained_only(self.graph, ref)
        }
        alone = len(present) == 1 and not self.graph.always_named
        return dict(zip("0", present.values(), strict=True)) if alone else present

    def check_gradients(self, batch: int) -> None:
        """A backward pass of a random combination of the outputs; lists what it misses."""
        returned = _outputs(self.module(*self.inputs(batch))).values()
        outputs = [value for value in returned if value.requires_grad]
        trainable = {k: p for k, p in self.module.named_parameters() if p.requires_grad}
        if outputs:
            torch.autograd.backward(outputs, [torch.rand_like(value) for value in outputs])
        self.report.checked["gradients"] += len(trainable)
        self.report.no_gradient += [k for k, p in trainable.items() if p.grad is None]

    # Node by node

    def observe_pass(self, batch: int) -> list[Tensor]:
        """Runs the module and checks every node as it ends: outputs, and in eval() its MACs."""
        self.ahead = execution(self.graph, self.module.training)
        counted = 0

        def see(values: tuple[Tensor | None, ...]) -> None:
            nonlocal counted
            ended = next(self.ahead)
            self.check_outputs(ended, values, batch)
            if not self.module.training:
                self.check_macs(ended, count() - counted, batch)
                counted = count()

        with counting_macs() as count, observed(self.emitted, self.module, see):
            return list(_outputs(self.module(*self.inputs(batch))).values())

    def check_outputs(self, ended: Executed, values: Sequence[Tensor | None], batch: int) -> None:
        """Compares the shapes and types of a node's outputs, those that exist in this mode."""
        step, body = ended.step, ended.step.body
        present = [True] * len(step.outputs)
        if body is not None and not self.module.training:
            present = [not trained_only(body, ref) for ref in body.outputs]
            values = [value for value in values if value is not None]
        shapes = [concrete(shape, batch) for shape in compress(step.outputs, present)]
        found = [None if value is None else tuple(value.shape) for value in values]
        types = [kind.name for kind in compress(step.types, present)]
        dtypes = [
            "None" if value is None else name_of(value.dtype, self.precision) for value in values
        ]
        for kind, stated, real in (
            ("shape", _listed(shapes), _listed(found)),
            ("type", ", ".join(types), ", ".join(dtypes)),
        ):
            self.report.checked[f"{kind}s"] += 1
            if stated != real:
                what = f"output {kind} {self.at(batch)}"
                self.mismatch(ended.path, what, stated, real, step.span, kind)

    def check_macs(self, ended: Executed, macs: int, batch: int) -> None:
        """`macs` were counted since the step before ended: a block has done its work by then."""
        step = ended.step
        stated = step.op.macs(step.input_shapes, step.outputs) if step.op is not None else 0
        if stated is None:
            if ended.path not in self.report.not_counted:
                self.report.not_counted.append(ended.path)
            return
        self.report.checked["macs"] += 1
        if any(map(is_batched, step.outputs)):
            stated *= batch
        if stated != macs:
            what = f"MACs {self.at(batch)}"
            self.mismatch(ended.path, what, f"{stated:,}", f"{macs:,}", step.span, "macs")

    # Runs and reports

    def attempt(
        self, batch: int, check: Callable[[int], list[Tensor] | None], must_run: bool = True
    ) -> list[Tensor] | None:
        """`check` from a fixed random state and the module's own buffers; None where it fails."""
        buffers = [buffer.clone() for buffer in self.module.buffers()]
        self.ahead = iter(())
        try:
            with _fixed_randomness(self.device):
                return check(batch)
        except RUN_ERRORS as error:
            failed = next(self.ahead, None)
            if not must_run:
                return None
            if failed is not None:
                span = failed.step.span
                what = f"run {self.at(batch)}"
                self.mismatch(failed.path, what, "runs", self.failure(error), span, "run")
            elif all(kind != "run" for _, kind in self.reported):
                self.mismatch("", f"run {self.at(batch)}", "runs", self.failure(error), kind="run")
            return None
        finally:
            with torch.no_grad():
                for buffer, before in zip(self.module.buffers(), buffers, strict=True):
                    buffer.copy_(before)

    def failure(self, error: BaseException) -> str:
        """What a run raised, or that torch cannot compute it in this precision."""
        lacks = _NO_KERNEL.search(str(error))
        if lacks is None or lacks[2] != _SCALARS.get(self.precision):
            return _text(error)
        return (
            f"torch has no {self.precision} kernel for it on the {self.device.type} ({lacks[1]}): "
            "choose another device or precision"
        )

    def inputs(self, batch: int) -> list[Tensor]:
        generator = torch.Generator().manual_seed(batch)
        inputs = zip(self.graph.input_types, self.graph.inputs, strict=True)
        return [
            drawn(kind, concrete(shape, batch), generator, self.precision).to(self.device)
            for kind, shape in inputs
        ]

    def at(self, batch: int) -> str:
        sizes = "".join([f", {name}={size}" for name, size in self.sizes.items()])
        return f"at N={batch}{sizes} in {'train' if self.module.training else 'eval'}()"

    def mismatch(
        self,
        path: str,
        what: str,
        static: str,
        real: str,
        span: Span | None = None,
        kind: str | None = None,
    ) -> None:
        """Reports a mismatch, once for each place and kind: runs repeat what they find."""
        if (path, kind or what) not in self.reported:
            self.reported.add((path, kind or what))
            self.report.mismatches.append(Mismatch(path, what, static, real, span))


@contextmanager
def _fixed_randomness(device: torch.device) -> Iterator[None]:
    """The same random numbers inside every time; the global state as it was afterwards."""
    others = [] if device.type == "cpu" else [device]
    kind = "cuda" if device.type == "cpu" else device.type
    with torch.random.fork_rng(others, device_type=kind):
        torch.default_generator.manual_seed(0)
        if others:
            with torch.get_device_module(device).device(device):
                torch.get_device_module(device).manual_seed(0)
        yield


def _outputs(result: object) -> dict[str, Tensor]:
    """What a module returned, by name or position; a lone tensor is number 0."""
    if isinstance(result, dict):
        return result
    values = result if isinstance(result, tuple) else (result,)
    return {str(i): value for i, value in enumerate(values) if value is not None}


def _describe(weight: Weight | None) -> str:
    if weight is None:
        return "none"
    kind = "buffer" if weight.buffer else "parameter"
    frozen = "" if weight.buffer or weight.trainable else ", not trainable"
    return f"{kind} {_listed([weight.shape])} of {weight.type.name}{frozen}"


def _listed(shapes: Sequence[Shape | None]) -> str:
    return ", ".join(str(shape and tuple(shape)) for shape in shapes)


def _text(error: BaseException) -> str:
    first, *_ = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {first}"
