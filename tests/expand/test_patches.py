"""Patches of shared modules, and any patches at all against a list that is patched by hand."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from listing import listing, write_files

import archspec
from archspec.ir.facts import facts

SHARING = """
input: [3, 4, 4]
layers:
  - {name: a, conv2d: {out_channels: 4, kernel_size: 1}}
  - {conv2d: {out_channels: $(in_channels * 2), kernel_size: 1}}
  - {name: g, layers: [{name: q, conv2d: {out_channels: 8, kernel_size: 1}}, relu]}
  - {name: h, share: g}
  - {conv2d: {out_channels: 8, kernel_size: 1}}
  - {share: '4'}
"""


@pytest.fixture
def sharing(tmp_path):
    """Loads a variant of a base that applies modules twice."""

    def load(text: str) -> archspec.Architecture:
        write_files(tmp_path, base=SHARING, variant="extends: base.yaml\n" + text)
        return archspec.load(tmp_path / "variant.yaml")

    return load


def test_a_node_sees_the_sizes_of_what_a_patch_puts_before_it(sharing):
    conv = "{conv2d: {out_channels: 6, kernel_size: 1}}"
    arch = sharing(f"patch: [{{insert_before: '1', with: {conv}}}, {{remove: h}}]\n")
    assert listing(arch)[1:3] == ["1 = conv2d(a) -> 6x4x4", "2 = conv2d(1) -> 12x4x4"]


def test_share_by_number_means_the_number_in_the_base(sharing):
    arch = sharing("patch: [{insert_before: '1', with: relu}, {insert_after: '4', with: tanh}]\n")
    rows = listing(arch)
    assert rows[1] == "1 = relu(a) -> 4x4x4"
    assert rows[-3:] == [
        "5 = conv2d(h) -> 8x4x4",
        "6 = tanh(5) -> 8x4x4",
        "7 = conv2d(6) -> 8x4x4 shares 5",
    ]
    replaced = sharing("patch: [{replace: '4', with: {linear: 4}}]\n")
    assert listing(replaced)[-1] == "5 = linear(4) -> 8x4x4 shares 4"


def test_a_patch_inside_a_shared_module_counts_wherever_it_is_applied(sharing):
    arch = sharing("patch: [{replace: g.1, with: tanh}, {insert_after: g.q, with: sigmoid}]\n")
    inside = [row.split(" ->")[0] for row in listing(arch) if row.startswith(("g.", "h."))]
    assert inside == [
        *("g.q = conv2d(input)", "g.1 = sigmoid(q)", "g.2 = tanh(1)"),
        *("h.q = conv2d(input)", "h.1 = sigmoid(q)", "h.2 = tanh(1)"),
    ]
    assert arch.verify(batch_sizes=(2,)).ok


@pytest.mark.parametrize(
    ("items", "help_"),
    [
        ("{remove: h.q}", "`share` takes its module from elsewhere: patch 'g.q'"),
        (
            "{replace: g, with: relu}, {remove: g.q}",
            "the patch at line 2 puts something else in the place of 'g': write the change there",
        ),
    ],
)
def test_a_path_that_cannot_be_patched_says_where_to(sharing, items, help_):
    with pytest.raises(archspec.SpecError) as raised:
        sharing(f"patch: [{items}]\n")
    assert [each.help for each in raised.value.diagnostics][-1] == help_


ACTIVATIONS = st.sampled_from(["relu", "tanh", "sigmoid", "gelu", "silu"])
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "insert_before": st.lists(ACTIVATIONS, min_size=1, max_size=2),
        "change": st.just("remove") | st.lists(ACTIVATIONS, min_size=1, max_size=2),
        "insert_after": st.lists(ACTIVATIONS, min_size=1, max_size=2),
    },
)


@st.composite
def patched_lists(draw):
    """A list of nodes, each `(name, op, the place of a second input or None)`, and patches of it
    by place: activations, and merges of the node before with another one or the input (-1)."""
    nodes = []
    for place in range(draw(st.integers(2, 6))):
        other = draw(st.none() | st.integers(-1, place - 2)) if place > 1 else None
        name = draw(st.sampled_from([str(place), f"n{place}"]))
        nodes.append((name, draw(ACTIVATIONS) if other is None else "add", other))
    patches = {place: draw(CHANGES) for place in draw(st.sets(st.integers(0, len(nodes) - 1)))}
    for place, changes in patches.items():
        if nodes[place][1] == "add" and changes.get("change", "remove") != "remove":
            del changes["change"]  # an activation cannot read what a merge reads
    return nodes, {place: changes for place, changes in patches.items() if changes}


def by_hand(nodes, patches) -> list[tuple[str, list[int]]]:
    """The ops of the patched list, and which of them (-1: the input) each of them reads."""
    made: list[tuple[str, list[int]]] = []
    results: list[int] = []

    def follow(ops, value: int) -> int:
        for op in ops:
            made.append((op, [value]))
            value = len(made) - 1
        return value

    for place, (_, op, other) in enumerate(nodes):
        changes = patches.get(place, {})
        before = follow(changes.get("insert_before", []), results[-1] if results else -1)
        change = changes.get("change")
        if change is None:
            also = [] if other is None else [other if other < 0 else results[other]]
            made.append((op, [before, *also]))
            before = len(made) - 1
        elif change != "remove":
            before = follow(change, before)
        results.append(follow(changes.get("insert_after", []), before))
    return made


@settings(max_examples=60)
@given(patched_lists())
def test_patches_give_the_list_that_one_would_write_by_hand(drawn):
    nodes, patches = drawn
    lines, items = [], []
    for name, op, other in nodes:
        read = "input" if other == -1 else other if other is None else nodes[other][0]
        before = nodes[len(lines) - 1][0]
        node = f"{op}: " if read is None else f"add: ['{before}', '{read}']"
        lines.append(f"{{{f'name: {name}, ' if name[0] == 'n' else ''}{node}}}")
    for place, changes in patches.items():
        for action, ops in changes.items():
            path = nodes[place][0]
            if ops == "remove":
                items.append(f"remove: '{path}'")
                continue
            action = "replace" if action == "change" else action
            new = ", ".join(f"{{{op}: }}" for op in ops)
            items.append(f"{{{action}: '{path}', with: [{new}]}}")
    with TemporaryDirectory() as folder:
        base = "input: [3]\nlayers:\n" + "".join(f"  - {line}\n" for line in lines)
        patch = "".join(f"\n  - {item}" for item in items) or " []"
        write_files(Path(folder), base=base, variant=f"extends: base.yaml\npatch:{patch}\n")
        expected = by_hand(nodes, patches)
        if not expected:
            with pytest.raises(archspec.SpecError, match="has no nodes that are read"):
                archspec.load(Path(folder) / "variant.yaml")
            return
        arch = archspec.load(Path(folder) / "variant.yaml")
    found = [(step.kind, [ref.step for ref in step.inputs]) for step in arch.graph.steps]
    assert found == expected
    again = archspec.loads(arch.expand())
    assert facts(again.graph) == facts(arch.graph)
