"""What docs/compared.md shows of PyTorch and archspec is one network, and is what they say.

After a change of a spec or of a wording, `python tests/test_same_network.py` writes the specs, the
messages and the tables of figures anew.
"""

from __future__ import annotations

import ast
import re
import traceback
from pathlib import Path
from typing import Any

import pytest
import torch

import archspec
from archspec.record import Record

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "compared.md"


class Case(Record):
    """A network of the page: how it is made small, or as thin as its mistake allows, and this."""

    title: str
    made: str
    spec: str
    small: dict[str, int]
    thin: dict[str, int]
    sizes: dict[str, int]
    edits: dict[str, tuple[str, str]]

    @property
    def section(self) -> str:
        """Its part of the page."""
        return PAGE.read_text(encoding="utf-8").split(f"\n## {self.title}\n")[1].split("\n## ")[0]

    def fenced(self, heading: str, kind: str) -> list[str]:
        """The texts of one kind under one of its headings."""
        part = self.section.split(f"\n### {heading}\n")[1].split("\n### ")[0]
        return re.findall(rf"```{kind}\n(.*?)```", part, re.S)

    @property
    def code(self) -> str:
        """Its code in PyTorch."""
        return self.fenced("PyTorch", "python")[0]

    def example(self, *, full: bool = False) -> torch.Tensor:
        """One input of the default device: the stated one, or one of the small sizes."""
        shape, dtype, below = {
            "UNet": ((1, 572, 572) if full else (1, 204, 220), torch.float32, None),
            "GPT2": ((64,) if full else (9,), torch.int64, 50),
            "RetinaNet": ((3, 800, 1088) if full else (3, 64, 96), torch.float32, None),
        }[self.made]
        if below:
            return torch.randint(below, (1, *shape), dtype=dtype)
        return torch.randn(1, *shape)


CASES = [
    Case(
        "U-Net",
        "UNet",
        "specs/unet.yaml",
        {"width": 4},
        {"width": 1},
        {"H": 204, "W": 220},
        {
            "unet.py": ("middle(skips.pop(), x)", "skips.pop()"),
            "specs/unet.yaml": (
                'concat: [-1, "up.{step}"]',
                'concat: ["contracting.{depth - 1 - step}", "up.{step}"]',
            ),
        },
    ),
    Case(
        "GPT-2",
        "GPT2",
        "specs/gpt2.yaml",
        {"vocab": 50, "context": 16, "width": 32, "depth": 2, "num_heads": 4},
        {"vocab": 50, "depth": 1},
        {"T": 9},
        {
            "gpt2.py": ("num_heads=12", "num_heads=10"),
            "specs/gpt2.yaml": ("num_heads: 12", "num_heads: 10"),
        },
    ),
    Case(
        "RetinaNet",
        "RetinaNet",
        "zoo/retinanet_resnet50_fpn.yaml",
        {},
        {},
        {},
        {
            "retinanet.py": ("conv3(channels, anchors * columns)", "conv3(channels, anchors)"),
            "zoo/retinanet_resnet50_fpn.yaml": ("anchors * columns", "anchors"),
        },
    ),
]
cases = pytest.mark.parametrize("case", CASES, ids=[case.title for case in CASES])


def made_by(case: Case, code: str, **arguments: int) -> Any:
    name = next(iter(case.edits))
    variables: dict[str, Any] = {"__name__": name.removesuffix(".py")}
    exec(compile(code, name, "exec"), variables)
    return variables[case.made](**arguments)


