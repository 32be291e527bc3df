"""What recurrent modules of torch return, with the batch first in the states too.

Functions, since `torch.fx` and `torch.jit.script` take torch's own modules, and no subclass of
them. They read the annotations, which must not be put off as texts.
"""

from torch import Tensor


def with_state(result: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The sequence and the last state of a `GRU` or `RNN`, (layers, N, features) in torch."""
    y, h = result
    return y, h.transpose(0, 1)


def with_states(result: tuple[Tensor, tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """The sequence and the last states of an `LSTM`, (layers, N, features) in torch."""
    y, (h, c) = result
    return y, h.transpose(0, 1), c.transpose(0, 1)
