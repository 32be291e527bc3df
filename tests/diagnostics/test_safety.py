"""Any bytes give a result or a `SpecError`, soon; no spec reads outside its folder or runs code."""

from __future__ import annotations

import os
import time
import tracemalloc
from pathlib import Path

import pytest
import torch

import archspec
from archspec import Limits, SpecError


def codes(error: SpecError) -> set[str]:
    return {str(diagnostic.code) for diagnostic in error.diagnostics}


def refused(text: str, **more: object) -> SpecError:
    with pytest.raises(SpecError) as raised:
        archspec.loads(text, **more)
    return raised.value


# --- bytes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "AS201"),
        (b"\xef\xbb\xbf", "AS201"),
        (b"input: [3]\nname: \xff\n", "AS102"),
        (b"\xc3\x28", "AS102"),
        (b"\xff\xfei\x00n\x00", "AS102"),
        (b"input: [3]\x00\nlayers: [relu]\n", "AS102"),
        (b"\x00" * 1000, "AS102"),
        (bytes(range(256)), "AS102"),
        (b"%YAML 2.0\n---\ninput: [3]\n", "AS101"),
        (b"\x85\xe2\x80\xa8", "AS102"),
        (b"input: [3]\rlayers: [rellu]\r", "AS204"),
        (b"&" * 5000, "AS101"),
        (b"? " * 5000, "AS701"),
        (b"- " * 5000, "AS701"),
        (b"[" * 100_000, "AS701"),
        (b"{a: " * 100_000, "AS701"),
        (b'"' + b"\\x41" * 100 + b'"', "AS201"),
    ],
)
def test_bytes(data, code, tmp_path):
    path = tmp_path / "net.yaml"
    path.write_bytes(data)
    with pytest.raises(SpecError) as raised:
        archspec.load(path)
    assert codes(raised.value) == {code}
    assert str(raised.value)  # the text can be made, whatever the place is


def test_a_file_of_100_mb_is_not_read(tmp_path):
    path = tmp_path / "net.yaml"
    with path.open("wb") as file:
        file.truncate(100_000_000)  # a sparse file: it takes no room
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(SpecError) as raised:
        archspec.load(path)
    assert time.perf_counter() - start < 1
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    assert codes(raised.value) == {"AS701"}
    assert "(text_bytes)" in str(raised.value)


@pytest.mark.parametrize("what", ["folder", "missing", "loop", "name"])
def test_what_is_no_file(what, tmp_path):
    path = tmp_path / "net.yaml"
    if what == "folder":
        path.mkdir()
    elif what == "loop":
        path.symlink_to(path)
    elif what == "name":
        path = tmp_path / "net\0.yaml"
    with pytest.raises(SpecError) as raised:
        archspec.load(path)
    assert codes(raised.value) == {"AS601"}


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        (f"{'k' * 1_000_000}: 1\n", "scalar_length"),
        (f"input: [3]\nlayers: [{'x' * 1_000_000}]\n", "scalar_length"),
        (f"input: [3]\nlayers: [{{linear: {'1 + ' * 1000}1}}]\n", "expression_length"),
        (f"input: [3]\nlayers: [{{linear: '{'-' * 100}1'}}]\n", "expression_depth"),
        ("input: [3]\nlayers: [{linear: 'len([0] * 10**9)'}]\n", "list_length"),
        (
            "input: [3]\nlayers: [{linear: 'len([len(range(99999)) for x in range(99999)])'}]\n",
            "evaluation_steps",
        ),
        ("input: [3]\nlayers: [{repeat: 10**9, relu: }]\n", "repeat"),
    ],
)
def test_large_texts_and_values(text, limit):
    start = time.perf_counter()
    error = refused(text)
    assert time.perf_counter() - start < 3
    assert codes(error) == {"AS701"}
    assert f"({limit})" in str(error) and f"Limits({limit}=...)" in str(error)
    assert len(str(error)) < 2000, "the message does not repeat the text"


LISTS = "params: {a: '$([0] * 50000)', b: '$([[0] * 300] * 300)'}\n"
MANY_NAMES = "params:\n" + "".join(f"  p{i}: {i}\n" for i in range(3000))
EMPTY = "{''}"
NESTED = "params:\n  p0: [1]\n" + "".join(f"  p{i + 1}: $([p{i}] * 8)\n" for i in range(50))


