"""The static path never imports torch, nor anything else that is slow to start."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "sympy", "torchvision", "hypothesis")

STATIC = {
    "import": "import archspec",
    "load": "archspec.load('torchvision/resnet18')",
    "params": "archspec.load('densenet', params={'growth_rate': 12})",
    "extends": "archspec.load('resnet18_deep_stem')",
    "figures": "a = archspec.load('googlenet'); a.num_parameters, a.macs, a.layers, a.output_shape",
    "summary": "print(archspec.load('lenet_bn').summary(batch_size=4))",
    "expand": "print(archspec.load('densenet').expand())",
    "refusal": "try:\n  archspec.loads('input: [3]\\nlayers: [{max_pool2d: 9}]')\n"
    "except archspec.SpecError as e: print(e)",
}
COMMANDS = {
    "check": ["check", "resnet18", "densenet"],
    "compile": ["compile", "lenet_bn"],
    "table": ["compile", "densenet", "--summary", "--depth", "1"],
    "json": ["compile", "densenet", "--summary", "--format", "json"],
    "expand": ["expand", "resnet18_group_norm"],
    "schema": ["schema"],
    "list": ["list"],
    "ops": ["list", "--ops"],
    "completion": ["completion", "bash"],
}


SLOW_TO_START = (*HEAVY, "pydantic", "importlib.metadata", "rich")
"""What a spec without mistakes does not need either."""


def loaded_by(code: str, heavy: tuple[str, ...] = HEAVY) -> list[str]:
    """Which of the heavy modules a fresh process has loaded after the code."""
    report = f"\nimport sys\nprint('LOADED', *[m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize("what", STATIC)
def test_the_api_is_static(what):
    assert loaded_by(f"import archspec\n{STATIC[what]}") == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_line_is_static(command):
    code = f"from archspec.cli import main\nassert main({COMMANDS[command]!r}) in (0, None)"
    assert loaded_by(code, (*HEAVY, "rich")) == []


@pytest.mark.parametrize(
    "argv",
    [
        ["check", "torchvision/densenet121", "torchvision/resnet18"],
        ["check", "densenet", "lenet_bn"],  # which have recipes
        ["compile", "torchvision/densenet121", "--summary"],
        ["compile", "lenet_bn", "--set", "num_classes=20", "--summary", "--format", "json"],
        ["expand", "densenet"],
    ],
)
def test_a_right_spec_needs_nothing_that_is_slow_to_start(argv):
    code = f"from archspec.cli import main\nassert main({argv!r}) == 0"
    assert loaded_by(code, SLOW_TO_START) == []


def test_the_test_would_notice():
    assert loaded_by("import archspec, numpy") == ["numpy"]


NO_TORCH = "import sys; sys.modules['torch'] = None\n"


@pytest.mark.parametrize(
    "argv",
    [
        ["compile", "lenet_bn", "--verify"],
        ["compile", "lenet_bn", "--weights", "x.pth"],
        ["eject", "lenet_bn"],
    ],
)
def test_without_torch_the_command_line_says_what_is_missing(argv):
    code = f"{NO_TORCH}from archspec.cli import main\nsys.exit(main({argv!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("archspec: error: this needs torch, which is not installed")


@pytest.mark.parametrize("call", ["build()", "verify()"])
def test_without_torch_python_says_what_is_missing(call):
    code = f"{NO_TORCH}import archspec\narchspec.load('lenet_bn').{call}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: building and verifying a network needs torch")
