"""The third fuzzer: networks. The static verdict on a mutant is held against real runs."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any
from unittest.mock import patch

import archspec
from archspec.diagnostics.diagnostic import Code, Refusal, SpecError
from archspec.ir.infer import check_types, output_types
from archspec.ir.op import REGISTRY, Op
from archspec.ir.shape import N, Shape
from archspec.ir.types import ValueType
from fuzzing import networks
from fuzzing.oracle import outcome
from fuzzing.sandbox import Case, Verdict
from fuzzing.trees import Pairs, Slot, slots, tree, write

FITTED = frozenset(
    ("groups", "num_groups", "num_heads", "kernel_size", "dilation", "dim", "group_norm")
)
FITTED_LISTS = frozenset(("reshape", "shape", "permute", "dims", "kernel_size", "output_size"))
"""Arguments whose numbers must suit the input."""


def cases(rng: random.Random) -> Iterator[Case]:
    """Mutants of the seeds, for ever. Few are of bundled specs, which take longest to run."""
    kinds = networks.seeds(rng.randrange(2**32))
    while True:
        name, text = rng.choice(rng.choices(kinds, (1, 3, 2))[0])
        network = networks.document(text)
        if network is None:
            continue
        document = tree(network)
        done = []
        for _ in range(rng.choice((1, 2, 3, 3))):
            mutate = rng.choice(MUTATIONS)
            mutate(document, rng)
            done.append(mutate.__name__[1:])
        yield Case(write(document).encode(), f"{name}: {', '.join(done)}")


# Mutations ----------------------------------------------------------------------------------------


def _size(document: Any, rng: random.Random) -> None:
    """A number a little or much different."""
    found = [slot for slot in _numbers(document) if slot.key != "archspec"]
    if found:
        slot = rng.choice(found)
        slot.set(_other(slot.value, rng))


def _other(value: int, rng: random.Random) -> int:
    near = (value - 2, value - 1, value + 1, value + 2, 2 * value, value // 2, 3 * value)
    return rng.choice((*near, *near, rng.randint(1, 9), -1, 0, 1))


def _argument(document: Any, rng: random.Random) -> None:
    """An argument that the op has, given anew: kernel, stride, padding, groups, dim and so on."""
    nodes = [
        (slot, position)
        for slot in _nodes(document)
        if isinstance(slot.value, Pairs)
        for position, (key, _) in enumerate(slot.value)
        if key in REGISTRY
    ]
    if not nodes:
        return
    slot, position = rng.choice(nodes)
    key, value = slot.value[position]
    kind = REGISTRY[key]
    fields = [name for name in kind.fields() if name not in ("eps", "momentum", "init")]
    if not fields:
        return
    if not isinstance(value, Pairs):
        primary = "inputs" if kind.variadic else kind.primary
        value = Pairs([[primary, value]] if value is not None and primary else [])
    name = rng.choice(fields)
    kept = [pair for pair in value if pair[0] != name]
    slot.value[position] = [key, Pairs([*kept, [name, _value(kind, name, rng)]])]


def _value(kind: type[Op], name: str, rng: random.Random) -> Any:
    words = str(kind.fields()[name].annotation)
    if "bool" in words and rng.random() < 0.8:
        return rng.choice((True, False))
    if "Literal" in words and "same" in words and rng.random() < 0.3:
        return rng.choice(("same", "valid"))
    if "tuple" in words and rng.random() < 0.3:
        return [rng.randint(-1, 4) for _ in range(rng.choice((1, 2, 2, 2, 3)))]
    return rng.choice((0, 1, 1, 2, 2, 3, 4, 5, 6, 8, -1, -2, 0.5))


def _misfit(document: Any, rng: random.Random) -> None:
    """A number that must fit others, made one that seldom does."""
    found = [slot for slot in _numbers(document) if slot.key in FITTED]
    found += [
        s for slot in slots(document) if slot.key in FITTED_LISTS for s in _numbers(slot.value)
    ]
    if found:
        rng.choice(found).set(rng.choice((3, 4, 5, 7, 9, 11, 13)))


def _numbers(document: Any) -> list[Slot]:
    return [slot for slot in slots(document) if type(slot.value) is int]


def _drop(document: Any, rng: random.Random) -> None:
    nodes = _nodes(document)
    if len(nodes) > 1:
        slot = rng.choice(nodes)
        del slot.holder[slot.at]


def _repeat_node(document: Any, rng: random.Random) -> None:
    if nodes := _nodes(document):
        slot = rng.choice(nodes)
        copy = tree(slot.value)
        if isinstance(copy, Pairs):
            copy[:] = [pair for pair in copy if pair[0] != "name"]
        slot.holder.insert(slot.at, copy)


def _exchange(document: Any, rng: random.Random) -> None:
    nodes = _nodes(document)
    if len(nodes) > 1:
        a, b = rng.sample(nodes, 2)
        if b.value not in list(slots(a.value)) and a.value not in list(slots(b.value)):
            one, other = tree(a.value), tree(b.value)
            a.set(other)
            b.set(one)


def _edge(document: Any, rng: random.Random) -> None:
    """A node reads another one than it did."""
    nodes = _nodes(document)
    if not nodes:
        return
    slot = rng.choice(nodes)
    names = ["input", *map(str, range(max(slot.at, 1)))]
    names += [str(v[1]) for s in nodes if s.holder is slot.holder and isinstance(s.value, Pairs)
              for v in s.value if v[0] == "name"]  # fmt: skip
    merges = [s for s in slots(slot.value) if s.key in ("add", "mul", "concat", "from", "inputs")]
    if merges:
        read = rng.choice(merges)
        if isinstance(read.value, list) and not isinstance(read.value, Pairs) and read.value:
            read.value[rng.randrange(len(read.value))] = rng.choice(names)
        elif isinstance(read.value, str):
            read.set(rng.choice(names))
        return
    if not isinstance(slot.value, Pairs):
        slot.set(Pairs([[slot.value, None]]))
    slot.value[:] = [p for p in slot.value if p[0] != "from"] + [["from", rng.choice(names)]]


def _insert(document: Any, rng: random.Random) -> None:
    """A further op, with the arguments of one of its examples."""
    if nodes := _nodes(document):
        slot = rng.choice(nodes)
        slot.holder.insert(slot.at, _some_op(rng))


def _replace(document: Any, rng: random.Random) -> None:
    if nodes := _nodes(document):
        slot = rng.choice(nodes)
        new = _some_op(rng)
        if isinstance(slot.value, Pairs):
            new = Pairs([*new, *[p for p in slot.value if p[0] in ("name", "from")]])
        slot.set(new)


def _key(document: Any, rng: random.Random) -> None:
    """A node stands several times, in a chain or side by side, or only under a condition."""
    nodes = _nodes(document)
    if not nodes:
        return
    slot = rng.choice(nodes)
    if not isinstance(slot.value, Pairs):
        slot.set(Pairs([[slot.value, None]]))
    added: list[list[Any]] = rng.choice(
        (
            [["repeat", 2]],
            [["repeat", 2], ["share", True]],
            [["parallel", 2], ["merge", rng.choice(("add", "concat"))]],
            [["parallel", 2], ["share", True], ["merge", "mul"]],
            [["parallel", 3], ["when", "index != 1"], ["else", "input"], ["merge", "add"]],
            [["when", False], ["else", rng.choice(("input", ["relu"], Pairs([["relu", None]])))]],
            [["trainable", False]],
            [["parametrize", Pairs([["weight", rng.choice(("weight_norm", "spectral_norm"))]])]],
        )
    )
    words = [key for key, _ in added]
    slot.value[:] = [*[pair for pair in slot.value if pair[0] not in words], *added]


def _some_op(rng: random.Random) -> Pairs:
    name = rng.choice([n for n, kind in sorted(REGISTRY.items()) if kind.examples])
    kind = REGISTRY[name]
    example = rng.choice(kind.examples)
    if kind.variadic:
        return Pairs([[name, tree({"inputs": ["input", "input"], **example.args})]])
    return Pairs([[name, tree(dict(example.args)) or None]])


def _nodes(document: Any) -> list[Slot]:
    lists = [s.value for s in slots(document) if s.key == "layers"]
    lists += [b for s in slots(document) if s.key == "branches" for b in _paths(s.value)]
    return [
        Slot(holder, index)
        for holder in lists
        if isinstance(holder, list) and not isinstance(holder, Pairs)
        for index in range(len(holder))
    ]


def _paths(branches: Any) -> list[Any]:
    return [pair[1] for pair in branches] if isinstance(branches, Pairs) else list(branches)


MUTATIONS = (
    *(_size, _size, _argument, _argument, _argument, _drop, _repeat_node),
    *(
        _misfit,
        _misfit,
        _misfit,
        _misfit,
        _exchange,
        _exchange,
        _edge,
        _edge,
        _insert,
        _key,
        _key,
        _replace,
        _replace,
    ),
)


# The check ----------------------------------------------------------------------------------------


class TooLarge(Exception):
    """A mutant that this machine cannot run, so that it shows nothing."""


def prepare() -> None:
    """Imports torch: no case should pay for that."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    archspec.load("lenet_bn").verify()


