"""Drawn nodes that read or give several values: parallels, loops of one module, lists of values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

Data: TypeAlias = Any
"""Plain data of a spec: mappings, lists, text, numbers, truth values, None."""


def named(name: str, node: Data) -> dict[str, Data]:
    """The node with this name."""
    return {"name": name, **mapping(node)}


def mapping(node: Data) -> dict[str, Data]:
    """The node as a mapping, where it is a word alone."""
    return node if isinstance(node, dict) else {node: None}


class SeveralValues:
    """Forms of a draft. Each gives some nodes that follow one another."""

    def __init__(self, draw: DrawFn, blocks: dict[str, Data], careless: bool) -> None:
        self.draw, self.blocks, self.careless = draw, blocks, careless
        self.count = 0

    def name(self) -> str:
        self.count += 1
        return f"n{self.count}"

    def choose(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def same(self) -> SearchStrategy[Data]:
        """Ops that keep the shape of any image."""
        raise NotImplementedError

    def op(self, names: Sequence[str]) -> SearchStrategy[Data]:
        """Any op on an image."""
        raise NotImplementedError

    def _one(self, names: Sequence[str] = ()) -> dict[str, Data]:
        return mapping(self.draw(self.op(names) if self.careless else self.same()))

    def elements(self, depth: int, names: Sequence[str]) -> list[Data]:
        """A parallel in a scope, with a name for each element, or in the list."""
        before, name = self.name(), self.name()
        named_how = self.choose({"name": name}, {"name": name + "_{index}"}, {})
        body = self.choose(self._one(names), {"layers": [self.draw(self.same()), "tanh"]})
        loop = self.choose({"parallel": 3}, {"parallel": {f"{name}_size": [1, 2, 4]}})
        node: Data = {**named_how, **loop, **body}
        if self.choose(True, False):
            node["from"] = self.choose("input", before, -1)
        if self.choose(True, False):
            node["when"] = self.choose("index != 1", "index > 1", "true")
            other = self.choose("none", "edge", "values", "node", "list")
            if other != "none":
                node["else"] = {
                    "edge": self.choose("input", before),
                    "values": {"from": before},
                    "node": self._one(names),
                    "list": [self.draw(self.same())],
                }[other]
        elif "{" not in named_how.get("name", "") and self.choose(True, False, False):
            node["share"] = True
        found: list[Data] = [named(before, self.draw(self.same())), node]
        join = self.choose("add", "concat")
        if self.choose(True, False):
            node["merge"] = join
            if named_how.get("name") == name:
                found.append({join: [name, f"{name}.{self.choose(0, 1, '*')}"]})
            return found
        if named_how.get("name") == name:
            return [*found, {join: self.choose([f"{name}.2", f"{name}.1"], [f"{name}[0]", name])}]
        if named_how and "when" not in node:
            return [*found, {join: [f"{name}_0", f"{name}_2"]}]
        return [*found, join]

    def one_module(self, depth: int, names: Sequence[str]) -> list[Data]:
        """A repeat of one module, of which iterations are read."""
        name, conv = self.name(), {"out_channels": "in_channels", "kernel_size": 3, "padding": 1}
        body = self.choose({"conv2d": conv}, {"layers": [{"conv2d": conv}, "relu"]}, self._one())
        reads = self.choose([f"{name}.*"], [f"{name}.0", name], [f"{name}.2", f"{name}.1"])
        node = {"name": name, "repeat": 3, "share": True, **body}
        return [node, {self.choose("add", "concat"): reads}]

    def rest(self, depth: int, names: Sequence[str]) -> list[Data]:
        """A block that takes any number of values, given in order or by name."""
        block, first, other = self.name() + "_rest", self.name(), self.name()
        each = {"parallel": {"i": "len(xs)"}, "name": "each", "from": "xs[i]", **self._one()}
        self.blocks[block] = {
            "inputs": ["x", "xs..."],
            "layers": [
                {"name": "y", **mapping(self.draw(self.same())), "from": "x"},
                {**each, "when": "len(xs) > 0 and i != 1", "else": self.choose("x", "y")},
                {"name": "all", "from": ["each", -1], "when": "len(xs) > 0", "else": "xs"},
                {self.choose("add", "concat"): ["x", "y", "all"]},
            ],
        }
        reads = self.choose(first, [first, other], [first, other, first])
        by_name = {"xs": [other, first], "x": first}
        return [
            named(first, self.draw(self.same())),
            named(other, self._one()),
            {block: None, "from": self.choose(reads, by_name)},
        ]

    def listed(self, depth: int, names: Sequence[str]) -> list[Data]:
        """A name for several values, and the node before by -1."""
        first, values, join = self.name(), self.name(), self.choose("add", "concat")
        reads = self.choose(values, [f"{values}[1]", -1], [-1, first])
        group = {
            "layers": [named(first, self._one()), "relu", {"name": values, "from": [-1, first]}]
        }
        if self.choose(True, False):
            both = self.name()
            return [named(both, group), {join: [f"{both}[1]", both]}]
        return [*group["layers"], {join: reads}]

    def both_keys(self, depth: int, names: Sequence[str]) -> list[Data]:
        """A module under two names."""
        first, again = self.name(), self.name()
        conv = {"conv2d": {"out_channels": "in_channels", "kernel_size": 1}}
        node = self.choose(conv, {"layers": [conv, "batch_norm"]})
        return [named(first, node), "relu", {"name": again, "share": first, "keys": "both"}]

    def computed(self, depth: int, names: Sequence[str]) -> list[Data]:
        """A layer whose weight is computed of others, applied twice or frozen, or not."""
        name, size = self.name(), self.choose(1, 2, 3)
        node: Data = self.choose(
            {"conv2d": {"out_channels": "in_channels", "kernel_size": 3, "padding": 1}},
            {"linear": "in_features"},
        )
        norms: Data = [
            *("weight_norm", "spectral_norm"),
            {"weight_norm": {"dim": self.choose(None, "index", 1), "keys": "old"}},
            {"spectral_norm": {"n_power_iterations": size, "dim": 1}},
            {"spectral_norm": {"keys": "old"}},
        ]
        if self.careless:
            norms += [{"weight_norm": {"dim": size}}, {"weight_norm": {"dim": -1}}]
        node = {**named(name, node), "parametrize": {"weight": self.choose(*norms)}}
        found: list[Data] = [
            {"repeat": self.choose(1, 2), **node, **self.choose({}, {"trainable": False})}
        ]
        return [*found, {"share": name}] if self.choose(True, False) else found

    def product(self, depth: int, names: Sequence[str]) -> list[Data]:
        """Rows times a matrix that all samples share."""
        whole, matrix = self.name(), self.name()
        shape: Data = "[in_features, in_features]" if not self.careless else [8, 3]
        tensor = self.choose({"parameter": {"shape": shape}}, {"constant": {"eye": "in_features"}})
        return [
            named(whole, self.draw(self.same())),
            {**named(matrix, tensor), "from": whole},
            {"matmul": None, "from": self.choose([whole, matrix], {"other": -1, "input": whole})},
        ]
