"""Variants: `extends`, `params` and `patch`, chains of them, and what goes wrong."""

from __future__ import annotations

import pytest
from listing import keys, listing, write_files

import archspec

BASE = """
input: [4, 8, 8]
doc: The base.
init: xavier_uniform
train: {lr: 0.1, epochs: 3}
params: {width: 4, wide: $(width * 2), act: relu}
blocks:
  res:
    layers:
      - {name: conv, conv2d: {out_channels: in_channels, kernel_size: 1}}
      - $act
      - add: ['1', input]
    params: {act: relu}
layers:
  - {name: stem, conv2d: {out_channels: width, kernel_size: 1}}
  - {name: body, repeat: 2, res: {act: $act}}
  - repeat: 2
    layers: [$act, {linear: wide}]
  - {name: fc, linear: 3}
"""

ROWS = [
    "stem = conv2d(input) -> 4x8x8",
    "body = group(stem) -> 4x8x8",
    "body.0 = res(input) -> 4x8x8",
    "body.0.conv = conv2d(input) -> 4x8x8",
    "body.0.1 = relu(conv) -> 4x8x8",
    "body.0.2 = add(1, input) -> 4x8x8",
    "body.1 = res(0) -> 4x8x8",
    "body.1.conv = conv2d(input) -> 4x8x8",
    "body.1.1 = relu(conv) -> 4x8x8",
    "body.1.2 = add(1, input) -> 4x8x8",
    "2 = relu(body) -> 4x8x8",
    "3 = linear(2) -> 4x8x8",
    "4 = relu(3) -> 4x8x8",
    "5 = linear(4) -> 4x8x8",
    "fc = linear(5) -> 4x8x3",
]


@pytest.fixture
def variant(tmp_path):
    """Loads a variant of the base."""

    def load(text: str) -> archspec.Architecture:
        write_files(tmp_path, base=BASE, variant="extends: base.yaml\n" + text)
        return archspec.load(tmp_path / "variant.yaml")

    return load


def patched(variant, *items: str) -> list[str]:
    return listing(variant("patch:\n" + "".join(f"  - {item}\n" for item in items)))


def changed(rows: list[str], *changes: tuple[str, list[str]]) -> list[str]:
    """The rows with some of them, by their path, replaced."""
    new = dict(changes)
    found = [row for old in rows for row in new.pop(old.split(" =")[0], [old])]
    assert not new
    return found


def test_a_variant_without_changes_is_the_base(variant):
    arch = variant("")
    assert listing(arch) == ROWS
    assert (arch.name, arch.doc, arch.init, arch.recipe) == (
        *("variant", "The base.", "xavier_uniform"),
        {"lr": 0.1, "epochs": 3},
    )


def test_a_bundled_spec_may_be_extended():
    arch = archspec.loads("extends: lenet_bn\nparams: {num_classes: 3}\n")
    assert arch.output_shape == ("N", 3)


def test_params_override_and_see_those_before_them(variant):
    arch = variant("params: {width: 6, wide: $(width - 1), act: tanh}\n")
    assert arch.params == {"width": 6, "wide": 5, "act": "tanh"}
    assert listing(arch)[0] == "stem = conv2d(input) -> 6x8x8"
    assert [row for row in listing(arch) if row.startswith(("2", "3"))] == [
        "2 = tanh(body) -> 6x8x8",
        "3 = linear(2) -> 6x8x5",
    ]


def test_the_callers_params_win(tmp_path):
    write_files(tmp_path, base=BASE, v="extends: base.yaml\nparams: {width: 6}\n")
    assert archspec.load(tmp_path / "v.yaml", {"width": 5}).params["width"] == 5


def test_name_doc_init_train_input_and_outputs_may_be_stated_anew(variant):
    arch = variant(
        "name: mine\ndoc: Mine.\ninit: orthogonal\ninput: [2, 4, 4]\n"
        "train: {lr: 1}\noutputs: {y: fc, z: stem}\n"
    )
    assert (arch.name, arch.doc, arch.init) == ("mine", "Mine.", "orthogonal")
    assert arch.recipe == {"lr": 1, "epochs": 3}
    assert arch.output_shape == {"y": ("N", 4, 4, 3), "z": ("N", 4, 4, 4)}


def test_replace_keeps_the_name_and_may_read_what_the_node_read(variant):
    assert patched(
        variant,
        "{replace: body.1.conv, with: {linear: in_features}}",
        "{replace: body.0.2, with: mul}",
    ) == changed(
        ROWS,
        ("body.1.conv", ["body.1.conv = linear(input) -> 4x8x8"]),
        ("body.0.2", ["body.0.2 = mul(1, input) -> 4x8x8"]),
    )  # fmt: skip


