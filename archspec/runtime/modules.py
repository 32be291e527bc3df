"""The modules that torch has not, for the ops whose `build` returns one.

They live in a module of their own so that a pickled network finds its classes by import.
Shapes: n samples, c channels, h x w pixels.

`torch.jit.script` reads the annotations, so they must not be put off as texts.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the name that all torch code uses)


class BatchNormScratch(nn.Module):
    """Batch normalisation of (n, c), (n, c, h, w) and other tensors from first principles.

    The moving statistics start at zero and are buffers: saved and moved with the module.
    """

    moving_mean: Tensor
    moving_var: Tensor

    def __init__(
        self, num_features: int, *, rank: int, eps: float = 1e-5, momentum: float = 0.9
    ) -> None:
        super().__init__()
        shape = (1, num_features) + (1,) * (rank - 2)
        self.eps, self.momentum = eps, momentum
        self.axes = (0, *range(2, rank))
        self.gamma = nn.Parameter(torch.ones(shape))
        self.beta = nn.Parameter(torch.zeros(shape))
        self.register_buffer("moving_mean", torch.zeros(shape))
        self.register_buffer("moving_var", torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            mean = self._mean(x)
            centred = x - mean
            var = self._mean(centred**2)
            self._follow(self.moving_mean, mean)
            self._follow(self.moving_var, var)
        else:
            centred, var = x - self.moving_mean, self.moving_var
        return self.gamma * (centred / torch.sqrt(var + self.eps)) + self.beta

    def _mean(self, x: Tensor) -> Tensor:
        return x.mean(dim=self.axes, keepdim=True)

    def _follow(self, moving: Tensor, batch: Tensor) -> None:
        # In place: others, such as DDP, hold on to the buffer itself.
        moving.copy_(self.momentum * moving + (1.0 - self.momentum) * batch.detach())

    def extra_repr(self) -> str:
        return f"{self.gamma.shape[1]}, eps={self.eps}, momentum={self.momentum}"


class LayerNormOver(nn.LayerNorm):
    """Layer normalisation over `axes` that are not the trailing ones.

    With axes (1,) on (n, c, h, w) it is the channel-wise layer norm of ConvNeXt (Liu et al.,
    2022), bit for bit: the axes are viewed as the last ones and viewed back.
    """

    def __init__(
        self,
        axes: tuple[int, ...],
        rank: int,
        normalized_shape: tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__(normalized_shape, eps, elementwise_affine, bias)
        self.axes = axes
        self.order = (*(dim for dim in range(rank) if dim not in axes), *axes)
        self.inverse = tuple(self.order.index(dim) for dim in range(rank))

    def forward(self, input: Tensor) -> Tensor:
        x = input.permute(self.order)
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(self.inverse)

    def extra_repr(self) -> str:
        return f"axes={self.axes}, {super().extra_repr()}"


class RMSNormOver(nn.RMSNorm):
    """`nn.RMSNorm` over `axes` that are not the trailing ones: they are viewed as the last ones."""

    def __init__(
        self,
        axes: tuple[int, ...],
        rank: int,
        normalized_shape: tuple[int, ...],
        eps: float | None = None,
        elementwise_affine: bool = True,
    ) -> None:
        super().__init__(list(normalized_shape), eps, elementwise_affine)
        self.axes = axes
        self.order = (*(dim for dim in range(rank) if dim not in axes), *axes)
        self.inverse = tuple(self.order.index(dim) for dim in range(rank))

    def forward(self, x: Tensor) -> Tensor:
        x = F.rms_norm(x.permute(self.order), self.normalized_shape, self.weight, self.eps)
        return x.permute(self.inverse)

    def extra_repr(self) -> str:
        return f"axes={self.axes}, {super().extra_repr()}"


class RowMajorLocalResponseNorm(nn.LocalResponseNorm):
    """Local response normalisation of 5-D and larger tensors of any layout.

    torch's own views the axes after the third as one, which fails where a permuted tensor's
    strides do not allow it.
    """

    def forward(self, input: Tensor) -> Tensor:
        x = input.contiguous()
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)


class RowMajorPixelShuffle(nn.PixelShuffle):
    """`nn.PixelShuffle` of 5-D and larger tensors of any layout: torch's own refuses some."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.contiguous())


class RowMajorPixelUnshuffle(nn.PixelUnshuffle):
    """`nn.PixelUnshuffle` of 5-D and larger tensors of any layout: torch's own refuses some."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.contiguous())


class StochasticDepth(nn.Module):
    """Zeroes whole samples of a batch in training, with torchvision's own random draws.

    With p = 1 everything is zeroed and nothing scaled.
    """

    def __init__(self, p: float, mode: str, *, rank: int) -> None:
        super().__init__()
        self.p, self.mode, self.rank = p, mode, rank

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        kept = 1.0 - self.p
        shape = [1] * self.rank
        if self.mode == "row":
            shape[0] = x.shape[0]
        noise = x.new_empty(shape).bernoulli_(kept)
        if kept > 0:
            noise.div_(kept)
        return x * noise

    def extra_repr(self) -> str:
        return f"p={self.p}, mode={self.mode}"


class ToOwnPrecision(nn.Module):
    """Casts to the module's own precision: float32, or what `.half()` and `.to()` made of it."""

    precision: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Empty, and on the CPU even where others are on the meta device: its type is all it is for.
        self.register_buffer("precision", torch.empty(0, device="cpu"), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x.to(self.precision.dtype)
