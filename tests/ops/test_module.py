"""`module`: classes of other packages as nodes, run only where they are allowed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import archspec
from archspec.cli import main
from archspec.ir.op import REGISTRY

SPEC = """\
input: [3, 8, 8]
layers:
  - conv2d: {out_channels: 4, kernel_size: 3}
  - {name: last, module: {type: torchvision.ops.Permute, args: [[0, 2, 3, 1]]}}
  - module: {type: torchvision.ops.MLP, args: [4, [8, 5]], kwargs: {dropout: 0.5}}
"""


def one(node: str, shape: str = "[3, 8, 8]") -> str:
    return f"input: {shape}\nlayers:\n  - identity\n  - {node}\n"


def test_figures_and_keys_are_those_of_the_module() -> None:
    arch = archspec.loads(SPEC, allow_modules=["torchvision"])
    assert arch.output_shape == ("N", 6, 6, 5)
    assert arch.num_parameters == (3 * 4 * 9 + 4) + (4 * 8 + 8) + (8 * 5 + 5)
    assert arch.macs == 36 * (3 * 4 * 9) + 36 * (4 * 8 + 8 * 5)
    assert list(arch.build(device="meta").state_dict()) == [
        "0.weight",
        "0.bias",
        "2.0.weight",
        "2.0.bias",
        "2.3.weight",
        "2.3.bias",
    ]


def test_a_network_with_modules_verifies_memory_too() -> None:
    report = archspec.loads(SPEC, allow_modules=["torchvision"]).verify()
    assert report.ok, report


def test_it_is_expanded_and_read_back() -> None:
    arch = archspec.loads(SPEC, allow_modules=["torchvision"])
    again = archspec.loads(arch.expand(), allow_modules=["torchvision.ops"])
    assert [(x.path, x.output_shape, x.macs) for x in again.layers] == [
        (x.path, x.output_shape, x.macs) for x in arch.layers
    ]


def test_compiling_leaves_the_random_state_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    archspec.loads(one("module: {type: torch.nn.Dropout, args: [0.25]}"), allow_modules=["torch"])
    assert torch.equal(torch.rand(2), expected)


# --- what is not allowed -------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable module that leaves a file behind when its code runs."""
    mark = tmp_path / "ran"
    (tmp_path / "left_behind.py").write_text(
        "import pathlib, torch\n"
        f"pathlib.Path({str(mark)!r}).touch()\n"
        "class Layer(torch.nn.Identity): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "left_behind", raising=False)
    return mark


@pytest.mark.parametrize("allowed", [[], ["left"], ["left_behind.Layers"], ["torch"], [""]])
def test_no_code_of_a_package_runs_that_is_not_allowed(package: Path, allowed: list[str]) -> None:
    texts = [
        one("module: left_behind.Layer"),
        one("{when: false, module: left_behind.Layer}"),
        one("{repeat: 2, module: left_behind.Layer}"),
        "blocks: {b: {params: {act: layers}, layers: [$act]}}\n"
        + one("b: {act: {module: left_behind.Layer}}"),
    ]
    for text in texts:
        try:
            archspec.loads(text, allow_modules=allowed)
        except archspec.SpecError as error:
            assert {d.code for d in error.diagnostics} == {"AS801"}
            assert all(d.span is not None for d in error.diagnostics)
        else:
            assert "when: false" in text
    assert not package.exists()
    archspec.loads(texts[0], allow_modules=["left_behind"])
    assert package.exists()


def test_the_refusal_says_how_to_allow_it() -> None:
    with pytest.raises(archspec.SpecError) as caught:
        archspec.loads(SPEC)
    first = str(caught.value).split("\n\n")[0]
    assert first == (
        "<text>:4:18: error AS801: module: torchvision.ops.Permute is code of the package "
        "torchvision, which is not allowed\n"
        "  4 |   - {name: last, module: {type: torchvision.ops.Permute, args: [[0, 2, 3, 1]]}}\n"
        "    |                  ^^^^^^\n"
        "  help: where you trust it, allow it: --allow-module torchvision, or load(..., "
        "allow_modules=['torchvision'])"
    )


def test_one_text_is_no_list_of_packages() -> None:
    with pytest.raises(TypeError, match="a list of packages"):
        archspec.loads(SPEC, allow_modules="torchvision")


def test_a_refused_spec_does_not_even_import_torch(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SPEC)
    program = (
        "import sys, archspec\n"
        "try:\n    archspec.load(sys.argv[1])\n"
        "except archspec.SpecError:\n    print('torch' in sys.modules)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "s.yaml")]
    assert subprocess.check_output(command, text=True).strip() == "False"


def test_the_command_line_allows_packages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(SPEC)
    for command in ("compile", "check", "expand"):
        assert main([command, str(path)]) == 1
        assert "AS801" in capsys.readouterr().err
        assert main([command, str(path), "--allow-module", "torchvision"]) == 0


# --- what cannot be used -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "code", "words"),
    [
        ("module: torch.nn.Softsing", "AS801", "did you mean 'Softsign'?"),
        ("module: torch.nn.functional.relu", "AS801", "found:    a function"),
        ("module: torch.nm.ReLU", "AS801", "ModuleNotFoundError: No module named 'torch.nm'"),
        ("module: torch.nn.Linear", "AS801", "missing 2 required positional arguments"),
        ("module: {type: torch.nn.Linear, args: [7, 3]}", "AS401", "fails on the meta device"),
        ("module: {type: torch.nn.ReLU, args: [true]}", "AS801", "writes to its input"),
        ("module: {type: torch.nn.LazyLinear, args: [3]}", "AS801", "is lazy"),
        ("module: {type: torch.nn.Flatten, args: [0]}", "AS801", "N is not first"),
        ("module: {type: torch.nn.LSTM, args: [8, 4]}", "AS401", "fails on"),
        ("module: nonsense", "AS205", "the path of a class"),
        ("module: os.path.join", "AS801", "the package os, which is not allowed"),
        ("{module: torch.nn.Softsign, from: [0, input]}", "AS504", "at most 1 input(s), got 2"),
        ("module: {type: torch.nn.Bilinear, args: [8, 8, 2]}", "AS504", "the input 'input2' too"),
        ("{module: torch.nn.ReLU, from: {x: 0}}", "AS302", "ReLU has no input 'x'"),
    ],
)
def test_what_cannot_be_used_is_refused_at_its_place(node: str, code: str, words: str) -> None:
    with pytest.raises(archspec.SpecError) as caught:
        archspec.loads(one(node), allow_modules=["torch"])
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == code
    assert diagnostic.span is not None
    assert diagnostic.span.line == 4
    assert words in str(diagnostic)


def test_a_tied_parameter_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tied.py").write_text(
        "import torch\n"
        "class Tied(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.a = torch.nn.Linear(8, 8)\n"
        "        self.b = torch.nn.Linear(8, 8)\n"
        "        self.b.weight = self.a.weight\n"
        "    def forward(self, x):\n"
        "        return self.b(self.a(x))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(archspec.SpecError, match="one parameter under two names"):
        archspec.loads(one("module: tied.Tied"), allow_modules=["tied"])


def test_work_that_does_not_grow_with_the_batch_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fixed_work.py").write_text(
        "import torch\n"
        "class Fixed(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        ones = torch.ones(8, 8, device=x.device)\n"
        "        return x + ones @ ones\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(archspec.SpecError, match="512 MACs for two samples and 512 for three"):
        archspec.loads(one("module: fixed_work.Fixed"), allow_modules=["fixed_work"])


CODE = """
import torch

class Kept(torch.nn.Module):
    def __init__(self, text):
        super().__init__()
        self.text = text

    def forward(self, x):
        return x + 1

class Picks(torch.nn.Module):
    def forward(self, x):
        return x.argmax(-1)

class Doubles(torch.nn.Module):
    def forward(self, x):
        return x.double()

class Halves(torch.nn.Module):
    def forward(self, x):
        return x.half()

class Sorts(torch.nn.Module):
    def forward(self, x):
        return x.sort(-1)[0], x > 1

class Moody(torch.nn.Module):
    def forward(self, x):
        return x if self.training else x.long()

class Odd(torch.nn.Module):
    def forward(self, x):
        return x.long() if x.shape[-1] % 2 else x
"""


@pytest.fixture
def own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_code.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("own_code")
def test_text_that_looks_like_an_expression_survives_expansion() -> None:
    node = "module: {type: own_code.Kept, args: [\"$('$abc')\"]}"
    arch = archspec.loads(one(node), allow_modules=["own_code"])
    again = archspec.loads(arch.expand(), allow_modules=["own_code"])
    assert [net.get_submodule("1").text for net in (arch.build(), again.build())] == ["$abc"] * 2


@pytest.mark.usefixtures("own_code")
@pytest.mark.parametrize(("name", "kind"), [("Doubles", "float64"), ("Halves", "float16")])
def test_what_no_other_op_could_read_is_refused(name: str, kind: str) -> None:
    with pytest.raises(archspec.SpecError, match=f"gives {kind} for float32"):
        archspec.loads(one(f"module: own_code.{name}", "[4]"), allow_modules=["own_code"])


@pytest.mark.usefixtures("own_code")
def test_integers_and_truth_values_that_it_gives_are_so_stated() -> None:
    spec = """
        input: [4]
        outputs: {place: place, large: 'sorts[1]', sorted: 'sorts[0]'}
        layers:
          - {name: place, module: own_code.Picks}
          - {name: sorts, module: own_code.Sorts, from: input}
        """
    arch = archspec.loads(spec, allow_modules=["own_code"])
    assert [kind.name for kind in arch.graph.output_types] == ["int64", "bool", "float"]
    report = arch.verify()
    assert report.ok, report
    given = arch.build()(torch.randn(3, 4))
    assert [value.dtype for value in given.values()] == [torch.int64, torch.bool, torch.float32]


@pytest.mark.usefixtures("own_code")
def test_a_type_that_depends_on_the_mode_or_shape_is_refused() -> None:
    with pytest.raises(archspec.SpecError, match=r"\(N, 4\) int64 in one run and \(N, 4\) in"):
        archspec.loads(one("module: own_code.Moody", "[4]"), allow_modules=["own_code"])
    archspec.loads(one("module: own_code.Odd", "[4]"), allow_modules=["own_code"])
    with pytest.raises(archspec.SpecError, match="other types of values for other shapes"):
        archspec.loads(one("module: own_code.Odd", "[5]"), allow_modules=["own_code"])


def test_a_module_that_fails_at_one_batch_size_is_told_at_its_place() -> None:
    node = "module: {type: torch.nn.BatchNorm1d, args: [4]}"
    arch = archspec.loads(one(node, "[4]"), allow_modules=["torch"])
    assert arch.summary(batch_size=2).saved_bytes > 0
    with pytest.raises(archspec.SpecError, match="fails at N = 1") as caught:
        arch.summary(batch_size=1)
    assert caught.value.diagnostics[0].span is not None


def test_an_op_with_a_mapping_has_a_hash():
    one, same, other = (
        REGISTRY["module"](type="torch.nn.GLU", kwargs={"dim": dim}) for dim in (1, 1, 2)
    )
    assert one == same and one != other
    assert {one: "found"}[same] == "found"


# --- several inputs ------------------------------------------------------------------------------

SEVERAL = """
import torch

class Gate(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        self.fc = torch.nn.Linear(size, size)

    def forward(self, x, memory, mask=None, *, scale):
        y = self.fc(x) @ memory.transpose(1, 2) @ memory * scale
        return y if mask is None else y * mask

class Looks(torch.nn.Module):
    def forward(self, x, places, chosen):
        return torch.where(chosen, x.gather(1, places), x)

class Half(torch.nn.Module):
    def forward(self, a, b):
        return a + b, None

class Writes(torch.nn.Module):
    def forward(self, a, b):
        b.add_(1)
        return a + b
"""


@pytest.fixture
def several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "several_inputs.py").write_text(SEVERAL)
    monkeypatch.syspath_prepend(str(tmp_path))