def check(case: Case) -> Verdict:
    """Accepted, the module runs as stated; refused by a shape rule, torch cannot run it."""
    text = case.text.decode()
    try:
        arch = archspec.loads(text)
    except SpecError as error:
        return _refused(text, error)
    if networks.is_large(arch) or arch.summary(batch_size=5).activation_bytes > 2**30:
        return Verdict("accepted, too large to run")
    report = arch.verify()
    found = [f"accepted: {m.path}: {m.what}: static {m.static}, real {m.real}"
             for m in report.mismatches[:3]]  # fmt: skip
    if any("allocate memory" in each for each in found):
        return Verdict("accepted, too large to run")
    return Verdict("accepted", found)


def _refused(text: str, error: SpecError) -> Verdict:
    """Where a rule of shapes alone refused nodes, torch must fail at each of them."""
    from archspec.testing.contract import RULES

    kind = outcome(error)
    if kind != "refused by a shape rule":
        return Verdict(kind)
    try:
        failing = eager_failures(text)
    except TooLarge:
        return Verdict("refused, too large to run")
    found = [
        f"refused, and torch runs it: {each.code} {each.message}"
        for each in error.diagnostics
        if each.code not in RULES and each.span not in failing
    ]
    if not found and not any(each.code in RULES for each in error.diagnostics):
        stated = {each.span for each in error.diagnostics}
        found += [f"accepted, and torch fails: {what}" for span, what in failing.items()
                  if span not in stated]  # fmt: skip
    return Verdict(kind, found)


