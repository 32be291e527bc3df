"""Recurrent layers, which are recorded whole."""

from __future__ import annotations

from typing import Any

from archspec.importing.functions import leaf
from archspec.importing.lifting import Lifted, Lifter
from archspec.importing.trace import Value, cannot, values_in


@leaf(
    "torch.nn.modules.rnn.LSTM",
    "torch.nn.modules.rnn.GRU",
    "torch.nn.modules.rnn.RNN",
)
def recurrent(lift: Lifter, module: Any, input: Value, hx: Any = None) -> Any:
    op = module.mode.partition("_")[0].lower()
    if not isinstance(input, Value) or len(input.shape) != 3:
        raise cannot("a recurrent layer reads sequences (N, L, features) or (L, N, features) alone")
    x = lift(input)
    sequence, *states = values_in(lift.call.results)
    needed = {each for call in lift.trace.needed() for each in call.reads}
    needed |= set(values_in(lift.trace.outputs))
    returned = any(each in needed for each in states)
    reads: list[Any] = [x, *(lift.batched(each) for each in values_in(hx))]
    more: dict[str, Any] = {}
    if getattr(module, "proj_size", 0):
        more["proj_size"] = module.proj_size
    if op == "rnn":
        more["nonlinearity"] = module.nonlinearity
    layers = module.num_layers * (2 if module.bidirectional else 1)
    time, batch = (x.axes[1], x.axes[0]) if module.batch_first else (x.axes[0], x.axes[1])
    width = (sequence.shape[-1],)
    axes = [(batch, time, width) if module.batch_first else (time, batch, width)]
    if returned:
        axes += [((layers,), batch, (each.shape[-1],)) for each in states]
    made = lift.node(
        op,
        *reads,
        owner=lift.call.inside.path,
        axes=axes,
        hidden_size=module.hidden_size,
        num_layers=module.num_layers,
        bias=module.bias,
        dropout=float(module.dropout),
        bidirectional=module.bidirectional,
        return_state=returned,
        **more,
    )
    return _as_returned(op, made)


def _as_returned(op: str, made: tuple[Lifted, ...]) -> Any:
    """The outputs nested as torch's layer returns them."""
    first, *states = made
    if not states:
        return (first,)
    return (first, tuple(states)) if op == "lstm" else (first, states[0])
