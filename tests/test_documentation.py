"""What the documentation shows is what the program prints."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import pytest
import torch
import yaml

import archspec
from archspec.cli import main
from archspec.contracts import cells, regions
from archspec.emit import checks
from archspec.ir.op import REGISTRY
from archspec.runtime import sizes

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LANGUAGE = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")


def fenced(text: str, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", text, re.S)


def test_the_readme_shows_the_real_summary() -> None:
    shown = next(block for block in fenced(README, "text") if block.startswith("densenet\n"))
    table, _, verified = shown.rpartition("\n\nverified: ")
    assert table.strip() == str(archspec.load("densenet").summary(depth=1)).strip()
    assert verified.startswith("static and real agree")


def test_the_readme_s_first_spec_is_the_bundled_one() -> None:
    spec = next(block for block in fenced(README, "yaml") if "my_densenet" in block)
    mine, bundled = archspec.loads(spec), archspec.load("densenet")
    assert not mine.warnings
    assert (mine.num_parameters, mine.macs) == (bundled.num_parameters, bundled.macs)


def test_every_yaml_of_the_readme_is_sound() -> None:
    for text in fenced(README, "yaml"):
        if "# bad.yaml" in text:
            continue
        if "layers:" in text or "extends:" in text:
            header = "" if "extends:" in text or "input:" in text else "input: [3, 32, 32]\n"
            archspec.loads(header + text)
        else:
            yaml.safe_load(text)


def test_the_readme_s_mistake_is_what_check_says() -> None:
    command, _, shown = next(
        block for block in fenced(README, "text") if "error AS" in block
    ).partition("\n")
    assert command == "$ archspec check bad.yaml"
    spec = next(block for block in fenced(README, "yaml") if "# bad.yaml" in block)
    with pytest.raises(archspec.SpecError) as raised:
        archspec.loads(spec, name="bad.yaml")
    assert shown == f"{raised.value}\n"


def test_the_precisions_of_the_language_page_are_real(capsys: pytest.CaptureFixture[str]) -> None:
    command, _, shown = next(t for t in fenced(LANGUAGE, "text") if "--dtype" in t).partition("\n")
    assert main(command.removeprefix("$ archspec ").split()) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(shown + "\n")
    saved = archspec.load("resnet18").summary(batch_size=64, dtype="bfloat16").saved_bytes
    assert f"saved_bytes  # {saved}\n" in LANGUAGE and f"({saved:,} bytes)" in shown


def test_the_example_block_of_the_language_page_compiles() -> None:
    block = next(text for text in fenced(LANGUAGE, "yaml") if "residual_mlp" in text)
    spec = f"input: [8]\n{block}layers:\n  - residual_mlp: {{hidden: 16, dropout: 0.1}}\n"
    arch = archspec.loads(spec)
    assert arch.output_shape == ("N", 8)
    assert arch.num_parameters == (8 * 16 + 16) + (16 * 8 + 8)


@pytest.mark.parametrize("script", ["write_docs.py"])
def test_the_written_pages_are_up_to_date(script: str) -> None:
    result = subprocess.run(
        [sys.executable, str(ROOT / "tools" / script), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_examples_of_the_pages_on_the_language_compile() -> None:
    pages = [ROOT / "docs" / "language.md", *sorted((ROOT / "docs" / "language").glob("*.md"))]
    for page in pages:
        for text in fenced(page.read_text(encoding="utf-8"), "yaml"):
            if not text.startswith(("input", "params", "sizes")) or "layers:" not in text:
                continue  # a part of a spec
            arch = archspec.loads(text)
            assert arch.verify(elsewhere=False).ok, text
            again = archspec.loads(arch.expand())
            assert again.num_parameters == arch.num_parameters


SIZES = (ROOT / "docs" / "sizes.md").read_text(encoding="utf-8")


def test_the_page_of_sizes_shows_what_is_printed(tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "unet.yaml").write_text(fenced(SIZES, "yaml")[0], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    shown, refused, called, alexnet = fenced(SIZES, "text")
    assert main(["compile", "unet.yaml", "--summary"]) == 0
    assert capsys.readouterr().out.endswith(f"\n{shown}")
    assert main(["compile", "unet.yaml", "--at", "H=200"]) == 1
    assert refused == f"$ archspec compile unet.yaml --at H=200\n{capsys.readouterr().err}"
    with pytest.raises(ValueError, match="is not legal") as caught:
        archspec.load("unet.yaml").build()(torch.zeros(1, 3, 200, 224))
    assert called.splitlines()[1] == f"ValueError: {caught.value}"
    assert main(["compile", "alexnet", "--contract", "S,S"]) == 0
    assert alexnet == f"$ archspec compile alexnet --contract S,S\n{capsys.readouterr().out}"
    unet, resized = fenced(SIZES, "yaml")
    before, _, after = unet.partition("  up:\n")
    other = before + resized + after[after.index("layers:\n  - {name: enc1") :]
    assert archspec.loads(other).contract().text == "H and W ≥ 16"


def test_the_page_of_sizes_names_the_limits() -> None:
    table = SIZES.split("\n## Limits\n")[1].split("\n**Inc")[0]
    work = f"{cells.MOST_CELLS} cases, with {cells.MAX_WORK:,} nodes in all of them"
    for said in [
        work,
        f"{cells.MOST_REGIONS} regions of sizes in which",
        f"{regions.MOST_TRIED} sizes of one symbol",
        f"{sizes.FAR} to either side for one symbol, {sizes.NEAR} for two together",
    ]:
        assert f"| {said}" in table
    assert f"(more than {checks.MOST_RANGES} ranges, or {checks.MOST_REGIONS} cases)" in SIZES


def test_the_page_of_sizes_says_what_is_checked_of_products() -> None:
    alone = archspec.loads("sizes: {H: 4, W: 6}\ninput: ['H * W']\nlayers: [linear: 4]\n")
    assert f"`{alone.contract().text}`" in SIZES
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        alone.build()(torch.zeros(1, 30))
    text = """
        sizes: {H: 4, W: 6}
        inputs: {tokens: ["H * W", 8], image: [3, H, W]}
        layers:
          - {name: a, linear: 4, from: tokens}
          - {name: b, conv2d: {out_channels: 1, kernel_size: 1}, from: image}
        outputs: {a: a, b: b}
    """
    net = archspec.loads(text).build()
    with pytest.raises(ValueError, match="not H·W") as caught:
        net(torch.zeros(1, 30, 8), torch.zeros(1, 3, 4, 6))
    assert f"`{caught.value}`" in SIZES


def test_the_module_of_an_incomplete_contract_runs_at_the_listed_sizes() -> None:
    unet = archspec.load("unet", {"width": 1})
    contract = unet.contract()
    assert not contract.is_complete
    assert contract.lists(H=572, W=572) and not contract.lists(H=187, W=187)
    with pytest.raises(ValueError, match="H = 187, W = 187 is not legal"):
        unet.build()(torch.zeros(1, 1, 187, 187))
    squares = unet.contract("S,S")
    assert squares.is_complete and squares.text == "S ≥ 188"


@pytest.mark.parametrize("name", ["alexnet", "lenet_bn", "nin", "torchvision/vit_b_32"])
def test_the_table_of_contracts_has_what_is_derived(name: str) -> None:
    rows = [row for row in SIZES.splitlines() if row.startswith("| ")]
    row = next(row for row in rows if re.search(rf" {name}[, ]", row))
    found = archspec.load(name, warn=False).contract("S,S")
    assert f"| {found.compiles_text} | {found.text} |" in row


def test_the_parts_of_specs_on_the_language_page_compile() -> None:
    (inputs,) = [
        text for text in fenced(LANGUAGE, "yaml") if "layers" not in text and "label" in text
    ]
    arch = archspec.loads(f"params: {{num_classes: 10}}\n{inputs}layers: [{{relu, from: image}}]\n")
    assert arch.input_dtype == {"image": "float", "label": "int64"}
    (silenced,) = [text for text in fenced(LANGUAGE, "yaml") if "AS903" in text]
    assert not archspec.loads(f"input: [3, 32, 32]\nlayers:\n{silenced}").warnings
    (sized,) = [text for text in fenced(LANGUAGE, "yaml") if "# inputs: [deep]" in text]
    block = f"blocks:\n  b:\n    inputs: [deep]\n    layers:\n{indent(sized, ' ' * 6)}"
    arch = archspec.loads(f"input: [3, 8, 8]\n{block}layers: [b]\n")
    shown = next(text for text in fenced(LANGUAGE, "python") if "deep" in text)
    code = getattr(arch.build(device="meta"), "0").code
    assert ast.unparse(ast.parse(shown)) in ast.unparse(ast.parse(code)).replace("\n    ", "\n")


def test_the_page_on_tensors_names_the_ops_that_need_no_batch() -> None:
    page = (ROOT / "docs" / "language" / "tensors.md").read_text(encoding="utf-8")
    listed = page.split("\n## Ops on them\n")[1].split("Convolutions, pools")[0]
    named = set(re.findall(r"`(\w+)`", listed)) - {"dim"}
    unbatched = {name for name in REGISTRY if REGISTRY[name].takes_unbatched}
    assert named <= unbatched
    families = {"reshape", "axes", "slicing", "linear", "matmul", "attention", "embedding", "cast"}
    families |= {"scaled_dot_product", "norm", "rms_norm"}
    places = {name: REGISTRY[name].__module__.rpartition(".")[2] for name in unbatched}
    assert {name for name, place in places.items() if place in families} <= named


CHOOSING = (ROOT / "docs" / "language" / "choosing.md").read_text(encoding="utf-8")


def test_the_page_on_choosing_says_what_its_specs_become() -> None:
    family, _, tree = fenced(CHOOSING, "yaml")
    keys = set(archspec.loads(family).build(device="meta").state_dict())
    assert {"0.conv.weight", "2.shortcut.weight", "4.shortcut.weight", "5.weight"} <= keys
    assert "0.shortcut.weight" not in keys
    other = archspec.loads(family, {"norm": False})
    assert [each.path for each in other.layers if each.op == "dropout"] == ["1", "3", "5"]
    grown = archspec.loads(tree)
    assert "tree.tree1.tree1.tree1.conv.weight" in grown.build(device="meta").state_dict()
    assert grown.num_parameters == 8 * (8 * 8 * 9 + 16) + 7 * (16 * 8 + 8)


def test_the_page_on_names_shows_the_code_of_its_example() -> None:
    page = (ROOT / "docs" / "language" / "names.md").read_text(encoding="utf-8")
    first, second = [archspec.loads(text) for text in fenced(page, "yaml")]
    (code,) = fenced(page, "python")
    assert first.build(device="meta").code.strip() == code.strip()
    assert second.layers[-1].reads[:2] == ("encoder.layers.0", "encoder.layers.1")


@pytest.mark.parametrize("page", ["attention", "recurrent"])
def test_the_example_of_a_page_on_ops_verifies(page: str) -> None:
    text = (ROOT / "docs" / "language" / f"{page}.md").read_text(encoding="utf-8")
    report = archspec.loads(fenced(text, "yaml")[0], warn=False).verify()
    assert report.ok, str(report)
