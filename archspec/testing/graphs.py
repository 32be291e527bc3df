"""Strategies that draw whole specs for hypothesis, and the check that archspec keeps its word.

Specs are plain data, as a YAML reader would give them; `to_text` writes them:

    from hypothesis import given
    from archspec import testing

    @given(testing.specs())
    def test_specs(spec):
        testing.check_spec(testing.to_text(spec))
"""

from __future__ import annotations

from collections.abc import Sequence

import yaml
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

import archspec
from archspec.diagnostics.diagnostic import Code, SpecError
from archspec.ir.facts import facts
from archspec.testing.several import Data, SeveralValues, mapping, named

SIZES = ("in_channels", "in_channels * 2", "in_channels // 2", "in_channels + 1")
"""Sizes as they are written most often: relative to the input."""

ACTIVATIONS = ("relu", "gelu", "sigmoid", "tanh", "identity", "hardswish")


@st.composite
def specs(draw: DrawFn, max_nodes: int = 4) -> dict[str, Data]:
    """Specs of ops, groups, blocks, branches, repeats, conditions with and without an `else`,
    merges, parallels, lists of values, nodes with several outputs, blocks that call themselves,
    shared modules, layers as parameters and training_only heads, all small.

    About half of them are drawn without care for shapes, and most of those are refused.
    """
    careless = draw(st.sampled_from([True, True, True, False, False]))
    spec: dict[str, Data] = {
        "input": [draw(st.sampled_from([1, 2, 4, 6])), *draw(_images(careless))],
        "blocks": {},
    }
    draft = _Draft(draw, spec["blocks"], careless, max_nodes)
    layers = draft.nodes(2, ())
    if draw(st.integers(0, 3)) == 0:
        layers += [
            named("body", draw(draft.op(()))),
            {**named("aux", {"layers": draft.nodes(0, ())}), "training_only": True},
            {**named("head", draw(draft.op(()))), "from": "body"},
        ]
        spec["outputs"] = {"logits": "head", "aux": "aux"}
    elif draw(st.booleans()):
        layers += ["global_avg_pool2d", "flatten", {"linear": draw(st.integers(1, 5))}]
    spec["layers"] = layers
    if not spec["blocks"]:
        del spec["blocks"]
    return spec


def to_text(spec: dict[str, Data]) -> str:
    """The YAML text of a drawn spec."""
    return yaml.safe_dump(spec, sort_keys=False, default_flow_style=None)


def check_spec(text: str) -> SpecError | None:
    """Asserts that what archspec accepts is so; the refusal, for a spec that it refuses.

    Accepted, the real module must run with the stated shapes, parameters, costs and saved memory,
    and the expansion must read back as the same graph.
    """
    try:
        arch = archspec.loads(text, warn=False)
    except SpecError as refusal:
        return refusal
    report = arch.verify(elsewhere=False)
    assert report.ok, f"{report}\n{text}"
    again = archspec.loads(arch.expand(), warn=False)
    assert facts(again.graph) == facts(arch.graph), f"{text}\n{arch.expand()}"
    return None


SHAPE_RULES = frozenset({Code.SHAPE, Code.RANK})
"""Codes of refusals after which torch must fail too; all others fall under a documented rule."""


# --- drawing -------------------------------------------------------------------------------------


def _images(careless: bool) -> SearchStrategy[list[int]]:
    sizes = st.integers(1, 9) if careless else st.sampled_from([6, 8])
    return st.lists(sizes, min_size=2, max_size=2)