def once(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def torch_says(case: Case) -> str:
    """The last line of the page's code in the traceback, and the message, of a run."""
    name, *_ = case.edits
    code = once(case.code, *case.edits[name])
    with torch.device("meta"):
        model = made_by(case, code, **case.thin).to_empty(device="cpu")
    x = case.example(full=case.made == "UNet")
    with torch.no_grad(), pytest.raises((RuntimeError, ValueError)) as raised:
        model(x)
    frames = traceback.extract_tb(raised.value.__traceback__)
    last = [frame for frame in frames if frame.filename == name][-1]
    line = code.splitlines()[(last.lineno or 0) - 1].strip()
    return (
        f'  File "{name}", line {last.lineno}, in {last.name}\n    {line}\n'
        f"{type(raised.value).__name__}: {raised.value}\n"
    )


def archspec_says(case: Case, folder: Path) -> str:
    shared = ROOT / "zoo" / "detection.yaml"
    (folder / shared.name).write_text(shared.read_text(encoding="utf-8"), encoding="utf-8")
    text = (ROOT / case.spec).read_text(encoding="utf-8")
    edited = once(text, *case.edits[case.spec])
    (folder / Path(case.spec).name).write_text(edited, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with pytest.raises(archspec.SpecError) as raised:
            archspec.load(Path(case.spec).name)
    return f"{raised.value}\n"


def specs_of(case: Case) -> list[str]:
    """The spec, and what it takes of the detectors' blocks and for its pyramid."""

    def text(path: str) -> str:
        return (ROOT / path).read_text(encoding="utf-8")

    if "use: [detection.yaml]" not in text(case.spec):
        return [text(case.spec)]
    shared = text("zoo/detection.yaml").split("  all_rows:\n")[0]
    pyramid = [text(f"archspec/blocks/{name}.yaml") for name in ("fpn", "p6p7")]
    return [text(case.spec), shared, *pyramid]


def lines(text: str) -> int:
    return sum(1 for line in text.splitlines() if line.strip())


def row_of_lines(case: Case) -> str:
    code, keras = case.code, case.fenced("Keras", "python")[0]
    specs = sum(map(lines, case.fenced("archspec", "yaml")))
    return f"| {case.title} | {lines(code)} | {lines(keras)} | {specs} |\n"


def row_of_figures(case: Case) -> str:
    arch = archspec.load(str(ROOT / case.spec))
    shape = "×".join(map(str, arch.input_shape))
    saved = arch.summary().saved_bytes
    return (
        f"| {case.title} | {shape} | {arch.num_parameters:,} | {arch.macs:,} |"
        f" {saved:,} bytes | {arch.contract().text} |\n"
    )


@cases
def test_the_spec_is_the_repository_s(case: Case) -> None:
    assert case.fenced("archspec", "yaml") == specs_of(case)


@cases
def test_the_code_in_pytorch_is_the_spec_s_network(case: Case) -> None:
    arch = archspec.load(str(ROOT / case.spec), params=case.small, sizes=case.sizes)
    net = arch.build(seed=0)
    with torch.device("meta"):
        model = made_by(case, case.code, **case.small)
    trained = {name: each.requires_grad for name, each in net.named_parameters()}
    assert trained == {name: each.requires_grad for name, each in model.named_parameters()}
    x = case.example()
    model.load_state_dict(net.state_dict(), strict=True, assign=True)
    with torch.no_grad():
        ours, theirs = net.eval()(x), model.eval()(x)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@cases
def test_the_code_in_keras_parses(case: Case) -> None:
    (code,) = case.fenced("Keras", "python")
    assert ast.unparse(ast.parse(code).body[0]) == "import keras"


@cases
def test_the_mistake_is_what_torch_says(case: Case) -> None:
    assert case.fenced("A mistake", "text")[0] == torch_says(case)


@cases
def test_the_mistake_is_what_archspec_says(case: Case, tmp_path: Path) -> None:
    assert case.fenced("A mistake", "text")[-1] == archspec_says(case, tmp_path)


@cases
def test_the_figures_are_those_of_both(case: Case) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert row_of_lines(case) in page and row_of_figures(case) in page
    variables: dict[str, Any] = {}
    code = next(each for each in re.findall(r"```python\n(.*?)```", page, re.S) if "FlopC" in each)
    exec(compile(code, str(PAGE), "exec"), variables)
    x = case.example(full=True)
    found = variables["figures"](lambda: made_by(case, case.code), *x.shape, dtype=x.dtype)
    arch = archspec.load(str(ROOT / case.spec))
    assert found == (arch.num_parameters, arch.macs)


def test_the_variant_of_u_net_has_its_weights() -> None:
    page = PAGE.read_text(encoding="utf-8")
    (text,) = [each for each in re.findall(r"```yaml\n(.*?)```", page, re.S) if "extends" in each]
    variant, base = archspec.loads(text), archspec.load("unet")
    keys = base.build(device="meta").state_dict()
    assert variant.build(device="meta").state_dict().keys() == keys.keys()
    assert variant.output_shape == ("N", 2, 560, 560)


def rewrite(folder: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    for case in CASES:
        for old, spec in zip(case.fenced("archspec", "yaml"), specs_of(case), strict=True):
            page = once(page, old, spec)
        PAGE.write_text(page, encoding="utf-8")
        mistake = case.section.split("\n### A mistake\n")[1]
        shown = re.findall(r"```text\n.*?```", mistake, re.S)
        new = once(mistake, shown[-1], f"```text\n{archspec_says(case, folder)}```")
        new = once(new, shown[0], f"```text\n{torch_says(case)}```")
        page = once(page, mistake, new)
        lines_row, figures_row = re.findall(rf"^\| {case.title} \|.*\n", page, re.M)
        page = once(page, lines_row, row_of_lines(case))
        page = once(page, figures_row, row_of_figures(case))
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    import tempfile

    rewrite(Path(tempfile.mkdtemp()))