@pytest.mark.parametrize(
    ("head", "node"),
    [
        (LISTS, "{linear: '$(sum([sum(a) for i in range(50000)]) + 3)'}"),
        (LISTS, "{linear: '$(len([1 for i in range(50000) if 7 in a]) + 3)'}"),
        (LISTS, "{linear: '$(len([a[1:] for i in range(50000)]))'}"),
        (LISTS, "{linear: '$(len([1 for i in range(50000) if a == a + []]))'}"),
        (LISTS, "{linear: '$(len([1 for i in range(999) if [b] == [b + []]]))'}"),
        (
            LISTS + "blocks: {k: {params: {w: list}, layers: [relu]}}\n",
            "{repeat: 50000, k: {w: $a}}",
        ),
        ("", "{linear: '$(sum([sum([j for j in range(1000)]) for i in range(10000)]))'}"),
        ("", "{repeat: 10**5, layers: [{repeat: 10**5, layers: [{relu: , when: false}]}]}"),
        (MANY_NAMES, "{repeat: 10**5, relu: }"),
        (NESTED, "{linear: $p50}"),
        ("", f"{{linear: '$(len([[i{',0' * 900}] for i in range(90000)]))'}}"),
        ("", f"{{linear: '$(len([0 if {'i < 0 or ' * 120}true else 1 for i in range(90000)]))'}}"),
        (
            "params: {a: true}\n",
            f"{{repeat: 10**5, layers: [{{relu: , when: '{'a and ' * 280}false'}}]}}",
        ),
        ("", f'{{repeat: 5000, layers: [{{relu: , from: "{EMPTY * 4000}input"}}]}}'),
    ],
)
def test_all_work_of_a_spec_is_bounded_together(head, node):
    error = refused(f"input: [3]\n{head}layers: [{node}]\n", ignore=["AS904"])
    assert codes(error) == {"AS701"}
    assert "(evaluation_steps)" in str(error)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        # Names of Python's own machinery, and trees and numbers that its helpers do not survive.
        ("layers: [{repeat: {self: 2}, linear: $(self + 1)}]", None),
        ("layers: [{linear: '$(len([self for self in [1, 2]]))'}]", None),
        (f"layers: [{{linear: $(a{'.b' * 900}(3))}}]", "AS301"),
        ("layers: [{linear: '$([x async for x in [1]])'}]", "AS301"),
        (f"layers: [{{parameter: [{', '.join(['2147483647'] * 60)}]}}]", "AS701"),
        ("layers: [{linear: 2147483647}, {linear: 2147483647}]", "AS701"),
        ("layers: [{branches: {'a{1.5}': []}, merge: add}]", "AS303"),
        ("layers: [{chunk: {chunks: 100000000, dim: 1}}]", "AS701"),
        (f"layers: [{{add: [{', '.join(['input'] * 3000)}]}}]", "AS701"),
    ],
)
def test_what_once_escaped(text, code):
    text = f"input: [3]\n{text}\n"
    if code is None:
        archspec.loads(text)
    else:
        assert codes(refused(text)) == {code}


@pytest.mark.parametrize(
    "node", ["{repeat: 1, layers: [%s]}", "{branches: [[%s]], merge: identity}"]
)
def test_lists_that_join_count_for_the_depth(node):
    blocks = ""
    for number in range(50):
        inner = f"b{number + 1}" if number < 49 else "relu"
        for _ in range(25):
            inner = node % inner
        blocks += f"  b{number}: {{layers: [{inner}]}}\n"
    assert codes(refused(f"input: [3]\nblocks:\n{blocks}layers: [b0]\n")) == {"AS701"}


def test_a_raised_limit_overflows_no_stack():
    blocks = "".join(f"  b{i}: {{layers: [b{i + 1}]}}\n" for i in range(300))
    text = f"input: [3]\nblocks:\n{blocks}  b300: {{layers: [relu]}}\nlayers: [b0]\n"
    assert "nests deeper than Python" in str(refused(text, limits=Limits(depth=10**6)))


def test_layers_that_stand_for_layers_are_no_recursion():
    chain = "".join(f"  p{i + 1}: {{$p{i}: }}\n" for i in range(2000))
    assert archspec.loads(f"input: [3]\nparams:\n  p0: relu\n{chain}layers: [$p2000]\n")