def load(text: str) -> archspec.Architecture:
    return archspec.loads(text, allow_modules=["several_inputs", "torch"])


def test_a_list_gives_the_inputs_in_order() -> None:
    spec = """\
        input: [5, 4]
        layers:
          - {name: a, linear: 3}
          - {name: b, module: {type: torch.nn.Bilinear, args: [4, 3, 2]}, from: [input, a]}
        """
    arch = load(spec)
    assert (arch.output_shape, arch.macs) == (("N", 5, 2), None)
    assert arch.num_parameters == (3 * 4 + 3) + (2 * 4 * 3 + 2)
    assert arch.verify().ok
    net, x = arch.build(), torch.randn(2, 5, 4)
    assert torch.equal(net(x), net.b(x, net.a(x)))
    assert load(arch.expand()).expand() == arch.expand()


@pytest.mark.usefixtures("several")
def test_a_mapping_gives_them_by_the_names_of_forward() -> None:
    spec = """\
        inputs: {q: [5, 4], m: [3, 4], s: [1, 1]}
        layers:
          - name: g
            module: {type: several_inputs.Gate, args: [4]}
            from: {memory: m, scale: s, x: q}
          - {name: again, share: g, from: {x: g, scale: s, memory: q, mask: q}}
        """
    arch = load(spec)
    assert [layer.macs for layer in arch.layers] == [
        5 * 4 * 4 + 2 * 5 * 3 * 4,
        5 * 4 * 4 + 2 * 5 * 5 * 4,
    ]
    assert arch.num_parameters == 4 * 4 + 4
    assert arch.verify().ok
    net, q, m, s = arch.build(), torch.randn(2, 5, 4), torch.randn(2, 3, 4), torch.randn(2, 1, 1)
    first = net.g(q, m, scale=s)
    assert torch.equal(net(q, m, s), net.g(first, q, q, scale=s))
    again = load(arch.expand())
    assert "from: {memory: m, scale: s, x: q}" in arch.expand()
    again_net = again.build()
    again_net.load_state_dict(net.state_dict())
    assert torch.equal(again_net(q, m, s), net(q, m, s))


