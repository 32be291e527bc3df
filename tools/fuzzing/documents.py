"""The second fuzzer: documents. What is accepted must summarise, expand, read back and build."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from typing import Any

import archspec
from archspec.diagnostics import fix
from archspec.diagnostics.diagnostic import Diagnostic, Source
from archspec.ir.graph import walk
from fuzzing import corpus
from fuzzing.oracle import described, diagnostics_findings, outcome
from fuzzing.sandbox import Case, Verdict
from fuzzing.trees import Pairs, Raw, Slot, depth, slots, tree, write

DEEPEST = 300
"""Levels of a mutant. The language allows 100, and still more would show nothing new."""

MOST_NODES = 3_000
"""Nodes of a network that is summarised and built. More would show nothing new."""


def cases(rng: random.Random) -> Iterator[Case]:
    """Mutants of the corpus, for ever."""
    while True:
        name, seed = rng.choice(corpus.trees())
        document = tree(seed)
        done = []
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
            mutate = rng.choice(MUTATIONS)
            mutate(document, rng)
            done.append(mutate.__name__[1:])
        if depth(document) > DEEPEST:
            continue
        text = write(document).encode("utf-8", "replace")
        yield Case(text, f"{name}: {', '.join(done)}")


def prepare() -> None:
    """Import torch and fill caches, so that no case pays for that."""
    archspec.load("lenet_bn").build(device="meta")


def check(case: Case) -> Verdict:
    """The whole static path, and the module without memory."""
    text = case.text.decode()
    try:
        arch = archspec.loads(text)
    except archspec.SpecError as error:
        found = diagnostics_findings(error.diagnostics) + _fix_findings(text, error)
        return Verdict(outcome(error), found)
    found = diagnostics_findings(arch.warnings) if arch.warnings else []
    if len(list(islice(walk(arch.graph), MOST_NODES + 1))) > MOST_NODES:
        return Verdict("accepted, large", found)
    str(arch.summary())
    str(arch.summary(depth=1, batch_size=3))
    expanded = arch.expand()
    again = archspec.loads(expanded)
    if described(again.graph) != described(arch.graph):
        found.append("expand: reads back as another graph")
    said = [(a.num_parameters, a.macs, a.name, a.doc, a.init, a.recipe) for a in (arch, again)]
    if said[0] != said[1]:
        found.append("expand: reads back with other costs, or another head")
    if again.expand() != expanded:
        found.append("expand: twice is not once")
    net = arch.build(device="meta")
    if sum(p.numel() for p in net.parameters()) != arch.num_parameters:
        found.append("build: another number of parameters")
    return Verdict("accepted", found)


def _fix_findings(text: str, error: archspec.SpecError) -> list[str]:
    """Edits must apply, and the text that they leave must get an answer again."""
    if not any(each.edits for each in error.diagnostics):
        return []

    def mistakes(source: Source) -> tuple[Diagnostic, ...]:
        try:
            return archspec.loads(source.text).warnings
        except archspec.SpecError as again:
            return again.diagnostics

    fix.fixed(Source("<text>", text), mistakes)
    return []


# Mutations ----------------------------------------------------------------------------------------


def _pick(document: Any, rng: random.Random) -> Slot | None:
    found = list(slots(document))
    return rng.choice(found) if found else None


def _delete(document: Any, rng: random.Random) -> None:
    if slot := _pick(document, rng):
        del slot.holder[slot.at]


def _duplicate(document: Any, rng: random.Random) -> None:
    if slot := _pick(document, rng):
        copies = [tree(slot.holder)[slot.at] for _ in range(rng.choice((1, 1, 3)))]
        slot.holder[slot.at : slot.at] = copies


def _rename(document: Any, rng: random.Random) -> None:
    found = [slot for slot in slots(document) if slot.key is not None]
    if found:
        slot = rng.choice(found)
        words = rng.choice((corpus.keys(), corpus.NAMES, ("$norm", "$act", "relu ", "Conv2d")))
        slot.holder[slot.at] = [rng.choice(words), slot.value]


def _swap(document: Any, rng: random.Random) -> None:
    found = list(slots(document))
    if len(found) > 1:
        a, b = rng.sample(found, 2)
        one, other = tree(a.value), tree(b.value)
        a.set(other)
        b.set(one)


def _swap_entries(document: Any, rng: random.Random) -> None:
    if slot := _pick(document, rng):
        rng.shuffle(slot.holder)


def _hostile(document: Any, rng: random.Random) -> None:
    scalars = [slot for slot in slots(document) if not isinstance(slot.value, list)]
    if scalars:
        rng.choice(scalars).set(_scalar(rng))


def _anywhere(document: Any, rng: random.Random) -> None:
    if slot := _pick(document, rng):
        slot.set(_scalar(rng))


def _scalar(rng: random.Random) -> Any:
    return rng.choice(rng.choice((corpus.VALUES, corpus.EXPRESSIONS, corpus.NAMES)))


def _small_change(document: Any, rng: random.Random) -> None:
    """Change a number a little, or put something before or behind a text."""
    scalars = [slot for slot in slots(document) if isinstance(slot.value, int | str)]
    if not scalars:
        return
    slot = rng.choice(scalars)
    if isinstance(slot.value, str):
        extra = rng.choice(("$", "{index}", "[0]", " ", "'", "(", "+ 1", "_", ".0", "\n", "é"))
        slot.set(rng.choice((slot.value + extra, extra + slot.value, slot.value[1:])))
    else:
        slot.set(slot.value + rng.choice((-2, -1, 1, 2, 0.5)))


def _nest(document: Any, rng: random.Random) -> None:
    if slot := _pick(document, rng):
        value = slot.value
        depth = rng.choice((1, 1, 1, 2, 5, 59, 61, 99, 101, 150))
        for _ in range(depth):
            value = rng.choice(([value], Pairs([["layers", [value]]]), Pairs([["a", value]])))
        slot.set(value)


def _groups(document: Any, rng: random.Random) -> None:
    """Put a node into many groups, just below or above the limit of depth."""
    nodes = _nodes(document)
    if nodes:
        slot = rng.choice(nodes)
        value = slot.value
        for _ in range(rng.choice((1, 2, 20, 44, 45, 48, 58, 59, 60, 61))):
            value = Pairs([["layers", [value]]])
        slot.set(value)


def _node(document: Any, rng: random.Random) -> None:
    nodes = _nodes(document)
    if nodes:
        slot = rng.choice(nodes)
        slot.holder.insert(slot.at, tree(rng.choice(corpus.LIMIT_NODES)))


def _node_key(document: Any, rng: random.Random) -> None:
    nodes = _nodes(document)
    if not nodes:
        return
    slot = rng.choice(nodes)
    if not isinstance(slot.value, Pairs):
        slot.set(Pairs([[slot.value, None]]))
    key = rng.choice(corpus.NODE_KEYS)
    loops = (2, 3, "[1, 2]", 10**6, Pairs([["i", [1, 2]]]))
    values = {
        "repeat": loops,
        "parallel": loops,
        "when": (False, "index == 0", "in_channels > 4"),
        "training_only": (True, "$x"),
        "trainable": (False, "index > 0", "$x"),
        "else": ("input", [], ["relu"], Pairs([["relu", None]]), Pairs([["from", ["a", "-1"]]])),
        "from": (-1, "a.0", "a.*", "xs[i]", Pairs([["x", "a"], ["xs", ["a", "b"]]])),
        "share": (True, "a"),
        "keys": ("both",),
        "weights": tuple(Pairs([["weight", each]]) for each in ("a", "a.weight", "k")),
        "parametrize": tuple(
            Pairs([["weight", each]])
            for each in (
                "weight_norm",
                "spectral_norm",
                Pairs([["weight_norm", Pairs([["dim", 1]])]]),
            )
        ),
        "merge": ("add", "concat", Pairs([["linear", 4]])),
    }
    value = rng.choice((*values.get(key, ("input", "a", "0", "a{index}", "1")), _scalar(rng)))
    slot.value.append([key, value])


def _top(document: Any, rng: random.Random) -> None:
    if isinstance(document, Pairs):
        key, value = rng.choice(corpus.TOP_VALUES)
        kept = [pair for pair in document if pair[0] != key or rng.random() < 0.05]
        document[:] = [*kept, [key, tree(value)]]
        if key == "extends" and rng.random() < 0.8:
            document[:] = [p for p in document if p[0] not in ("layers", "input", "blocks")]


def _graft(document: Any, rng: random.Random) -> None:
    """Put in a part of another document."""
    slot, other = _pick(document, rng), _pick(rng.choice(corpus.trees())[1], rng)
    if slot and other:
        slot.set(tree(other.value))


def _alias(document: Any, rng: random.Random) -> None:
    """Put an anchor on one value and an alias elsewhere, sometimes inside that value."""
    found = list(slots(document))
    if len(found) > 1:
        a, b = rng.sample(found, 2)
        if not isinstance(a.value, list):
            a.set(Raw(f"&z {_plain(a.value)}"))
            b.set(Raw("*z"))


def _plain(value: Any) -> str:
    return str(value) if str(value).isalnum() else "relu"


def _nodes(document: Any) -> list[Slot]:
    """The elements of lists under `layers`."""
    lists = [s.value for s in slots(document) if s.key in ("layers", "branches", "with")]
    return [
        Slot(holder, index)
        for holder in lists
        if isinstance(holder, list) and not isinstance(holder, Pairs)
        for index in range(len(holder))
    ]


MUTATIONS = (
    *(_delete, _duplicate, _rename, _swap, _swap_entries, _hostile, _hostile, _anywhere),
    *(_small_change, _small_change, _nest, _groups, _node, _node, _node_key, _node_key, _top),
    *(_top, _graft, _alias),
)