def test_what_stands_doubled_many_times_is_counted_once_where_nobody_reads_it():
    doubled = "".join(f"  b{i}: {{layers: [b{i - 1}, b{i - 1}]}}\n" for i in range(1, 40))
    head = f"input: [4]\nblocks:\n  b0: {{layers: [{{linear: 4}}]}}\n{doubled}"
    arch = archspec.loads(f"{head}layers: [{{b39: , from: input}}, {{relu: , from: input}}]\n")
    assert f"its {20 * 2**39:,} parameters are left out" in arch.warnings[0].message


@pytest.mark.parametrize("use", ["t[deep]", "len(range(deep))"])
def test_messages_hold_no_long_lists(use):
    lists = "a: '$([0] * 500)', b: '$([a] * 500)', deep: '$([b] * 500)', t: {x: 1}"
    error = refused(f"input: [3]\nparams: {{{lists}}}\nlayers: [{{linear: '{use}'}}]\n")
    assert codes(error) == {"AS303"} and len(str(error)) < 500


def test_warnings_are_no_more_than_mistakes_may_be():
    arch = archspec.loads(f"input: [3]\nlayers: [{', '.join(['relu'] * 2000)}]\n")
    assert len(arch.warnings) == Limits().errors


def test_an_alias_bomb():
    lines = "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
    assert codes(refused(f"a0: &a0 [x, x]\n{lines}")) == {"AS701"}


@pytest.mark.parametrize("text", ["9**9**9", "2**2**100", "10**100", "-(2**62) * 4", "1e308 * 10"])
def test_numbers_stay_bounded(text):
    start = time.perf_counter()
    error = refused(f"input: [3]\nlayers:\n  - linear: {text}\n")
    assert time.perf_counter() - start < 1
    assert codes(error) <= {"AS701", "AS303"}


def test_text_does_not_grow():
    assert codes(refused("input: [3]\nlayers:\n  - linear: \"'a' * 10**9\"\n")) == {"AS303"}
    assert codes(refused("input: [3]\nlayers:\n  - linear: \"'a' + 'a'\"\n")) == {"AS303"}


def test_a_deep_extends_chain_is_bounded(tmp_path):
    for i in range(100):
        (tmp_path / f"a{i}.yaml").write_text(f"extends: a{i + 1}.yaml\n")
    with pytest.raises(SpecError, match=r"over the limit of 64 \(files\)"):
        archspec.load(tmp_path / "a0.yaml")


def test_calls_of_few_lines_that_multiply_take_no_time_to_check():
    head = "".join(
        f"  b{i}:\n    layers:\n      - {{repeat: 50, b{i - 1}: }}\n" for i in range(1, 8)
    )
    text = f"input: [3]\nblocks:\n  b0:\n    layers: [relu]\n{head}layers: [b7]\n"
    start = time.perf_counter()
    arch = archspec.loads(text, ignore=["AS904"], limits=Limits(runs=10**12))
    assert arch.output_shape == ("N", 3)
    with pytest.raises(SpecError, match=r"over the limit of 1,000,000 \(runs\)"):
        archspec.loads(text, ignore=["AS904"])
    assert time.perf_counter() - start < 5


# --- paths ---------------------------------------------------------------------------------------

BASE = "input: [3]\nlayers:\n  - linear: 4\n"
BLOCKS = "blocks:\n  b:\n    layers:\n      - linear: 4\n"


@pytest.fixture
def folders(tmp_path):
    inside = tmp_path / "inside"
    (inside / "sub").mkdir(parents=True)
    for folder in (tmp_path, inside, inside / "sub"):
        (folder / "base.yaml").write_text(BASE)
        (folder / "blocks.yaml").write_text(BLOCKS)
    return inside


def spec_with(folder: Path, form: str, name: str) -> Path:
    path = folder / "net.yaml"
    if form == "extends":
        path.write_text(f"extends: {name}\n")
    else:
        path.write_text(f"input: [3]\nuse: [{name}]\nlayers: [b]\n")
    return path


FORMS = [("extends", "base.yaml"), ("use", "blocks.yaml")]


@pytest.mark.parametrize(("form", "name"), FORMS)
def test_files_in_the_folder_and_below_it_are_read(form, name, folders):
    for where in ("", "./", "sub/", "sub/../"):
        path = spec_with(folders, form, where + name)
        assert archspec.load(path).output_shape == ("N", 4)


