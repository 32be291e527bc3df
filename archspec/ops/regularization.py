"""Dropout of elements, channels and residual branches, and the identity that does nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.op import Example, Probability, ShapeKeeping
from archspec.ir.shape import Shape, show
from archspec.ir.tape import Tape, Tensor, elementwise, empty_like
from archspec.ir.types import EVERY


class Identity(ShapeKeeping, name="identity"):
    """The input itself."""

    takes = EVERY
    takes_unbatched = True
    module = "torch.nn.Identity"
    passes_through = True
    any_rank = True
    examples = (Example(inputs=[("N", 3, 4, 5)]), Example(inputs=[(2, 3)]))

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return x


class _Dropping(ShapeKeeping):
    """Base of what multiplies by random factors in training, and is the identity in evaluation."""

    p: Probability

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        if not tape.training or self.p == 0:
            return x
        noise = self._noise(tape, x)
        if x.requires_grad:
            tape.save(noise)
        return elementwise(tape, x, noise)

    def _noise(self, tape: Tape, x: Tensor) -> Tensor:
        """The random factors, which autograd saves."""
        raise NotImplementedError


class Dropout(_Dropping, name="dropout", primary="p"):
    """Zeroes each element with probability `p` in training and scales the rest by `1 / (1 - p)`.

    Srivastava et al., 2014. In evaluation it is the identity.
    """

    p: Probability = 0.5

    takes_unbatched = True
    module = "torch.nn.Dropout"
    drops = True
    any_rank = True
    examples: ClassVar[tuple[Example, ...]] = (
        Example(inputs=[("N", 7)]),
        Example({"p": 0.2}, inputs=[("N", 3, 4, 5)]),
        Example({"p": 0.0}, inputs=[("N", 7)]),
        Example({"p": 1.0}, inputs=[("N", 7)]),
    )

    def _noise(self, tape: Tape, x: Tensor) -> Tensor:
        if self.p == 1:  # a single zero is enough to drop everything
            return tape.new((), requires_grad=False)
        return self._factors(tape, x)

    def _factors(self, tape: Tape, x: Tensor) -> Tensor:
        return empty_like(tape, x, requires_grad=False)


class Dropout2d(Dropout, name="dropout2d", primary="p"):
    """Dropout of whole channels: one draw for each sample and each index of axis 1.

    Tompson et al., 2015.
    """

    takes_unbatched = False
    module = "torch.nn.Dropout2d"
    examples = (
        Example(inputs=[("N", 3, 4, 5)]),
        Example({"p": 0.2}, inputs=[("N", 3, 4)]),
        Example({"p": 1.0}, inputs=[("N", 3, 4, 5)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        return _with_channels(inputs[0], self.p)

    def _factors(self, tape: Tape, x: Tensor) -> Tensor:
        return tape.new((*x.shape[:2], *(1 for _ in x.shape[2:])), requires_grad=False)


class _AlphaDropping(ShapeKeeping):
    """Base of the dropouts that keep mean and deviation."""

    p: Probability = 0.5

    since = "0.2"
    primary = "p"
    drops = True
    any_rank = True

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        if not tape.training or self.p == 0:
            return x
        if self.p == 1:
            zero = tape.new((), requires_grad=False)
            if x.requires_grad:
                tape.save(zero)
            return elementwise(tape, x, zero)
        noise = self._factors(tape, x)
        if x.requires_grad:
            tape.save(noise)
        return elementwise(tape, elementwise(tape, x, noise), elementwise(tape, noise))

    def _factors(self, tape: Tape, x: Tensor) -> Tensor:
        return empty_like(tape, x, requires_grad=False)


class AlphaDropout(_AlphaDropping, name="alpha_dropout"):
    """Sets each element to the least value of SELU with probability `p` in training.

    The result is scaled and shifted so that mean 0 and deviation 1 stay so (Klambauer et al.,
    2017). In evaluation it is the identity.
    """

    takes_unbatched = True
    module = "torch.nn.AlphaDropout"
    examples = (
        Example(inputs=[("N", 7)]),
        Example({"p": 0.2}, inputs=[("N", 3, 4, 5)]),
        Example({"p": 0.0}, inputs=[("N", 7)]),
        Example({"p": 1.0}, inputs=[("N", 7)]),
    )


class FeatureAlphaDropout(_AlphaDropping, name="feature_alpha_dropout"):
    """Alpha dropout of whole channels: one draw for each sample and each index of axis 1."""

    module = "torch.nn.FeatureAlphaDropout"
    examples = (
        Example(inputs=[("N", 3, 4, 5)]),
        Example({"p": 0.2}, inputs=[("N", 3, 4)]),
        Example({"p": 1.0}, inputs=[("N", 3, 4, 5)]),
    )

    def infer(self, *inputs: Shape) -> Shape:
        return _with_channels(inputs[0], self.p)

    def _factors(self, tape: Tape, x: Tensor) -> Tensor:
        return tape.new((*x.shape[:2], *(1 for _ in x.shape[2:])), requires_grad=False)


class StochasticDepthOp(_Dropping, name="stochastic_depth", primary="p"):
    """Zeroes whole samples with probability `p` in training and scales the rest by `1 / (1 - p)`.

    It stands on a residual branch, before the sum. `mode: row` decides for each sample, `batch`
    once for all of them. Huang et al., Deep Networks with Stochastic Depth (arXiv 1603.09382);
    torchvision.ops.StochasticDepth, which has no default for `mode`. In evaluation it is the
    identity.
    """

    p: Probability
    mode: Literal["batch", "row"] = "row"

    module = "archspec.runtime.modules.StochasticDepth"
    examples = (
        Example({"p": 0.2}, inputs=[("N", 3, 4, 5)]),
        Example({"p": 0.5, "mode": "batch"}, inputs=[("N", 4, 6)]),
        Example({"p": 0.0}, inputs=[("N", 7)]),
        Example({"p": 1.0}, inputs=[("N", 3, 4, 5)]),
    )

    def inferred(self, *inputs: Shape) -> Mapping[str, Any]:
        return {"rank": len(inputs[0])}

    def _noise(self, tape: Tape, x: Tensor) -> Tensor:
        rows = x.shape[0] if self.mode == "row" else 1
        return tape.new((rows, *(1 for _ in x.shape[1:])), requires_grad=False)


def _with_channels(x: Shape, p: float) -> Shape:
    """The input of a dropout of channels. Raises `Refusal` where it has none."""
    if len(x) < 2 and 0 < p < 1:
        raise Refusal(
            "needs an input with channels to drop",
            code=Code.RANK,
            expected="2-D input or more (N included)",
            found=show(x),
        )
    return x