def test_replace_by_several_nodes(variant):
    rows = patched(variant, "{replace: '3', with: [{name: a, tanh}, {linear: wide + 1}]}")
    assert rows[10:] == [
        "2 = relu(body) -> 4x8x8",
        "a = tanh(2) -> 4x8x8",
        "4 = linear(a) -> 4x8x9",
        "5 = relu(4) -> 4x8x9",
        "6 = linear(5) -> 4x8x8",
        "fc = linear(6) -> 4x8x3",
    ]


def test_insert_before_and_after(variant):
    rows = patched(
        variant,
        "{insert_after: stem, with: batch_norm}",
        "{insert_after: stem, with: [tanh, sigmoid]}",
        "{insert_before: body, with: gelu}",
        "{insert_before: body.0.conv, with: silu}",
    )
    assert rows[:8] == [
        "stem = conv2d(input) -> 4x8x8",
        "1 = batch_norm(stem) -> 4x8x8",
        "2 = tanh(1) -> 4x8x8",
        "3 = sigmoid(2) -> 4x8x8",
        "4 = gelu(3) -> 4x8x8",
        "body = group(4) -> 4x8x8",
        "body.0 = res(input) -> 4x8x8",
        "body.0.0 = silu(input) -> 4x8x8",
    ]


def test_readers_by_name_see_what_is_inserted_after(tmp_path):
    write_files(
        tmp_path,
        base="input: [3]\nlayers: [{name: a, relu}, {name: b, tanh}, {add: [a, b]}]\n",
        v="extends: base.yaml\npatch: [{insert_after: a, with: {name: c, sigmoid}}]\n",
    )
    assert listing(archspec.load(tmp_path / "v.yaml")) == [
        "a = relu(input) -> 3",
        "c = sigmoid(a) -> 3",
        "b = tanh(c) -> 3",
        "3 = add(c, b) -> 3",
    ]


def test_a_node_inserted_before_a_merge_stands_in_its_first_input(variant):
    assert patched(variant, "{insert_before: body.0.2, with: [tanh]}")[5:7] == [
        "body.0.2 = tanh(1) -> 4x8x8",
        "body.0.3 = add(2, input) -> 4x8x8",
    ]


def test_remove_passes_the_input_through_and_numbers_close_up(variant):
    assert patched(variant, "{remove: '2'}", "{remove: body.1.1}") == [
        *ROWS[:8],
        # The base's `add: ['1', input]` reads what its number 1 read.
        "body.1.1 = add(conv, input) -> 4x8x8",
        "2 = linear(body) -> 4x8x8",
        "3 = relu(2) -> 4x8x8",
        "4 = linear(3) -> 4x8x8",
        "fc = linear(4) -> 4x8x3",
    ]


def test_numbers_in_the_base_are_the_bases_numbers(tmp_path):
    write_files(
        tmp_path,
        base="input: [3]\noutputs: {y: '2', z: '0'}\nlayers: [relu, tanh, {add: ['0', '1']}]\n",
        v="extends: base.yaml\npatch: [{insert_before: '0', with: sigmoid},"
        " {insert_after: '1', with: gelu}]\n",
        w="extends: v.yaml\noutputs: {y: '3'}\npatch: [{remove: '0'}]\n",
    )
    rows = [
        "0 = sigmoid(input) -> 3",
        "1 = relu(0) -> 3",
        "2 = tanh(1) -> 3",
        "3 = gelu(2) -> 3",
        "4 = add(1, 3) -> 3",
    ]
    arch = archspec.load(tmp_path / "v.yaml")
    assert listing(arch) == rows
    assert [ref.step for ref in arch.graph.outputs] == [4, 1]
    # `outputs` of the last one names its own numbers: the sum after the removal.
    arch = archspec.load(tmp_path / "w.yaml")
    assert listing(arch) == [
        "0 = relu(input) -> 3",
        "1 = tanh(0) -> 3",
        "2 = gelu(1) -> 3",
        "3 = add(0, 2) -> 3",
    ]


def test_a_removed_merge_passes_its_first_input_through(variant):
    assert patched(variant, "{remove: body.0.2}") == changed(ROWS, ("body.0.2", []))


def test_a_removed_name_stands_for_its_input(tmp_path):
    write_files(
        tmp_path,
        base="input: [3]\nlayers: [{name: a, relu}, {name: b, tanh}, {add: [a, b]}]\n",
        v="extends: base.yaml\npatch: [{remove: b}]\n",
    )
    assert listing(archspec.load(tmp_path / "v.yaml"))[1] == "1 = add(a, a) -> 3"


