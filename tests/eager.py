"""A second, independent reading of the language, for what `testing.specs` and `mixed_specs` draw.

It knows no shapes: it runs a spec node by node with torch's own modules on real tensors, and
evaluates expressions with Python. What fails here is a graph that torch cannot run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import torch
from eager_ops import PRIMARY, computed, constant, evaluate, fill, made, merged, pattern, standard
from torch import Tensor, nn

import archspec

Values = tuple[Tensor, ...]

NODE_KEYS = {"name", "from", "when", "else", "repeat", "share", "training_only", "merge"}
NODE_KEYS |= {"trainable", "weights", "keys", "parallel", "parametrize"}


class Eager:
    """One network: its modules are made when they first run, and kept by their path.

    Parameters are filled with a pattern that depends on their shape alone, so that two networks
    of the same graph compute the same.
    """

    def __init__(self, spec: Mapping[str, Any], training: bool) -> None:
        self.spec, self.training = spec, training
        self.modules: dict[str, nn.Module] = {}
        self.tensors: dict[str, nn.Parameter] = {}

    def run(self, *inputs: Tensor) -> dict[str, Tensor]:
        """The outputs by name; a lone one is called `output`."""
        names = self.spec.get("inputs", ["input"])
        values = {name: (value,) for name, value in zip(names, inputs, strict=True)}
        scope = Scope(self, "", values, {})
        last = scope.run(self.spec["layers"], inputs)
        if "outputs" not in self.spec:
            (alone,) = last
            return {"output": alone}
        found = {
            name: scope.read(node)[0]
            for name, node in self.spec["outputs"].items()
            if self.training or node not in scope.training_only
        }
        return found if len(found) > 1 else {"output": next(iter(found.values()))}

    def parameters(self) -> list[nn.Parameter]:
        owned = {id(p): p for module in self.modules.values() for p in module.parameters()}
        owned.update((id(p), p) for p in self.tensors.values())
        return list(owned.values())


class Scope:
    """One list of nodes with its names. `path` is where its modules are kept."""

    def __init__(
        self, net: Eager, path: str, inputs: dict[str, Values], variables: dict[str, Any]
    ) -> None:
        self.net, self.path, self.variables = net, path, variables
        self.names: dict[str, Values] = dict(inputs)
        self.places: dict[str, tuple[str, Any]] = {}
        self.iterations: dict[str, list[Values]] = {}
        self.training_only: set[str] = set()
        self.before: Values = ()
        self.count = 0

    def run(self, nodes: Sequence[Any], values: Values) -> Values:
        self.names["input"] = values
        for node in nodes:
            values = self.node(node if isinstance(node, dict) else {node: None}, values)
        return values

    def read(self, reference: Any) -> Values:
        if reference == -1:
            return self.before
        name, bracket, index = reference.partition("[")
        if name == "-1":
            return self.before
        start, _, last = name.rpartition(".")
        if last == "*":
            numbered = {
                n[len(start) + 1 :]: v for n, v in self.names.items() if n.startswith(start)
            }
            found = self.iterations.get(start) or [numbered[n] for n in sorted(numbered, key=int)]
            return tuple(value for values in found for value in values)
        if name not in self.names:
            return self.iterations[start][int(last)]
        values = self.names[name]
        return (values[int(evaluate(index[:-1], None, self.variables))],) if bracket else values

    def node(self, node: dict[str, Any], values: Values) -> Values:
        self.before = values
        if "parallel" in node:
            return self.parallel(node, values)
        if "from" in node:
            values = self.reads(node["from"])
        if "when" in node and not evaluate(node["when"], values[0], self.variables):
            return self.instead(node, values) if "else" in node else values[:1]
        if node.keys() <= {"name", "from", "when", "else"}:
            self.names[node["name"]] = values
            return values
        if "repeat" in node:
            return self.repeat(node, values)
        self.count += 1
        place = f"{self.path}.{self.count}"
        return self.named(node, self.once(node, values, place, self.variables), place)

    def reads(self, stated: Any) -> Values:
        """What `from` names: one edge, a list, or inputs by name."""
        if isinstance(stated, dict):
            order = sorted(stated, key=["x", "y", "xs", "input", "other"].index)
            return tuple(value for name in order for value in self.reads(stated[name]))
        listed = stated if isinstance(stated, list) else [stated]
        return tuple(value for name in listed for value in self.read(name))

    def parallel(self, node: dict[str, Any], values: Values) -> Values:
        """Each element by itself, then what joins them."""
        self.count += 1
        place, name, outer = f"{self.path}.{self.count}", node.get("name", "{"), self.variables
        found: list[Values] = []
        for index, bound in enumerate(self.bound(node["parallel"], values)):
            self.variables = bound
            inner = place if "share" in node else f"{place}.{index}"
            found.append(self.element(node, values, inner))
            if "{" in name and "name" in node:
                self.names[name.replace("{index}", str(index))] = found[-1]
        self.variables = outer
        if not found:  # no element: the input passes
            self.names |= {} if "{" in name else {name: values[:1]}
            return values[:1]
        result = tuple(value for each in found for value in each)
        if "merge" in node:
            result = (merged(node["merge"], result),)
        if "{" not in name:
            self.names[name], self.iterations[name] = result, found
        return result

    def element(self, node: dict[str, Any], values: Values, place: str) -> Values:
        values = self.reads(node["from"]) if "from" in node else values
        if "when" in node and not evaluate(node["when"], values[0], self.variables):
            other = node.get("else")
            if other is None:
                return values[:1]
            if isinstance(other, list):
                return self.group(other, values, place, self.variables)
            if isinstance(other, str) or other.keys() == {"from"}:
                return self.reads(other if isinstance(other, str) else other["from"])
            node = other
        kept = {k: v for k, v in node.items() if k not in ("share", "merge", "when", "else")}
        return self.once(kept, values, place, self.variables)

    def bound(self, loop: Any, values: Values) -> list[dict[str, Any]]:
        """The variables of each iteration."""
        variable, items = next(iter(loop.items())) if isinstance(loop, dict) else ("index", loop)
        items = evaluate(items, values[0], self.variables)
        items = range(items) if isinstance(items, int) else items
        return [{**self.variables, "index": i, variable: item} for i, item in enumerate(items)]

    def instead(self, node: dict[str, Any], values: Values) -> Values:
        """What stands under `else`: an edge, values, a list of nodes or a node."""
        other = node["else"]
        if isinstance(other, str):
            other = {"from": other}
        if isinstance(other, list):
            other = {"layers": other}
        if other.keys() != {"from"}:
            return self.node({**{k: v for k, v in node.items() if k == "name"}, **other}, values)
        reads = other["from"] if isinstance(other["from"], list) else [other["from"]]
        result = tuple(value for name in reads for value in self.read(name))
        if "name" in node:
            self.names[node["name"]] = result
        return result

    def named(self, node: dict[str, Any], result: Values, place: str) -> Values:
        if "name" in node:
            index = str(self.variables.get("index"))
            name = node["name"].replace("{index}", index)
            assert name not in self.names
            self.names[name] = result
            self.places[name] = place, node
            if node.get("training_only"):
                self.training_only.add(name)
        return result

    def repeat(self, node: dict[str, Any], values: Values) -> Values:
        self.count += 1
        place, name = f"{self.path}.{self.count}", node.get("name", "{")
        found = self.iterate(node, values, place)
        if "{" not in name:
            self.names[name], self.iterations[name] = found[-1], found
            self.places[name] = place, node
        return found[-1]

    def iterate(self, node: dict[str, Any], values: Values, place: str) -> list[Values]:
        """What each iteration of a loop gives, whose modules are kept below `place`."""
        found: list[Values] = []
        shares = node.get("share") is True
        node = {k: v for k, v in node.items() if k != "share"} if shares else node
        for index, bound in enumerate(self.bound(node["repeat"], values)):
            inner = place if shares else f"{place}.{index}"
            if "name" not in node and "layers" in node:  # its nodes are read from this list
                scope = Scope(self.net, inner, {}, bound)
                values = scope.run(node["layers"], values)
                self.names |= {name: v for name, v in scope.names.items() if "." in name}
            else:
                values = self.once(node, values, inner, bound)
            found.append(values)
        return found

    def once(
        self, node: dict[str, Any], values: Values, place: str, variables: dict[str, Any]
    ) -> Values:
        """The node itself, applied to these values with its modules kept at `place`."""
        if "share" in node:
            place, node = self.places[node["share"]]
            if "repeat" in node:
                return self.iterate(node, values, place)[-1]
        if "layers" in node:
            (alone,) = values
            return self.group(node["layers"], (alone,), place, variables)
        if "branches" in node:
            return self.branches(node, values, place, variables)
        ((op, args),) = ((k, v) for k, v in node.items() if k not in NODE_KEYS)
        if op in ("add", "mul", "concat"):
            args = args if isinstance(args, dict) else {"inputs": args}
            given = self.reads(args["inputs"]) if args.get("inputs") else values
            number = (args["other"],) if "other" in args else ()
            return (merged(op, [*given, *number]),)
        if op in self.net.spec.get("blocks", {}):
            return self.block(self.net.spec["blocks"][op], args or {}, values, place, variables)
        if op == "$act":
            act, outer = variables["act"]
            if isinstance(act, list):
                return self.group(act, values, place, outer)
            return self.once(act if isinstance(act, dict) else {act: None}, values, place, outer)
        before = place in self.net.modules
        result = self.op(op, args, values, place, variables)
        if "parametrize" in node:
            if not before:
                computed(self.net.modules[place], node["parametrize"]["weight"], variables)
            return (self.net.modules[place](*values),)
        return self.weighted(node, place, values[0]) if "weights" in node else result

    def weighted(self, node: dict[str, Any], place: str, x: Tensor) -> Values:
        """A convolution with another's kernel, or with one that is computed."""
        module, edge = self.net.modules[place], node["weights"]["weight"]
        if edge.endswith(".weight"):
            module.weight = self.net.modules[self.places[edge[:-7]][0]].weight
            return (module(x),)
        (kernel,) = self.names[edge]
        return (nn.functional.conv2d(x, kernel, module.bias),)

    def group(
        self, nodes: Sequence[Any], values: Values, place: str, variables: dict[str, Any]
    ) -> Values:
        return Scope(self.net, place, {}, variables).run(nodes, values)

    def branches(
        self, node: dict[str, Any], values: Values, place: str, variables: dict[str, Any]
    ) -> Values:
        paths = node["branches"]
        named = paths.items() if isinstance(paths, dict) else enumerate(paths)
        results: list[Tensor] = []
        for key, nodes in named:
            # Names inside are never read outside in what is drawn, so each may be a scope.
            found = self.group(nodes, values, f"{place}.{key}", variables)
            if isinstance(key, str):
                self.names[key] = found
            (alone,) = found
            results.append(alone)
        return (merged(node["merge"], results),)

    def block(
        self,
        block: dict[str, Any],
        args: dict[str, Any],
        values: Values,
        place: str,
        variables: dict[str, Any],
    ) -> Values:
        inner: dict[str, Any] = {}
        if "levels" in block.get("params", {}):
            inner["levels"] = evaluate(args["levels"], values[0], variables)
        elif "params" in block:
            inner["size"] = evaluate(args["size"], values[0], variables)
            inner["act"] = (args["act"], variables) if "act" in args else ("relu", {})
        inputs = list(block.get("inputs", ["input"]))
        rest = inputs.pop()[:-3] if inputs[-1].endswith("...") else None
        if len(inputs) > len(values) or (len(inputs) < len(values) and rest is None):
            raise ValueError(f"{len(values)} values for {inputs}")
        given = {n: (v,) for n, v in zip(inputs, values, strict=False)}
        if rest is not None:
            given[rest] = inner[rest] = values[len(inputs) :]
        scope = Scope(self.net, place, given, inner)
        last = scope.run(block["layers"], values[:1])
        if "outputs" in block:
            return tuple(value for name in block["outputs"] for value in scope.read(name))
        return last

    def op(
        self, op: str, args: Any, values: Values, place: str, variables: dict[str, Any]
    ) -> Values:
        if op == "matmul":
            a, b = values
            return (a @ b,)
        (x,) = values
        if not isinstance(args, dict):
            args = {} if args is None else {PRIMARY[op]: args}
        args = {key: evaluate(value, x, variables, key) for key, value in args.items()}
        if op in ("residual", "dense", "transition", "vgg_block"):

            def layer(key: str, kind: str, value: Tensor, **options: Any) -> Tensor:
                return self.op(kind, options, (value,), f"{place}.{key}", {})[0]

            return (standard(op, args, x, layer),)
        if op == "chunk":
            return x.chunk(args["chunks"], args["dim"])
        if op == "permute":
            return (x.permute(args["dims"]),)
        if op == "to":
            return (
                x.to(torch.float32 if args["dtype"] == "float" else getattr(torch, args["dtype"])),
            )
        if op == "slice":
            return (x.narrow(args["dim"], 0, args["end"]),)
        if op == "reshape":
            return (x.reshape(x.shape[0], *args["shape"]),)
        if op == "parameter":
            if place not in self.net.tensors:
                self.net.tensors[place] = pattern(nn.Parameter(torch.empty(tuple(args["shape"]))))
            own = self.net.tensors[place]
            return (own.expand(len(x), *own.shape) if args.get("batch") else own,)
        if op == "constant":
            return (constant(args),)
        if place not in self.net.modules:
            module = made(op, args, x).train(self.net.training)
            fill(module)
            self.net.modules[place] = module
        return (self.net.modules[place](x),)


