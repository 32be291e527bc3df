"""What argparse alone decides: wrong usage, help, completion."""

import shutil
import subprocess
import sys

import pytest

from archspec import __version__
from archspec.cli import main
from archspec.cli.completion import bash_script
from archspec.cli.parser import COMMANDS, build_parser, declared, parse


def usage_error(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    return streams.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "archspec: error: the following arguments are required: COMMAND"),
        (["compile"], "archspec compile: error: the following arguments are required: SPEC"),
        (["check"], "archspec check: error: the following arguments are required: SPEC"),
        (
            ["compile", "a", "--set", "growth_rate"],
            "archspec compile: error: argument --set: 'growth_rate' is not of the form K=V, "
            "as in growth_rate=12",
        ),
        (
            ["compile", "a", "--input", "3x0x2"],
            "archspec compile: error: argument --input: '3x0x2' is not a shape without the batch, "
            "as in 3x224x224",
        ),
        (
            ["compile", "a", "--input", "3x2", "--input", "3x4"],
            "archspec compile: error: --input: with several inputs, name each: "
            "--input image=3x224x224",
        ),
        (
            ["expand", "a", "--input", "x=3", "--input", "x=4"],
            "archspec expand: error: --input: an input is given twice",
        ),
        (
            ["compile", "a", "--summary", "--depth", "-1"],
            "archspec compile: error: argument --depth: '-1' is not a whole number of at least 0",
        ),
        (
            ["compile", "a", "--summary", "--batch-size", "0"],
            "archspec compile: error: argument --batch-size: "
            "'0' is not a whole number of at least 1",
        ),
        (["compile", "a", "--depth", "1"], "archspec compile: error: --depth needs --summary"),
        (
            ["compile", "a", "--batch-size", "2"],
            "archspec compile: error: --batch-size needs --summary",
        ),
        (["compile", "a", "--device", "cpu"], "archspec compile: error: --device needs --verify"),
        (
            ["compile", "a", "--sum"],
            "archspec compile: error: unrecognized arguments: --sum",
        ),
        (
            ["compile", "a", "--sumary"],
            "archspec compile: error: unrecognized arguments: --sumary (did you mean '--summary'?)",
        ),
        (["list", "b"], "archspec list: error: unrecognized arguments: b"),
        (
            ["list", "--ops", "--names"],
            "archspec list: error: argument --names: not allowed with argument --ops",
        ),
        (["--sumary"], "archspec: error: the following arguments are required: COMMAND"),
    ],
)
def test_wrong_usage(argv, said, capsys):
    assert usage_error(argv, capsys) == said


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"archspec {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "examples:\n" in text and f"archspec {command}" in text.split("examples:")[1]
    assert all(len(line) <= 100 for line in text.splitlines())


def test_examples_in_help_parse():
    parser = build_parser()
    for name in COMMANDS:
        for line in declared(name).examples.splitlines():
            if line.startswith("archspec"):
                words = line.split(">")[0].split()[1:]
                assert parse(words).command == name
                assert parser.parse_args(words).command == name


def complete_in_bash(line: str, folder) -> list[str]:
    words = line.split(" ")
    script = f"""
archspec() {{ printf 'densenet\\ntorchvision/resnet18\\n'; }}
compopt() {{ :; }}
{bash_script({name: declared(name) for name in COMMANDS}, ())}
COMP_WORDS=({" ".join(f"'{word}'" for word in words)})
COMP_CWORD={len(words) - 1}
_archspec
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    result = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, cwd=folder, check=True
    )
    assert result.stderr == ""
    return [line for line in result.stdout.splitlines() if line]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("archspec comp", ["compile", "completion"]),
        ("archspec compile --s", ["--set", "--size", "--summary"]),
        ("archspec compile densenet --format ", ["table", "json"]),
        ("archspec compile densenet --depth ", []),
        ("archspec compile tor", ["torchvision/resnet18"]),
        ("archspec check my", ["my net.yaml", "my_folder"]),
        ("archspec completion z", ["zsh"]),
        ("archspec schema x", []),
    ],
)
def test_bash_completes(line, found, tmp_path):
    (tmp_path / "my net.yaml").touch()
    (tmp_path / "my.txt").touch()
    (tmp_path / "my_folder").mkdir()
    assert complete_in_bash(line, tmp_path) == found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_sound_and_name_every_option(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for name in COMMANDS:
        assert name in script
        assert all(flag.lstrip("-") in script for flag in declared(name).flags)
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
def test_fish_completes(capsys):
    main(["completion", "fish"])
    script = capsys.readouterr().out + "complete -C 'archspec compile x --su'\n"
    result = subprocess.run(["fish", "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["--summary", "print", "the", "table", "of", "layers"]


def test_help_imports_nothing_heavy():
    program = (
        "import sys\n"
        "from archspec.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print({'torch', 'rich', 'numpy', 'importlib.metadata'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (result.returncode, result.stdout.splitlines()[-1]) == (0, "set()")


def test_another_distribution_of_the_name_is_told_from_this_one(monkeypatch, capsys):
    monkeypatch.delattr("archspec.__all__")  # its __init__.py has written over ours
    assert main(["check", "lenet_bn"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("archspec: error: another distribution of the name archspec")
    assert "pip uninstall archspec" in said