def test_paths_are_those_of_the_base_whatever_the_other_patches_do(variant):
    rows = patched(
        variant, "{insert_before: stem, with: tanh}", "{remove: '2'}",
        "{replace: '3', with: {linear: 7}}", "{replace: '5', with: {linear: 9}}",
    )  # fmt: skip
    assert [rows[0], *rows[11:]] == [
        "0 = tanh(input) -> 4x8x8",
        "3 = linear(body) -> 4x8x7",
        "4 = relu(3) -> 4x8x7",
        "5 = linear(4) -> 4x8x9",
        "fc = linear(5) -> 4x8x3",
    ]


def test_only_the_patched_call_of_a_block_changes(variant):
    arch = variant("patch: [{replace: body.1.1, with: tanh}]\n")
    assert listing(arch) == changed(ROWS, ("body.1.1", ["body.1.1 = tanh(conv) -> 4x8x8"]))
    assert arch.verify(batch_sizes=(2,)).ok


def test_a_chain_of_two_patches_the_paths_of_what_it_extends(tmp_path):
    middle = (
        "extends: base.yaml\nparams: {width: 6, wide: 6}\n"
        "patch:\n"
        "  - {insert_after: stem, with: batch_norm}\n"
        "  - {replace: body.0.1, with: {name: gate, layers: [tanh, sigmoid]}}\n"
        "  - {remove: '2'}\n"
    )
    # In the middle: stem, 1 = batch_norm, body, 3 = linear, 4 = relu, 5 = linear, fc.
    text = (
        "patch:\n"
        "  - {remove: '1'}\n"
        "  - {replace: '4', with: gelu}\n"
        "  - {insert_before: body.0.gate.1, with: silu}\n"
        "  - {insert_after: fc, with: flatten}\n"
    )
    last = "extends: middle.yaml\nparams: {width: 5}\n" + text
    write_files(tmp_path, base=BASE, middle=middle, last=last)
    rows = listing(archspec.load(tmp_path / "last.yaml"))
    assert [row for row in rows if not row.startswith("body.1")] == [
        "stem = conv2d(input) -> 5x8x8",
        "body = group(stem) -> 5x8x8",
        "body.0 = res(input) -> 5x8x8",
        "body.0.conv = conv2d(input) -> 5x8x8",
        "body.0.gate = group(conv) -> 5x8x8",
        "body.0.gate.0 = tanh(input) -> 5x8x8",
        "body.0.gate.1 = silu(0) -> 5x8x8",
        "body.0.gate.2 = sigmoid(1) -> 5x8x8",
        "body.0.2 = add(gate, input) -> 5x8x8",
        "2 = linear(body) -> 5x8x6",
        "3 = gelu(2) -> 5x8x6",
        "4 = linear(3) -> 5x8x6",
        "fc = linear(4) -> 5x8x3",
        "6 = flatten(fc) -> 120",
    ]


def test_the_last_value_of_a_chain_wins(tmp_path):
    write_files(
        tmp_path,
        a="input: [3]\nparams: {n: 1, m: 1}\nlayers: [{linear: n}, {linear: m}]\n",
        b="extends: a.yaml\nparams: {n: 2, m: 2}\ntrain: {lr: 1}\n",
        c="extends: b.yaml\nparams: {n: 3}\ntrain: {epochs: 2}\n",
    )
    arch = archspec.load(tmp_path / "c.yaml")
    assert (arch.params, arch.recipe) == ({"n": 3, "m": 2}, {"lr": 1, "epochs": 2})


def test_a_variants_own_blocks_serve_its_patches(variant):
    arch = variant("blocks: {mine: {layers: [tanh]}}\npatch: [{replace: fc, with: mine}]\n")
    assert listing(arch)[-2:] == ["fc = mine(5) -> 4x8x8", "fc.0 = tanh(input) -> 4x8x8"]


def test_patched_nodes_see_the_parameters_of_the_list_they_join(variant):
    rows = patched(
        variant, "{replace: body.0.1, with: $act}", "{replace: '3', with: {linear: wide * 2}}"
    )
    assert rows[4] == ROWS[4]
    assert rows[11] == "3 = linear(2) -> 4x8x16"


