"""The commands and their options. Nothing is imported here that a mere --help does not need."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from archspec import __version__
from archspec.diagnostics.diagnostic import did_you_mean

Subparsers = Any  # argparse names the type of add_subparsers() privately only

SPEC_HELP = "a YAML file, the name of a bundled spec (see `archspec list`), or - for stdin"


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The whole command line, or one `command` of it. Each sets `command`, its module's name."""
    parser = argparse.ArgumentParser(
        prog="archspec",
        description="Compile declarative YAML architectures into verified torch modules.",
        epilog="exit status: 0 fine; 1 the spec is wrong, or real figures differ; 2 wrong usage",
    )
    parser.add_argument("--version", action="version", version=f"archspec {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    every = _adders()
    for add in [every[command]] if command in every else every.values():
        add(commands)
    return parser


def _adders() -> dict[str, Callable[[Subparsers], None]]:
    return {
        "compile": _add_compile,
        "check": _add_check,
        "explain": _add_explain,
        "expand": _add_expand,
        "list": _add_list,
        "schema": _add_schema,
        "completion": _add_completion,
        **{name: partial(_add_training, name) for name in ("train", "evaluate", "predict", "runs")},
    }


def _add_training(name: str, commands: Subparsers) -> None:
    from archspec.cli import training_options

    training_options.adders(_add, _add_spec, _add_format)[name](commands)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments; what no command knows is its own mistake, with the option that was meant."""
    given = sys.argv[1:] if argv is None else argv
    # The others' options would take longer to make than most specs to compile.
    args, unknown = build_parser(given[0] if given else None).parse_known_args(argv)
    if unknown:
        options = re.findall(r"(?<![\w-])--[a-z][a-z-]*", args.parser.format_help())
        word = unknown[0].partition("=")[0]
        near = did_you_mean(word, dict.fromkeys(options)) if word.startswith("-") else None
        hint = f" ({near})" if near else ""
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    return args


def _add(
    commands: Subparsers, name: str, summary: str, description: str, examples: str
) -> argparse.ArgumentParser:
    lines = "\n".join(f"  {line}" for line in examples.splitlines())
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=f"examples:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=name, parser=parser)
    return parser


def _add_compile(commands: Subparsers) -> None:
    parser = _add(
        commands,
        "compile",
        "check a spec; print its figures, its summary; verify it",
        "Check a spec and print a line of figures. With --summary, print its layers with shapes,\n"
        "parameters and MACs; with --verify, build the module and hold it against all of them.\n"
        "torch is imported for --verify and --weights alone. --weights says which keys of the\n"
        "network a file of weights has, and which not.",
        "archspec compile densenet --summary\n"
        "archspec compile specs/densenet.yaml --summary --depth 1 --batch-size 256\n"
        "archspec compile densenet --set growth_rate=12 --set num_classes=100\n"
        "archspec compile resnet18 --verify --input 1x64x64\n"
        "archspec compile torchvision/resnet50 --summary --format json > resnet50.json\n"
        "archspec compile torchvision/resnet50 --weights ResNet50_Weights.IMAGENET1K_V2\n"
        "archspec compile torchvision/resnet50 --set num_classes=10 --weights r50.pth --partial",
    )
    _add_spec(parser)
    parser.add_argument("--summary", action="store_true", help="print the table of layers")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="run the real module forward and backward and compare it with the static figures",
    )
    parser.add_argument(
        "--depth",
        type=_natural,
        metavar="N",
        help="with --summary: show N levels of blocks, deeper ones folded (0: totals alone)",
    )
    parser.add_argument(
        "--batch-size",
        type=_positive,
        metavar="B",
        help="with --summary: the batch size that memory is given for (default: 1)",
    )
    parser.add_argument(
        "--device", metavar="D", help="with --verify: the device to run on (default: cpu)"
    )
    _add_weights(parser)
    _add_format(parser)


def _add_check(commands: Subparsers) -> None:
    parser = _add(
        commands,
        "check",
        "check specs and name every mistake",
        "Check each spec and print a line of figures for it. Mistakes go to standard error.\n"
        "With --fix, misspelt words and leftovers of YAML 1.1 are mended in the file where there\n"
        "is one way to do so; comments and layout stay.",
        "archspec check my_network.yaml\n"
        "archspec check my_network.yaml --fix\n"
        "archspec check specs/*.yaml --format json\n"
        "archspec check specs/*.yaml --format sarif > archspec.sarif",
    )
    parser.add_argument("specs", nargs="+", metavar="SPEC", help=SPEC_HELP)
    parser.add_argument("--fix", action="store_true", help="mend in the files what is certain")
    _add_allowed(parser)
    _add_ignore(parser)
    _add_format(parser, "sarif")


def _add_explain(commands: Subparsers) -> None:
    parser = _add(
        commands,
        "explain",
        "explain the code of an error or warning",
        "Print what a code means at length, with a wrong and a right example.\n"
        "Without a code, list all of them.",
        "archspec explain AS401\narchspec explain",
    )
    parser.add_argument("code", nargs="?", metavar="CODE", help="a code, such as AS401")
    _add_format(parser)


def _add_expand(commands: Subparsers) -> None:
    parser = _add(
        commands,
        "expand",
        "print the resolved spec as YAML",
        "Print the spec as YAML without parameters, repeats, conditions and blocks: every node\n"
        "with the values that its expressions have.",
        "archspec expand densenet\narchspec expand densenet --set growth_rate=12 > small.yaml",
    )
    _add_spec(parser)


def _add_list(commands: Subparsers) -> None:
    parser = _add(
        commands,
        "list",
        "list the bundled specs, or the ops and blocks",
        "List the specs that come with archspec, a line of figures each; or the primitive ops and\n"
        "the standard blocks that specs are made of.",
        "archspec list\n"
        "archspec list --max-params 5M --max-macs 1G\n"
        "archspec list --name 'torchvision/resn*' --json\n"
        "archspec list --ops",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--names", action="store_true", help="the names of the specs alone")
    what.add_argument("--ops", action="store_true", help="the ops and blocks instead")
    parser.add_argument(
        "--name",
        metavar="GLOB",
        help="only specs whose name matches, with or without its folder: 'resnet*'",
    )
    for what_is, words in (("params", "parameters"), ("macs", "MACs")):
        for bound in ("min", "max"):
            parser.add_argument(
                f"--{bound}-{what_is}",
                type=_count,
                metavar="N",
                help=f"only specs of at {'least' if bound == 'min' else 'most'} N {words}, "
                "such as 500k, 5M or 1.5G",
            )
    _add_format(parser)


def _add_schema(commands: Subparsers) -> None:
    _add(
        commands,
        "schema",
        "print the JSON Schema of specs, for editors",
        "Print the JSON Schema (draft 2020-12) of the spec language. Editors with a YAML language\n"
        "server then complete and check keys, ops, blocks and their arguments. Name it in a spec:\n"
        "  # yaml-language-server: $schema=archspec.schema.json",
        "archspec schema > archspec.schema.json",
    )


def _add_completion(commands: Subparsers) -> None:
    parser = _add(
        commands,
        "completion",
        "print a shell completion script",
        "Print a script that completes commands, options and the names of bundled specs.",
        'eval "$(archspec completion bash)"    # in ~/.bashrc\n'
        'eval "$(archspec completion zsh)"     # in ~/.zshrc, after compinit\n'
        "archspec completion fish > ~/.config/fish/completions/archspec.fish",
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell")


def _add_spec(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC", help=SPEC_HELP)
    parser.add_argument(
        "--set",
        dest="params",
        action="append",
        default=[],
        type=_assignment,
        metavar="K=V",
        help="give the parameter K the value V, written as in YAML; may be repeated",
    )
    parser.add_argument(
        "--input",
        dest="inputs",
        action="append",
        default=[],
        type=_input,
        metavar="[NAME=]SIZES",
        help="another input size without the batch: 3x224x224; of several inputs, name=3x224x224",
    )
    _add_allowed(parser)
    _add_ignore(parser)


def _add_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights",
        metavar="FILE|NAME",
        help="a .pth or safetensors file, or a name that torchvision publishes; its keys must fit",
    )
    parser.add_argument(
        "--weights-map",
        action="append",
        default=[],
        metavar="OLD=NEW|FILE",
        help="with --weights: read keys below the path OLD as below NEW; may be repeated, or one "
        "YAML or JSON file of such pairs",
    )
    parser.add_argument(
        "--partial",
        action="store_true",
        help="with --weights: take what fits (as for a new head) and list the rest",
    )


def _add_allowed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--allow-outside",
        action="store_true",
        help="let `extends` and `use` read files outside the folder of the spec",
    )
    parser.add_argument(
        "--allow-module",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="let `module` nodes import and run code of this package; may be repeated",
    )


def _add_ignore(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="CODE",
        help="leave out the warnings of this code, such as AS903; may be repeated",
    )


def _add_format(parser: argparse.ArgumentParser, *more: str) -> None:
    also = "; sarif for code review tools" if "sarif" in more else ""
    parser.add_argument(
        "--format",
        choices=("table", "json", *more),
        default="table",
        help=f"table (default) to read; json with the names of the Python API{also}",
    )
    parser.add_argument(
        "--json", dest="format", action="store_const", const="json", help="short for --format json"
    )


def _natural(text: str) -> int:
    return _whole(text, 0)


def _positive(text: str) -> int:
    return _whole(text, 1)


def _whole(text: str, least: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return int(text)


def _count(text: str) -> int:
    """A number of parameters or MACs, with a decimal suffix where it is large."""
    scale = {"k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}.get(text[-1:].lower(), 1)
    digits = text if scale == 1 else text[:-1]
    if not re.fullmatch(r"\d{1,15}(\.\d{1,6})?", digits, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a count, such as 500k, 5M or 1.5G")
    whole, _, part = digits.partition(".")
    return int(whole) * scale + int(part or 0) * scale // int("1" + "0" * len(part))


def _assignment(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form K=V, as in growth_rate=12")
    return key.strip(), value


def _input(text: str) -> tuple[str | None, tuple[int, ...]]:
    name, equals, sizes = text.rpartition("=")
    try:
        shape = tuple(_positive(size) for size in sizes.lower().split("x"))
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a shape without the batch, as in 3x224x224"
        ) from None
    return name.strip() if equals else None, shape
