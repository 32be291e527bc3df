"""The summary of a network: its layers, and what the whole of it owns, computes and keeps."""

from __future__ import annotations

from typing import Any

from archspec.analyses.cost import Costs
from archspec.analyses.figures import SummaryFigures
from archspec.analyses.layers import Layer, layers
from archspec.analyses.memory import memory
from archspec.analyses.table import summary_text
from archspec.ir.graph import Graph, only, trained_only
from archspec.ir.shape import Shape
from archspec.ir.types import PRECISION


class Summary(SummaryFigures):
    """The figures; `str()` is the table, `as_dict()` the same for JSON."""

    __slots__ = ()

    @property
    def layers(self) -> list[Layer]:
        """The ops, and the folded blocks; their figures add up to the totals."""
        unfolded = self._unfolded
        return [node for node in self.nodes if node.path not in unfolded]

    @property
    def blocks(self) -> list[Layer]:
        """The groups and blocks whose nodes are there too, each with its totals."""
        unfolded = self._unfolded
        return [node for node in self.nodes if node.path in unfolded]

    @property
    def _unfolded(self) -> set[str]:
        return {node.parent for node in self.nodes}

    def __str__(self) -> str:
        return summary_text(self)

    def as_dict(self) -> dict[str, Any]:
        """The summary as plain data, under the names of the Python API.

        `dtype` is there where it is not float32.
        """
        return {
            "name": self.name,
            **({} if self.dtype == PRECISION else {"dtype": self.dtype}),
            "input_shape": only(self.inputs),
            "output_shape": only(self.outputs),
            "training_outputs": self.training_outputs,
            "input_dtypes": self.input_dtypes,
            "output_dtypes": self.output_dtypes,
            "num_parameters": self.num_parameters,
            "num_trainable_parameters": self.num_trainable_parameters,
            "num_buffers": self.num_buffers,
            "state_dict_bytes": self.state_dict_bytes,
            "macs": self.macs,
            "training_macs": self.training_macs,
            "counted_macs": self.counted_macs,
            "batch_size": self.batch_size,
            "activation_bytes": self.activation_bytes,
            "saved_bytes": self.saved_bytes,
            "share_of": self.share_of,
            "layers": [layer.as_dict() for layer in self.layers],
            "blocks": [block.as_dict() for block in self.blocks],
        }


def summarise(
    graph: Graph,
    name: str = "network",
    *,
    depth: int | None = None,
    batch_size: int = 1,
    costs: Costs | None = None,
    precision: str = PRECISION,
    recompute: str | None = None,
) -> Summary:
    """The summary of `graph`, with blocks folded into one row below `depth` levels.

    `costs`, if given, are those in the precision.
    """
    costs = costs or Costs(graph, precision)
    total = costs.total
    kept = memory(graph, batch_size, precision=precision, recompute=recompute)
    evaluated, trained, dtypes = _outputs(graph)
    return Summary(
        name=name,
        inputs=dict(zip(graph.input_names, graph.inputs, strict=True)),
        outputs=evaluated,
        training_outputs=trained,
        input_dtypes={
            name: each.name for name, each in zip(graph.input_names, graph.input_types, strict=True)
        },
        output_dtypes=dtypes,
        nodes=layers(graph, costs, depth),
        num_parameters=total.num_parameters,
        num_trainable_parameters=total.num_trainable_parameters,
        num_buffers=total.num_buffers,
        state_dict_bytes=total.state_dict_bytes,
        macs=total.known_macs,
        training_macs=total.known_training_macs,
        share_of="macs" if total.macs else "num_parameters",
        batch_size=batch_size,
        activation_bytes=kept.activation_bytes,
        saved_bytes=kept.saved_bytes,
        counted_macs=total.macs,
        dtype=precision,
    )


def _outputs(graph: Graph) -> tuple[dict[str, Shape], dict[str, Shape], dict[str, str]]:
    """The outputs of eval(), those that train() has beyond them, and the types of all."""
    names = graph.output_names or tuple(f"output{i}" for i in range(len(graph.outputs)))
    evaluated: dict[str, Shape] = {}
    trained: dict[str, Shape] = {}
    for name, ref in zip(names, graph.outputs, strict=True):
        (trained if trained_only(graph, ref) else evaluated)[name] = graph.shape(ref)
    types = [each.name for each in graph.output_types]
    return evaluated, trained, dict(zip(names, types, strict=True))