def test_keys_of_a_variant_are_as_near_to_the_bases_as_can_be(variant):
    arch = variant("patch: [{replace: body.0.1, with: tanh}, {remove: '5'}]\n")
    assert keys(arch) == [
        f"{path}.{part}"
        for path in ("stem", "body.0.conv", "body.1.conv", "3", "fc")
        for part in ("weight", "bias")
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "patch: [{remove: body.2.conv}]",
            "{}:2:18: error AS603: the base has no node at 'body.2.conv'\n"
            "  2 | patch: [{remove: body.2.conv}]\n"
            "    |                  ^^^^^^^^^^^\n"
            "  expected: a path as `archspec compile BASE --summary` prints it\n"
            "  help: did you mean 'body.1.conv'?",
        ),
        (
            "patch: [{remove: stem}, {replace: stem, with: relu}]",
            "{}:2:35: error AS603: the node at 'stem' is replaced or removed twice\n"
            "  2 | patch: [{remove: stem}, {replace: stem, with: relu}]\n"
            "    |                                   ^^^^",
        ),
        (
            "patch: [{remove: stem, with: relu}]",
            "{}:2:10: error AS603: `remove` takes no `with`\n"
            "  2 | patch: [{remove: stem, with: relu}]\n"
            "    |          ^^^^^^",
        ),
        (
            "patch: [{replace: stem}]",
            "{}:2:10: error AS603: `replace` needs `with: NODE`\n"
            "  2 | patch: [{replace: stem}]\n"
            "    |          ^^^^^^^",
        ),
        (
            "patch: [{add: stem}]",
            "{}:2:9: error AS603: a patch is a mapping with one of replace, insert_before, "
            "insert_after, remove\n"
            "  2 | patch: [{add: stem}]\n"
            "    |         ^^^^^^^^^^^\n"
            "  expected: {replace: PATH, with: NODE}, {remove: PATH}, …\n"
            "  help: write `insert_after:`",
        ),
        (
            "params: {widht: 3}",
            "{}:2:10: error AS305: the spec has no parameter 'widht'\n"
            "  2 | params: {widht: 3}\n"
            "    |          ^^^^^\n"
            "  expected: one of width, wide, act\n"
            "  help: did you mean 'width'?",
        ),
        (
            "layers: [relu]",
            "{}:2:1: error AS602: a spec that extends another has no `layers` of its own\n"
            "  2 | layers: [relu]\n"
            "    | ^^^^^^\n"
            "  help: change the base with `params:` and `patch:`, or remove `extends:`",
        ),
    ],
)
def test_wrong_variants(variant, tmp_path, text, message):
    with pytest.raises(archspec.SpecError) as raised:
        variant(text + "\n")
    assert str(raised.value) == message.replace("{}", str(tmp_path / "variant.yaml"), 1)


def test_a_mistake_of_a_patch_is_shown_in_the_patch(variant, tmp_path):
    with pytest.raises(archspec.SpecError) as raised:
        variant("patch: [{replace: fc, with: {max_pool2d: 99}}]\n")
    assert str(raised.value).startswith(
        f"{tmp_path / 'variant.yaml'}:2:30: error AS401: max_pool2d: the window of 99 does not fit"
    )


def test_wrong_bases(tmp_path):
    def said(text: str) -> str:
        write_files(tmp_path, v=text)
        with pytest.raises(archspec.SpecError) as raised:
            archspec.load(tmp_path / "v.yaml")
        return raised.value.diagnostics[0].message

    write_files(tmp_path, w="extends: v.yaml\n")
    assert said("extends: nothing\n") == (
        "there is no file 'nothing', and no bundled spec of that name"
    )
    assert said("extends: w.yaml\n") == "'w.yaml' extends, in the end, itself"
    assert said("input: [3]\nlayers: [relu]\npatch: [{remove: '0'}]\n") == (
        "`patch` changes a base, and this spec extends none"
    )


def test_a_parameter_is_used_where_any_file_of_the_chain_reads_it(tmp_path):
    (tmp_path / "base.yaml").write_text(
        "input: [4]\nparams: {width: 3, hidden: 5, size: 6, idle: 1}\n"
        "layers:\n  - {name: a, linear: width}\n"
    )
    variant = (
        "extends: base.yaml\ninput: [size]\n"
        "patch: [{insert_after: a, with: {linear: hidden}}]\nparams: {size: 7}\n"
    )
    arch = archspec.loads(variant, folder=tmp_path)
    assert arch.input_shape == ("N", 7)
    assert [w.message for w in arch.warnings] == ["nothing in the spec uses the parameter 'idle'"]
    assert len(archspec.load(tmp_path / "base.yaml").warnings) == 3


def test_outputs_of_a_variant_may_compute_names_with_the_bases_parameters(tmp_path):
    write_files(
        tmp_path,
        base="input: [3]\nparams: {last: 2}\nlayers:\n"
        "- {repeat: last, name: 'n{index + 1}', relu}\n- {linear: 5}\n",
        variant="extends: base.yaml\nparams: {last: 4}\noutputs: ['n{last - 1}']\n",
    )
    arch = archspec.load(tmp_path / "variant.yaml")
    assert [layer.path for layer in arch.layers] == ["n1", "n2", "n3"]