def test_attention_gives_its_weights_too_and_reads_a_mask() -> None:
    spec = """\
        inputs: {q: [5, 4], m: [3, 4], pad: {shape: [3], dtype: bool}}
        outputs: {y: 'a[0]', weights: 'a[1]'}
        layers:
          - name: a
            module: {type: torch.nn.MultiheadAttention, args: [4, 2], kwargs: {batch_first: true}}
            from: {query: q, key: m, value: m, key_padding_mask: pad}
        """
    arch = load(spec)
    assert arch.output_shape == {"y": ("N", 5, 4), "weights": ("N", 5, 3)}
    assert arch.macs == 2 * 5 * 4 * 4 + 2 * 3 * 4 * 4 + 2 * 5 * 3 * 4
    assert arch.verify().ok


@pytest.mark.usefixtures("several")
def test_integers_and_truth_values_are_read_with_their_types() -> None:
    spec = """\
        inputs:
          x: [4]
          places: {shape: [4], dtype: int64, below: 4}
          chosen: {shape: [4], dtype: bool}
        layers: [{module: several_inputs.Looks, from: [x, places, chosen]}]
        """
    arch = load(spec)
    assert (arch.output_shape, arch.macs) == (("N", 4), 0)
    assert arch.verify().ok
    with pytest.raises(archspec.SpecError, match="is out of bounds"):
        load(spec.replace("below: 4", "below: 6"))


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(
    ("node", "code", "words"),
    [
        ("{module: several_inputs.Half, from: [0, input]}", "AS801", "gives (a tensor, None), and"),
        ("{module: several_inputs.Half, from: [0, 0, 0]}", "AS504", "at most 2 input(s), got 3"),
        ("{module: several_inputs.Half, from: {a: 0}}", "AS504", "needs the input 'b' too"),
        ("{module: several_inputs.Half, from: {a: 0, bb: 0}}", "AS302", "expected: inputs a, b"),
        ("{module: several_inputs.Writes, from: [0, input]}", "AS801", "writes to its input"),
    ],
)
def test_what_forward_does_not_take_is_refused(node: str, code: str, words: str) -> None:
    with pytest.raises(archspec.SpecError) as caught:
        load(one(node))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == code and diagnostic.span is not None
    assert diagnostic.span.line == 4 and words in str(diagnostic)
