"""`archspec compile SPEC`: figures, summary and verification of one spec."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from archspec.cli.command import Arguments, Command, Option
from archspec.cli.options import (
    COMPILING,
    WEIGHTS,
    formats,
    refuse_idle_weights,
    renames,
    size,
    whole,
)
from archspec.cli.output import (
    columns,
    paint_for,
    write,
    write_diagnostics,
    write_json,
)
from archspec.cli.specs import as_dicts, figures, line_of_figures, load, shape_text
from archspec.diagnostics.diagnostic import Code, Diagnostic, SpecError
from archspec.ir.types import PRECISION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from archspec.analyses.summary import Summary
    from archspec.architecture import Architecture
    from archspec.contracts.contract import Contract
    from archspec.contracts.formulas import Formulas
    from archspec.verify import Report
    from archspec.weights import LoadReport as WeightsReport

COMMAND = Command(
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
    "archspec compile torchvision/resnet50 --set num_classes=10 --weights r50.pth --partial\n"
    "archspec compile unet.yaml --contract H,W",
    (
        *COMPILING,
        Option("--summary", "print the table of layers", action="store_true"),
        Option(
            "--verify",
            "run the real module forward and backward and compare it with the static figures",
            action="store_true",
        ),
        Option(
            "--depth",
            "with --summary: show N levels of blocks, deeper ones folded (0: totals alone)",
            metavar="N",
            type=whole(0),
            expected="a whole number of at least 0",
        ),
        Option(
            "--batch-size",
            "with --summary: the batch size that memory is given for (default: 1)",
            metavar="B",
            type=whole(1),
            expected="a whole number of at least 1",
        ),
        Option(
            "--contract",
            "print at which sizes of its input the spec compiles to this network, and which node "
            "asks; NAMES are of the last sizes: H,W, or S,S for squares",
            metavar="NAMES",
            dest="symbols",
        ),
        Option(
            "--at",
            "print the figures at other sizes too, which the contract must accept: H=448",
            metavar="NAME=SIZE",
            type=size,
            expected="of the form NAME=SIZE, as in H=448",
            action="append",
            default=[],
        ),
        Option(
            "--dtype",
            "give the bytes of, verify or load weights into a network whose floats are of this "
            "precision: float32 (default), bfloat16, float16 or float64",
            metavar="T",
        ),
        Option("--device", "with --verify: the device to run on (default: cpu)", metavar="D"),
        *WEIGHTS,
        *formats(),
    ),
)

SMALL = 500_000_000
"""MACs up to which a network is verified on one thread: as fast on two idle cores, and up to three
times faster where others use them too."""


def run(args: Arguments) -> int:
    """Print what the options ask for; 1 where verification fails. Raises `SpecError`."""
    _refuse_idle_options(args)
    args.dtype = _precision(args)
    try:
        arch = load(args)
        # A module without memory is enough to say what fits.
        weights = args.weights and _load_weights(_built(arch, "meta", args), arch, args)
    except SpecError as error:
        if args.format == "json":
            write_json({"diagnostics": as_dicts(error.diagnostics)})
        raise
    return _json(arch, args, weights) if args.format == "json" else _table(arch, args, weights)


def _precision(args: Arguments) -> str:
    """What --dtype says; what is none is wrong usage."""
    if args.dtype is None:
        return PRECISION
    from archspec.ir.precision import precision_of

    try:
        return precision_of(args.dtype)
    except ValueError as error:
        args.error(f"--dtype: {error}")


def _load_weights(net: nn.Module, arch: Architecture, args: Arguments) -> WeightsReport:
    """Loads --weights and says what became of each key. Raises `SpecError`."""
    from archspec.weights import load_weights

    return load_weights(
        net,
        args.weights,
        renames=renames(args),
        partial=args.partial,
        network=arch.name,
    )


def _refuse_idle_options(args: Arguments) -> None:
    """An option without its switch would be ignored in silence."""
    for option, given, switch in (
        ("--depth", args.depth is not None, "summary"),
        ("--batch-size", args.batch_size is not None, "summary"),
        ("--device", args.device is not None, "verify"),
    ):
        if given and not getattr(args, switch):
            args.error(f"{option} needs --{switch}")
    refuse_idle_weights(args)


def _table(arch: Architecture, args: Arguments, weights: WeightsReport | None) -> int:
    write_diagnostics(arch.warnings)
    contract = list(_contract_lines(arch, args))  # before anything is written: it may be refused
    if args.summary:
        show_summary(_summary(arch, args))
    elif not args.verify:
        write(f"{arch.name}: {line_of_figures(arch)}{_size(arch, args)}")
    if contract:
        write("\n".join(contract))
    if weights is not None:
        write(f"\n{weights}" if args.summary else str(weights))
    if not args.verify:
        return 0
    # The table is there to read while the real network runs.
    sys.stdout.flush()
    report = _verify(arch, args)
    if args.summary:
        write("")
    write(str(report), sys.stdout if report.ok else sys.stderr)
    return 0 if report.ok else 1


def _json(arch: Architecture, args: Arguments, weights: WeightsReport | None) -> int:
    result = _summary(arch, args).as_dict() if args.summary else figures(arch)
    if args.dtype != PRECISION and not args.summary:
        result |= {"dtype": args.dtype, "state_dict_bytes": _state_dict_bytes(arch, args)}
    result["warnings"] = as_dicts(arch.warnings)
    if (contract := _contract(arch, args)) is not None:
        result["contract"] = contract.as_dict()
        result["formulas"] = _formulas(contract, args).as_dict()
        if args.at:
            result["at"] = _at(arch, contract, args)
    if weights is not None:
        result["weights"] = weights.as_dict()
    ok = True
    if args.verify:
        report = _verify(arch, args)
        result["verify"] = report.as_dict()
        ok = report.ok
        if not ok:
            write(str(report), sys.stderr)
    write_json(result)
    return 0 if ok else 1


def _contract(arch: Architecture, args: Arguments) -> Contract | None:
    """Where the spec declares sizes, or --contract names some. Raises `SpecError`."""
    if args.symbols is None and not arch.sizes:
        if args.at:
            args.error("--at needs sizes with names: --contract H,W, or `sizes:` in the spec")
        return None
    return arch.contract(args.symbols)


def _contract_lines(arch: Architecture, args: Arguments) -> Iterator[str]:
    """The contract and the formulas, where they are asked for. Raises `SpecError`."""
    if args.symbols is None and not args.summary and not args.at:
        return
    contract = _contract(arch, args)
    if contract is None:
        return
    if args.symbols is not None or args.summary:
        yield from contract.lines()
    if args.summary:
        yield from _formulas(contract, args).lines()
    if args.at:
        found = _at(arch, contract, args)
        values = ", ".join(f"{name} = {value}" for name, value in found["sizes"].items())
        shapes = " → ".join(
            [
                shape_text(found["input_shape"], arch.input_dtype),
                shape_text(found["output_shape"], arch.output_dtype),
            ]
        )
        yield (
            f"at {values}: {shapes}, {found['macs']:,} MACs, "
            f"{found['saved_bytes']:,} bytes saved for backward of one sample"
        )


def _at(arch: Architecture, contract: Contract, args: Arguments) -> dict[str, Any]:
    """The figures at the sizes of --at. Raises `SpecError` where they are not legal."""
    from archspec.analyses.summary import summarise

    unknown = [name for name, _ in args.at if name not in contract.stated]
    if unknown:
        args.error(f"--at: no size is called {unknown[0]}; there is {', '.join(contract.stated)}")
    values = {**contract.stated, **dict(args.at)}
    refusal, graph = contract.refusal(**values), contract.graph_at(**values)
    if refusal is not None or graph is None:
        raise SpecError([Diagnostic(Code.SHAPE, refusal or "it does not compile there")])
    said = summarise(graph, arch.name, precision=args.dtype).as_dict()
    kept = ("input_shape", "output_shape", "macs", "activation_bytes", "saved_bytes")
    return {"sizes": values, **{name: said[name] for name in kept}}


def _formulas(contract: Contract, args: Arguments) -> Formulas:
    from archspec.contracts.formulas import Formulas

    return Formulas(contract, args.dtype)


def _size(arch: Architecture, args: Arguments) -> str:
    """The end of the line of figures, where another precision is asked for."""
    if args.dtype == PRECISION:
        return ""
    from archspec.analyses.table import size

    return f", {size(_state_dict_bytes(arch, args))} in {args.dtype}"


def _state_dict_bytes(arch: Architecture, args: Arguments) -> int:
    from archspec.analyses.cost import Costs

    return Costs(arch.graph, args.dtype).total.state_dict_bytes


def _summary(arch: Architecture, args: Arguments) -> Summary:
    return arch.summary(depth=args.depth, batch_size=args.batch_size or 1, dtype=args.dtype)


def show_summary(summary: Summary) -> None:
    """The table in the terminal's width and colours, or plain where the output goes elsewhere."""
    from archspec.analyses.table import summary_text

    write(summary_text(summary, columns(), paint_for(sys.stdout)))