class _Draft(SeveralValues):
    """Draws lists of nodes. `names` are the loop variables and parameters in scope."""

    def __init__(
        self, draw: DrawFn, blocks: dict[str, Data], careless: bool, max_nodes: int
    ) -> None:
        super().__init__(draw, blocks, careless)
        self.max_nodes = max_nodes

    def nodes(self, depth: int, names: Sequence[str], least: int = 1) -> list[Data]:
        """A list of nodes; some come with the helpers that they read."""
        found: list[Data] = []
        for _ in range(self.draw(st.integers(least, self.max_nodes if depth else 2))):
            forms = [self.plain] * 4 + [self.residual, self.gate, self.halves, self.learned]
            if depth:
                forms += [self.group, self.branches, self.repeat, self.loop, self.call] * 2
                forms += [self.sharing, self.condition, *[self.library] * 4, self.weighted]
                forms += [self.choice, self.choice, self.either_halves, *[self.recursion] * 3]
                forms += [self.in_turn, self.iterations, self.elements, self.elements]
                forms += [self.one_module, self.rest, self.both_keys, self.product] * 2
                forms += [self.listed, self.computed]
            found += self.choose(*forms)(depth, names)
        return found

    # Each of the following gives some nodes that follow one another.

    def plain(self, depth: int, names: Sequence[str]) -> list[Data]:
        return [self.draw(self.op(names))]

    def library(self, depth: int, names: Sequence[str]) -> list[Data]:
        return [self.draw(self.standard(names))]

    def residual(self, depth: int, names: Sequence[str]) -> list[Data]:
        """A merge of two values of the list, equal in shape or not."""
        first, second = self.name(), self.name()
        merge = self.choose("add", "mul", "concat")
        reads = [second, first] if self.careless else [second, second, first]
        return [
            named(first, self.draw(self.same() if not self.careless else self.op(names))),
            named(second, self.draw(self.same() if not self.careless else self.op(names))),
            {merge: reads},
        ]

    def gate(self, depth: int, names: Sequence[str]) -> list[Data]:
        """Squeeze and excitation: a merge that broadcasts."""
        whole, gate = self.name(), self.name()
        squeeze = self.choose("global_avg_pool2d", "global_avg_pool2d", "flatten")
        return [
            named(whole, self.draw(self.same())),
            squeeze if self.careless else "global_avg_pool2d",
            named(gate, "sigmoid"),
            {self.choose("mul", "add"): [whole, gate]},
        ]

    def halves(self, depth: int, names: Sequence[str]) -> list[Data]:
        """A node with several outputs, one of them worked on."""
        halves, part = self.name(), self.name()
        index = self.draw(st.integers(0, 2)) if self.careless else 0
        return [
            named(halves, {"chunk": {"chunks": 2, "dim": self.choose(1, 1, -1)}}),
            {**named(part, self.draw(self.same())), "from": f"{halves}[{index}]"},
            {"concat": [part, halves]},
        ]

    def learned(self, depth: int, names: Sequence[str]) -> list[Data]:
        """A learned tensor or a constant: a value for each channel, or one for each position."""
        name, whole = self.name(), self.name()
        shape: Data = self.choose("[in_channels, 1, 1]", "[1] + in_shape", "in_shape")
        if self.careless:
            shape = self.choose(shape, [2, 1], [3], [1, 2, 3, 4])
        tensor: Data = self.choose(
            *[{"parameter": {"shape": shape}}] * 3,
            {"parameter": {"shape": "in_shape", "init": "arange", "batch": True}},
            {"constant": {"full": shape, "value": 0.5}},
            {"constant": {"arange": "in_features"}},
            {"constant": {"value": "[cos(i) for i in range(in_features)]", "persistent": True}},
        )
        return [
            named(whole, self.draw(self.same())),
            {**named(name, tensor), "from": whole},
            {self.choose("add", "mul"): [whole, name]},
        ]

    def group(self, depth: int, names: Sequence[str]) -> list[Data]:
        node: Data = {"layers": self.nodes(depth - 1, names)}
        return [named(self.name(), node) if self.choose(True, False) else node]

    def branches(self, depth: int, names: Sequence[str]) -> list[Data]:
        least, merge = self.draw(st.integers(0, 1)), self.choose("concat", "add")
        paths: list[Data] = [
            self.nodes(0, names, least) if self.careless else [self.draw(self.same())],
            [] if least == 0 else [self.draw(self.same())],
        ]
        if self.choose(True, False):
            return [{"branches": {self.name(): path for path in paths}, "merge": merge}]
        return [{"branches": paths, "merge": merge}]

    def repeat(self, depth: int, names: Sequence[str]) -> list[Data]:
        """A counted loop: named, in place, or with a name for each iteration."""
        times = self.choose(1, 2, 3)
        match self.choose("named", "in place", "each", "one op"):
            case "named":
                body = self.nodes(depth - 1, (*names, "index"))
                return [{"name": self.name(), "repeat": times, "layers": body}]
            case "in place":
                body = [self.draw(self.op((*names, "index"))) for _ in range(2)]
                return [{"repeat": times, "layers": body}]
            case "each":
                body = self.nodes(depth - 1, (*names, "index"))
                return [{"name": self.name() + "_{index + 1}", "repeat": times, "layers": body}]
            case _:
                return [{"repeat": times, **mapping(self.draw(self.op((*names, "index"))))}]

    def loop(self, depth: int, names: Sequence[str]) -> list[Data]:
        """A loop over a list, its elements used as sizes."""
        variable = self.name() + "_size"
        sizes = self.draw(st.lists(st.sampled_from([1, 2, 4, 6]), min_size=1, max_size=3))
        body = self.nodes(depth - 1, (*names, variable))
        return [{"name": self.name(), "repeat": {variable: sizes}, "layers": body}]

    def in_turn(self, depth: int, names: Sequence[str]) -> list[Data]:
        """Nodes with dotted names that run in turn, and what all of one kind give."""
        convs, acts = (f"{self.name()}.{part}" for part in ("convs", "acts.inner"))
        body = [
            named(
                f"{convs}.{{index}}", self.draw(self.op(names) if self.careless else self.same())
            ),
            named(f"{acts}.{{index}}", self.draw(self.same())),
        ]
        reads = self.choose([f"{acts}.*"], [f"{convs}.*", f"{acts}.0"], [f"{convs}.1", "input"])
        return [{"repeat": 2, "layers": body}, {self.choose("add", "concat"): reads}]

    def iterations(self, depth: int, names: Sequence[str]) -> list[Data]:
        """A loop of which single iterations are read, or all of them."""
        name = self.name() + self.choose("", ".inner")
        one = self.draw(self.op(names) if self.careless else self.same())
        node = self.choose(one, {"layers": self.nodes(0, (*names, "index"))})
        found: list[Data] = [{"repeat": 3, **named(name, node)}]
        if self.choose(True, False, False):
            found += [{"share": name, "name": f"{self.name()}"}]
        reads = self.choose([f"{name}.*"], [f"{name}.0", f"{name}.1"], [f"{name}.1", name])
        return [*found, {self.choose("add", "concat"): reads}]

    def condition(self, depth: int, names: Sequence[str]) -> list[Data]:
        when = self.choose("in_channels > 2", "in_channels == 4", "true", "false")
        return [{**mapping(self.draw(self.op(names))), "when": when}]

    def choice(self, depth: int, names: Sequence[str]) -> list[Data]:
        """A node, and what stands there where its condition is false; then its name is read."""
        before, name = self.name(), self.name()
        found: list[Data] = [named(before, self.draw(self.same()))]
        node = {**named(name, self.draw(self.same())), **self.chosen(before, names, 2)}
        if self.choose(True, False):
            node["from"] = self.choose("input", before)
        if self.choose(True, False):
            del node["name"]
            return [*found, node, self.draw(self.same())]
        return [*found, node, {self.choose("add", "concat"): [name, before]}]

    def chosen(self, before: str, names: Sequence[str], more: int) -> dict[str, Data]:
        """A condition, and an edge, a node, a list or a further condition under its `else`."""
        draw = self.draw
        match self.choose("edge", "values", "node", "list", *["chain"] * more):
            case "edge":
                other: Data = self.choose("input", before)
            case "values":
                other = {"from": self.choose("input", before)}
            case "node":
                other = mapping(draw(self.op(names) if self.careless else self.same()))
            case "list":
                other = [draw(self.same()) for _ in range(draw(st.integers(0, 2)))]
            case _:
                own = {"from": before} if self.choose(True, False) else {}
                other = {**mapping(draw(self.same())), **own}
                other |= self.chosen(before, names, more - 1)
        when = self.choose("in_channels > 2", "in_features == 8", "true", "false")
        return {"when": when, "else": other}

    def either_halves(self, depth: int, names: Sequence[str]) -> list[Data]:
        """Two values, whichever side stands there."""
        first, halves = self.name(), self.name()
        when = self.choose("in_channels % 2 == 0 and in_channels > 2", "false")
        node = {"chunk": {"chunks": 2, "dim": 1}, "when": when, "else": {"from": [first, "input"]}}
        return [
            named(first, self.draw(self.same())),
            named(halves, node),
            {"concat": [f"{halves}[0]"] * 2 if self.choose(True, False) else [halves]},
        ]

    def recursion(self, depth: int, names: Sequence[str]) -> list[Data]:
        """A block that calls itself, and ends."""
        block, inner = self.name() + "_tree", self.name()
        call = {block: {"levels": "levels - 1"}}
        node = {**named(inner, self.draw(self.same())), "when": "levels < 1", "else": call}
        again = {**call, "when": "levels > 1"}
        body = [self.draw(self.same()), node, *([again] if self.choose(True, False) else [])]
        self.blocks[block] = {"params": {"levels": "int"}, "layers": body}
        return [{block: {"levels": self.draw(st.integers(0, 3))}}]

    def sharing(self, depth: int, names: Sequence[str]) -> list[Data]:
        """A module used twice, on values of one shape (or not)."""
        name = self.name()
        node: Data = {"conv2d": {"out_channels": "in_channels", "kernel_size": 3, "padding": 1}}
        if self.choose(True, False):
            node = {"layers": [node, "batch_norm", "relu"]}
        between = [self.draw(self.same())]
        return [named(name, node), *between, {"share": name}]

    def weighted(self, depth: int, names: Sequence[str]) -> list[Data]:
        """A convolution whose kernel is computed, or another's; one of the two may be frozen."""
        first, second = self.name(), self.name()
        conv: Data = {"conv2d": {"out_channels": "in_channels", "kernel_size": 1}}
        node = {**named(first, conv), "trainable": self.choose(True, False)}
        weights: Data = {"weight": f"{first}.weight"}
        if self.choose(True, False):
            return [node, {**named(second, conv), "weights": weights}]
        tensor: Data = {"parameter": {"shape": "[in_channels, in_channels, 1, 1]"}}
        kernel, scaled = self.name(), self.name()
        return [
            node,
            {**named(kernel, tensor), "from": first, "trainable": self.choose(True, False)},
            named(scaled, "sigmoid"),
            {**named(second, conv), "from": first, "weights": {"weight": scaled}},
        ]

    def call(self, depth: int, names: Sequence[str]) -> list[Data]:
        """A call of a block of the file, with a size and with layers; or one with two inputs."""
        if self.choose(True, True, False):
            block = self.name() + "_block"
            body = self.nodes(0, ("size",))
            act = self.choose("$act", named(self.name(), "$act"))
            body.insert(self.choose(0, len(body)), act)
            self.blocks[block] = {"params": {"size": "int", "act": "relu"}, "layers": body}
            given = self.choose(
                "tanh", {"leaky_relu": {"negative_slope": 0.3}}, ["batch_norm", "relu"]
            )
            args = {"size": self.draw(self.size(names)), "act": given}
            return [{block: {key: args[key] for key in self.choose(("size",), ("size", "act"))}}]
        block, left, right, both = (self.name() for _ in range(4))
        self.blocks[block] = {
            "inputs": ["x", "y"],
            "outputs": ["b", "a"],
            "layers": [
                named("a", self.draw(self.same())),
                {**named("b", self.draw(self.same())), "from": "y"},
            ],
        }
        return [
            named(left, self.draw(self.same())),
            named(right, self.draw(self.op(names) if self.careless else self.same())),
            {**named(both, block), "from": self.choose([left, right], {"y": right, "x": left})},
            {self.choose("concat", "add"): [f"{both}[1]", f"{both}[0]"]},
        ]

    # Ops

    def size(self, names: Sequence[str]) -> SearchStrategy[Data]:
        sizes = [st.sampled_from([1, 2, 4, 6]), st.sampled_from(SIZES)]
        if names:
            sizes.append(st.sampled_from([f"{name} + 1" for name in names]))
        return st.one_of(sizes)

    def same(self) -> SearchStrategy[Data]:
        """Ops that keep the shape of any image."""
        return st.sampled_from(
            [
                *ACTIVATIONS,
                "batch_norm",
                {"conv2d": {"out_channels": "in_channels", "kernel_size": 3, "padding": "same"}},
                {"max_pool2d": {"kernel_size": 3, "stride": 1, "padding": 1}},
                {"linear": "in_features"},
                {"dropout": 0.25},
            ]
        )

    def op(self, names: Sequence[str]) -> SearchStrategy[Data]:
        """Any op on an image; careless ones have windows and groups that may not fit."""
        window = st.integers(1, 5 if self.careless else 3)
        pair = window | st.lists(window, min_size=2, max_size=2)
        stride = st.sampled_from([1, 1, 2] if not self.careless else [1, 2, 3])
        # A padding of at most half the kernel is legal for pooling.
        padding = st.integers(0, 2) if self.careless else st.just(1)
        pools = ["max_pool2d", "avg_pool2d"]
        pool = st.fixed_dictionaries(
            {"kernel_size": pair if self.careless else st.just(2)},
            optional={
                "stride": stride,
                "ceil_mode": st.booleans(),
                **({"padding": padding} if self.careless else {}),
            },
        )
        conv = st.fixed_dictionaries(
            {"out_channels": self.size(names), "kernel_size": pair},
            optional={
                "stride": stride,
                "padding": padding,
                "bias": st.booleans(),
                **(
                    {"groups": st.sampled_from([1, 2, 3]), "dilation": stride}
                    if self.careless
                    else {}
                ),
            },
        )
        choices: list[SearchStrategy[Data]] = [
            conv.map(lambda args: {"conv2d": args}),
            conv.map(lambda args: {"conv2d": args}),
            st.tuples(st.sampled_from(pools), pool).map(lambda both: {both[0]: both[1]}),
            self.same(),
            self.size(names).map(lambda size: {"linear": size}),
            st.just({"layer_norm": None}),
            st.just({"softmax": {"dim": 1}}),
        ]
        if self.careless:
            choices += [
                st.sampled_from([1, 2, 3]).map(lambda n: {"group_norm": n}),
                st.sampled_from(["flatten", "global_avg_pool2d"]),
                st.sampled_from([[2, 2], [4, None], [9, 1]]).map(
                    lambda size: {"adaptive_avg_pool2d": size}
                ),
                st.sampled_from([[0, 1, 3, 2], [0, 2, 1]]).map(lambda dims: {"permute": dims}),
                st.sampled_from([[-1], [4, -1], [8, 8]]).map(lambda shape: {"reshape": shape}),
            ]
        return st.one_of(choices)

    def standard(self, names: Sequence[str]) -> SearchStrategy[Data]:
        """Calls of blocks of the library."""
        size, count = self.size(names), st.integers(1, 2)
        return st.one_of(
            st.fixed_dictionaries(
                {"out_channels": size}, optional={"stride": st.sampled_from([1, 2])}
            ).map(lambda args: {"residual": args}),
            st.fixed_dictionaries({"num_convs": count, "growth_rate": size}).map(
                lambda args: {"dense": args}
            ),
            st.fixed_dictionaries({"num_convs": count, "out_channels": size}).map(
                lambda args: {"vgg_block": args}
            ),
            st.fixed_dictionaries({"out_channels": size}).map(lambda args: {"transition": args}),
        )