@pytest.mark.parametrize(("form", "name"), FORMS)
def test_files_outside_are_not_read(form, name, folders):
    for where in ("../", "sub/../../", f"{folders.parent}/"):
        path = spec_with(folders, form, where + name)
        with pytest.raises(SpecError) as raised:
            archspec.load(path)
        assert codes(raised.value) == {"AS605"}
        assert "--allow-outside" in str(raised.value)
        assert archspec.load(path, allow_outside=True).output_shape == ("N", 4)


@pytest.mark.parametrize(("form", "name"), FORMS)
def test_links_that_lead_outside_are_not_followed(form, name, folders):
    (folders / "link.yaml").symlink_to(folders.parent / name)
    (folders / "door").symlink_to(folders.parent)
    (folders / "good.yaml").symlink_to(folders / "sub" / name)
    for target in ("link.yaml", f"door/{name}"):
        path = spec_with(folders, form, target)
        with pytest.raises(SpecError) as raised:
            archspec.load(path)
        assert codes(raised.value) == {"AS605"}
    if form == "extends":
        assert archspec.load(spec_with(folders, form, "good.yaml")).output_shape == ("N", 4)


def test_a_file_that_is_used_cannot_reach_further(folders):
    (folders / "sub" / "blocks.yaml").write_text(f"use: ../../blocks.yaml\n{BLOCKS}")
    with pytest.raises(SpecError) as raised:
        archspec.load(spec_with(folders, "use", "sub/blocks.yaml"))
    assert codes(raised.value) == {"AS605"}


def test_a_text_without_a_folder_reads_no_files(folders, monkeypatch):
    monkeypatch.chdir(folders)
    archspec.loads("extends: lenet_bn")
    for text in ("extends: /etc/passwd", "extends: base.yaml", f"{BASE}use: [/etc/passwd]"):
        assert codes(refused(text)) == {"AS605"}
    assert codes(refused("extends: /etc/hostname", folder=folders)) == {"AS605"}


@pytest.mark.parametrize("form", ["extends", "use"])
@pytest.mark.parametrize("name", ["circle", "pipe", "folder", '"a\\0b"'])
def test_what_is_no_file_is_not_opened(form, name, folders):
    (folders / "circle").symlink_to(folders / "circle")
    os.mkfifo(folders / "pipe")
    (folders / "folder").mkdir()
    with pytest.raises(SpecError) as raised:
        archspec.load(spec_with(folders, form, name))
    assert codes(raised.value) == {"AS601"}


# --- code ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "().__class__.__bases__",
        "(lambda: 1)()",
        "[x for x in ().__class__.__mro__]",
        "f'{1}'",
        "open('/etc/passwd')",
        "exec('1')",
        "(x := 1)",
        "{}.get",
        "b'x'",
        "...",
        "*range(3)",
        "max(*range(3))",
    ],
)
def test_expressions_are_no_python(text):
    quoted = text.replace('"', '\\"')
    error = refused(f'input: [3]\nlayers:\n  - linear: "{quoted}"\n')
    assert codes(error) <= {"AS301", "AS302", "AS303"}


@pytest.mark.parametrize(
    "name",
    [
        "x; import os",
        "a\\nb",
        "x)",
        "é",
        "0x(",
        "a b",
        "-a",
    ],
)
def test_names_inject_no_code(name):
    assert codes(refused(f'input: [3]\nlayers:\n  - {{name: "{name}", relu: }}\n')) == {"AS208"}


@pytest.mark.parametrize("name", ["__class__", "import", "forward", "self", "a.b", "__init__.x"])
def test_a_name_that_code_minds_is_a_name_alone(name):
    text = f'input: [3]\nlayers:\n  - {{name: "{name}", linear: 2}}\n  - relu\n'
    net = archspec.loads(text).build(seed=1)
    assert set(net.state_dict()) == {f"{name}.weight", f"{name}.bias"}
    x = torch.ones(2, 3)
    linear = torch.nn.functional.linear(x, *net.state_dict().values())
    assert torch.equal(net(x), linear.relu())


def test_the_caller_can_raise_a_limit():
    deep = f"params: {{deep: {'[' * 150}{']' * 150}}}"
    long = f"name: {'x' * 25_000}"
    for extra, limits in ((deep, Limits(nesting=200)), (long, Limits(scalar_length=30_000))):
        text = f"input: [3]\nlayers: [relu]\n{extra}\n"
        assert codes(refused(text)) == {"AS701"}
        assert archspec.loads(text, limits=limits).output_shape == ("N", 3)