def _verify(arch: Architecture, args: Arguments) -> Report:
    say = _progress if sys.stderr.isatty() else None
    if say:
        say("importing torch")
    from archspec.verify import verify

    device = args.device or "cpu"
    if args.device:
        _check_device(args)
    elif arch.macs is not None and arch.macs <= SMALL:
        import torch

        torch.set_num_threads(1)
    build = (lambda: _filled(arch, args)) if args.weights is not None else None
    report = verify(
        arch.graph,
        name=arch.name,
        emitted=arch.emitted,
        elsewhere=arch.elsewhere(),
        checks=arch.size_checks(),
        device=device,
        build=build,
        progress=say,
        precision=args.dtype,
    )
    if say:
        say("")
    return report


def _progress(what: str) -> None:
    """One line of standard error, written over by the next."""
    sys.stderr.write(f"\r\x1b[Kverifying: {what}" if what else "\r\x1b[K")
    sys.stderr.flush()


def _filled(arch: Architecture, args: Arguments) -> nn.Module:
    net = _built(arch, args.device or "cpu", args)
    _load_weights(net, arch, args)
    return net


def _built(arch: Architecture, device: str, args: Arguments) -> nn.Module:
    return arch.build(device, seed=0, dtype=args.dtype)


def _check_device(args: Arguments) -> None:
    """A device that this machine has not is wrong usage."""
    import torch

    try:
        usable = torch.empty(0, device=args.device).device.type != "meta"
        reason = "computes nothing"
    except (RuntimeError, AssertionError) as error:
        usable, reason = False, str(error).splitlines()[0]
    if not usable:
        args.error(f"--device {args.device}: {reason}")
