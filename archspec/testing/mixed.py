"""Strategies for specs whose values have types: integers and truth values beside floats."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from archspec.testing.several import Data

WHOLE = ("int64", "int32")
KINDS = ("float", *WHOLE, "bool")
"""Types of values, each of which takes those after it when it is added to them."""


class Value(NamedTuple):
    """A value that nodes may read: its edge, its type, and its sizes without the batch.

    Its integers are less than `below`; it is None where they may be any.
    """

    edge: str
    kind: str
    sizes: tuple[int, ...]
    below: int | None = None


@st.composite
def mixed_specs(draw: DrawFn, max_nodes: int = 6) -> dict[str, Data]:
    """Specs of an image and of integers or truth values that are looked up, cast, added to,
    multiplied with and joined to floats and each other, alone and in blocks, all small.

    About half of them are drawn without care for types and sizes, and many of those are refused.
    Rows are looked up by inputs and by what moves their values, never by computed integers.
    """
    draft = _MixedDraft(draw, careless=draw(st.booleans()))
    for _ in range(draw(st.integers(2, max_nodes))):
        draw(st.sampled_from(draft.forms))()
    if not draft.layers:
        draft.cast()
    return draft.spec()


class _MixedDraft:
    """A list of nodes in the making, and what each of them is expected to give."""

    def __init__(self, draw: DrawFn, careless: bool) -> None:
        self.draw, self.careless = draw, careless
        self.inputs: dict[str, Data] = {}
        self.values: list[Value] = []
        self.layers: list[Data] = []
        self.rows: list[Value] = []
        self.blocks: dict[str, Data] = {}
        self.forms = [self.embedding, self.cast, self.number, self.merge, self.mask, self.move]
        self.forms += [self.embedding, self.merge, self.float_op, self.call, self.again]
        rank = draw(st.integers(1, 2))
        image = tuple(draw(st.lists(st.integers(1, 4), min_size=rank, max_size=rank)))
        self._input("image", "float", image)
        for number in range(draw(st.integers(1, 2))):
            kind = self.choose(*WHOLE, "int64", "bool")
            self._input(f"whole{number}", kind, self.choose((), image, image, image, (3,)))

    def spec(self) -> dict[str, Data]:
        others = self.draw(st.lists(st.sampled_from(self.values[:-1]), max_size=2, unique=True))
        given = [self.values[-1], *others]
        outputs = {f"out{position}": value.edge for position, value in enumerate(given)}
        blocks = {"blocks": self.blocks} if self.blocks else {}
        return {"inputs": self.inputs, **blocks, "outputs": outputs, "layers": self.layers}

    def choose(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def value(self, fits: Callable[[Value], bool]) -> Value | None:
        """A value that fits; careless drafts take any, and there may be none."""
        known = [value for value in self.values if self.careless or fits(value)]
        # Late ones more often, so that few are read by nobody.
        return self.draw(st.sampled_from([*known, *known[-2:]])) if known else None

    def _input(self, name: str, kind: str, sizes: tuple[int, ...]) -> None:
        below = None
        if kind in WHOLE:
            below = self.choose(None, 1, 2, 3, 7)
        bound = {} if below is None else {"below": below}
        plain = kind == "float" and self.choose(True, False)
        self.inputs[name] = list(sizes) if plain else {"shape": list(sizes), "dtype": kind, **bound}
        # Without a bound they are 0 and 1 in every run that checks.
        self.values.append(Value(name, kind, sizes, 2 if kind in WHOLE and not below else below))

    def _node(self, node: Data, kind: str, sizes: tuple[int, ...], below: int | None = None) -> str:
        name = f"n{len(self.layers)}"
        self.layers.append({"name": name, **node})
        self.values.append(Value(name, kind, sizes, below))
        return name

    # Each of the following adds a node, if it finds what it wants to read.

    def embedding(self) -> None:
        x = self.value(lambda value: value.kind in WHOLE and value.below is not None)
        # Computed integers may be any, and a run could ask for rows that are not there.
        if x is None or (x.kind in WHOLE and x.below is None):
            return
        least = max(2, x.below or 2)
        count = self.choose(least, least + 1, *((least - 1,) if self.careless else ()))
        sizes = self.draw(st.integers(1, 4))
        args = {"num_embeddings": count, "embedding_dim": sizes}
        if self.choose(True, False):
            args["padding_idx"] = self.choose(0, -1)
        self._node({"embedding": args, "from": x.edge}, "float", (*x.sizes, sizes))
        self.rows.append(x._replace(edge=self.values[-1].edge))

    def cast(self) -> None:
        x = self.value(lambda value: True)
        assert x is not None
        kind = self.choose(*KINDS)
        below = 2 if x.kind == "bool" else x.below
        self._node({"to": kind, "from": x.edge}, kind, x.sizes, below if kind in WHOLE else None)

    def number(self) -> None:
        x = self.value(lambda value: True)
        assert x is not None
        only_whole = x.kind != "float" and not self.careless
        other = self.choose(2, -1, 0) if only_whole else self.choose(2, -1, 0.5, 3.0)
        kind = "int64" if x.kind == "bool" else x.kind
        if self.choose(True, False):
            node: Data = {self.choose("add", "mul"): {"inputs": x.edge, "other": other}}
        else:
            node = {self.choose("add", "mul"): {"other": other}, "from": x.edge}
        self._node(node, kind, x.sizes)

    def pair(self, *, of_axes: bool = False) -> tuple[Value, Value] | None:
        """Two values of equal sizes, of different types if there are such."""
        first = self.value(lambda value: bool(value.sizes) or not of_axes)
        if first is None:
            return None
        alike = [value for value in self.values if value.sizes == first.sizes]
        others = [value for value in alike if value.kind != first.kind] or alike
        second = self.value(others.__contains__)
        assert second is not None
        return first, second

    def merge(self) -> None:
        op = self.choose("add", "mul", "concat")
        found = self.pair(of_axes=op == "concat")
        if found is None:
            return
        a, b = found
        sizes = a.sizes
        if op == "concat" and sizes and b.sizes:
            sizes = (a.sizes[0] + b.sizes[0], *a.sizes[1:])
        self._node({op: [a.edge, b.edge]}, _promoted(a, b), sizes)

    def mask(self) -> None:
        """A float times truth values, of its own sizes or one for each sample."""
        x = self.value(lambda value: value.kind == "float")
        mask = self.value(lambda value: value.kind == "bool")
        if x is None or mask is None:
            return
        if mask.sizes != x.sizes:
            ones = [1] * len(x.sizes)
            mask = mask._replace(edge=self._node({"reshape": ones, "from": mask.edge}, "bool", ()))
            self.values.pop()
        self._node({"mul": [x.edge, mask.edge]}, "float", x.sizes)

    def move(self) -> None:
        """The same elements in other places: values of every type."""
        x = self.value(lambda value: bool(value.sizes))
        if x is None:
            return
        match self.choose("identity", "flatten", "reshape", "permute", "chunk", "slice"):
            case "identity":
                self._node({"identity": None, "from": x.edge}, x.kind, x.sizes, x.below)
            case "flatten":
                flat = (math.prod(x.sizes),)
                self._node({"flatten": None, "from": x.edge}, x.kind, flat, x.below)
            case "reshape":
                sizes = (1, math.prod(x.sizes))
                self._node({"reshape": [1, -1], "from": x.edge}, x.kind, sizes, x.below)
            case "permute":
                order = [0, *range(len(x.sizes), 0, -1)]
                self._node({"permute": order, "from": x.edge}, x.kind, x.sizes[::-1], x.below)
            case "chunk":
                self._halves(x)
            case _:
                node = {"slice": {"dim": 1, "end": 1}, "from": x.edge}
                self._node(node, x.kind, (1, *x.sizes[1:]), x.below)

    def _halves(self, x: Value) -> None:
        if not x.sizes or x.sizes[0] % 2:
            return
        half = (x.sizes[0] // 2, *x.sizes[1:])
        name = self._node({"chunk": {"chunks": 2, "dim": 1}, "from": x.edge}, x.kind, half, x.below)
        self.values.pop()
        self.values += [Value(f"{name}[{i}]", x.kind, half, x.below) for i in (0, 1)]

    def float_op(self) -> None:
        x = self.value(lambda value: value.kind == "float" and bool(value.sizes))
        if x is None:
            return
        op = self.choose("relu", "sigmoid", "linear", "layer_norm", "softmax")
        match op:
            case "linear":
                node: Data = {"linear": self.draw(st.integers(1, 4))}
                sizes = (*x.sizes[:-1], node["linear"])
            case "softmax":
                node, sizes = {"softmax": {"dim": 1}}, x.sizes
            case _:
                node, sizes = {op: None}, x.sizes
        self._node({**node, "from": x.edge}, "float", sizes)

    def call(self) -> None:
        """A block of two inputs, which the next caller may give others of other types."""
        found = self.pair()
        if found is None:
            return
        a, b = found
        op = self.choose("add", "mul")
        layers = [{"name": "moved", "identity": None, "from": "y"}, {op: ["x", "moved"]}]
        self.blocks[f"{op}_block"] = {"inputs": ["x", "y"], "layers": layers}
        node = {f"{op}_block": None, "from": [a.edge, b.edge]}
        self._node(node, _promoted(a, b), a.sizes)

    def again(self) -> None:
        """Rows looked up by other integers, or by those of another type."""
        if not self.rows:
            self.embedding()
        if not self.rows:
            return
        owner = self.draw(st.sampled_from(self.rows))
        x = self.value(lambda value: (value.kind, value.below) == (owner.kind, owner.below))
        if x is None or (x.kind in WHOLE and x.below is None):
            return
        embedding = next(node for node in self.layers if node["name"] == owner.edge)
        sizes = (*x.sizes, embedding["embedding"]["embedding_dim"])
        self._node({"share": owner.edge, "from": x.edge}, "float", sizes)


def _promoted(*values: Value) -> str:
    return min((value.kind for value in values), key=KINDS.index)