# --- the spec against this reading ---------------------------------------------------------------

BATCH_SIZES = (2, 3, 5)


def runs(spec: Mapping[str, Any]) -> str | None:
    """Runs the spec without archspec, in all the ways that count; what failed, if one did."""
    for training, batch in product((True, False), BATCH_SIZES):
        try:
            outputs = Eager(spec, training).run(*inputs(spec, batch))
        except (RuntimeError, ValueError, TypeError, LookupError) as error:
            return f"{type(error).__name__}: {error}"
        if any(value.shape[:1] != (batch,) for value in outputs.values()):
            return "an output without its batch"
    return None


def same_function(spec: Mapping[str, Any], arch: archspec.Architecture) -> None:
    """The emitted module computes what the second reading computes, in values and types."""
    net = arch.build()
    fill(net)
    eager, given_inputs = Eager(spec, training=False), inputs(spec, 3)
    with torch.no_grad():
        found, expected = net.eval()(*given_inputs), eager.run(*given_inputs)
    found = found if isinstance(found, dict) else {"output": found}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5, equal_nan=True)


def inputs(spec: Mapping[str, Any], batch: int) -> list[Tensor]:
    stated = spec["inputs"].values() if "inputs" in spec else [spec["input"]]
    return [drawn(each, batch) for each in stated]


def drawn(stated: Any, batch: int) -> Tensor:
    """Values of an input: floats at random, and of integers the greatest first."""
    stated = stated if isinstance(stated, dict) else {"shape": stated, "dtype": "float"}
    shape = (batch, *stated["shape"])
    if stated["dtype"] == "float":
        return torch.randn(shape, generator=torch.Generator().manual_seed(batch))
    below = stated.get("below", 2)
    numbers = (below - 1 - torch.arange(math.prod(shape))) % below
    return numbers.reshape(shape).to(getattr(torch, stated["dtype"]))
