"""The figures of a network that the table shows."""

from __future__ import annotations

from archspec.analyses.layers import Layer
from archspec.ir.shape import Shape
from archspec.ir.types import PRECISION
from archspec.record import Record


class SummaryFigures(Record):
    """Figures of a network.

    `nodes` are the rows. `outputs` are those of eval(). `training_outputs` are the ones that
    train() has besides, and `output_dtypes` are the types of both, by name. `macs` are for one
    sample in eval(), and `training_macs` in train(). Each is None if some are not counted;
    `counted_macs` are then the others, in eval(). Memory is in bytes, for one forward pass in
    train() on `batch_size` samples (see `analyses.memory`). Bytes are those of a network whose
    floats are of `dtype`. `share_of` names the figure that `Layer.share` is a part of.
    """

    name: str
    inputs: dict[str, Shape]
    outputs: dict[str, Shape]
    training_outputs: dict[str, Shape]
    input_dtypes: dict[str, str]
    output_dtypes: dict[str, str]
    nodes: list[Layer]
    num_parameters: int
    num_trainable_parameters: int
    num_buffers: int
    state_dict_bytes: int
    macs: int | None
    training_macs: int | None
    share_of: str
    batch_size: int
    activation_bytes: int
    saved_bytes: int
    counted_macs: int = 0
    dtype: str = PRECISION