def eager_failures(text: str) -> dict[Any, str]:
    """The places at which a network fails that is executed eagerly, node by node, without rules.

    Each node is built and run with torch at every batch size in both modes, and the shapes that
    come out, not those that a rule states, are what the next node reads.
    """
    # Trials of other inputs and arguments are left out: they only look for help. So are warnings,
    # which are about shapes that the rules accept.
    with (
        patch("archspec.expand.expansion.Expansion._infer", _run),
        patch("archspec.expand.program.MAX_NODES", -1),
        patch("archspec.expand.other_arguments.MOST", 0),
        patch("archspec.analyses.lint.MAX_RUNS", -1),
    ):
        try:
            archspec.loads(text)
        except SpecError as error:
            # Other rules of the language are not what is asked about.
            torchs = (Code.SHAPE, Code.MIXES_BATCH)
            return {each.span: each.message for each in error.diagnostics if each.code in torchs}
    return {}


def _run(
    _: object, op: Op, inputs: Sequence[Shape], types: Sequence[ValueType], names: object
) -> tuple[Op, tuple[Shape, ...], tuple[ValueType, ...]]:
    """In the place of a rule: shapes as torch makes them. Raises `Refusal` where it fails."""
    from archspec.testing.contract import BATCH_SIZES, FAILURES, OpCase, real_call

    check_types(op, types)
    seen = []
    for batch, training in product(BATCH_SIZES, (True, False)):
        try:
            run = real_call(
                OpCase(op, tuple(inputs), tuple(types)), batch, training, requires_grad=False
            )
        except FAILURES as error:
            if "allocate memory" in str(error):
                raise TooLarge from None
            raise Refusal(f"{type(error).__name__}: {str(error)[:200]}") from None
        seen.append((batch, [y.shape for y in run.outputs]))
    outputs = tuple(
        _without_batch([(batch, shapes[i]) for batch, shapes in seen])
        for i in range(len(seen[0][1]))
    )
    return op, outputs, output_types(op, inputs, types, len(outputs))


def _without_batch(seen: Sequence[tuple[int, tuple[int, ...]]]) -> Shape:
    """One shape for all batch sizes, with N where it is the batch."""
    if all(shape and shape[0] == batch for batch, shape in seen):
        found = {(N, *shape[1:]) for _, shape in seen}
    else:
        found = {shape for _, shape in seen}
    if len(found) > 1:
        raise Refusal("the batch is mixed into another axis", code=Code.MIXES_BATCH)
    return found.pop()
