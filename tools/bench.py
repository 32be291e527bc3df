"""Speed of archspec against named alternatives, as ratios within one run.

    python tools/bench.py                      everything (about two minutes)
    python tools/bench.py process compile growth symbols forward contract pair meta check
    python tools/bench.py --against WORKTREE   this revision against another one

Every figure is the median of paired runs. The two sides take turns, so that a change in the
machine's speed affects both. The exit status is 1 if a ratio misses the bar printed beside it.
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DENSENET121 = ROOT / "specs" / "torchvision" / "densenet121.yaml"

TORCHINFO = """
import torchinfo, torchvision
print(torchinfo.summary(torchvision.models.densenet121(), (1, 3, 224, 224)))
"""

FIRST_LOAD = """
import os, sys, time, archspec
from archspec.ir.op import REGISTRY
archspec.loads("input: [3]\\nlayers: [relu]").macs
list(REGISTRY.values())  # imports every op: what that costs is in the figure of a whole process
text, folder = open(sys.argv[1]).read(), os.path.dirname(sys.argv[1])
start = time.process_time()
arch = archspec.loads(text, folder=folder)
arch.num_parameters, arch.macs
print(time.process_time() - start)
"""
"""From text to costs with nothing cached yet, by the archspec of the current folder."""

Figures = list[tuple[str, float, float, bool]]


def process(command: list[str], tree: Path = ROOT) -> tuple[float, float, float]:
    """Wall seconds, peak MiB and CPU seconds of a process in the folder `tree`. It must succeed."""
    start = time.perf_counter()
    # Both sides run from compiled bytecode, as an installed program does.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    child = subprocess.Popen(command, cwd=tree, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{command} exited with {child.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return seconds, usage.ru_maxrss * unit / 2**20, usage.ru_utime + usage.ru_stime


def in_turn(
    ours: Callable[[], tuple[float, ...]], theirs: Callable[[], tuple[float, ...]], runs: int
) -> Iterator[tuple[float, float]]:
    """The medians of both sides for each figure of a run, after one warm-up."""
    pairs = [(ours(), theirs()) for _ in range(runs + 1)][1:]
    for figure in range(len(pairs[0][0])):
        a, b = (statistics.median(pair[side][figure] for pair in pairs) for side in (0, 1))
        yield a, b


def once(function: Callable[[], object]) -> float:
    """Seconds of one call, with the garbage collector switched off."""
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        function()
        return time.perf_counter() - start
    finally:
        gc.enable()


def paired(a: Callable[[], object], b: Callable[[], object], runs: int) -> tuple[float, float]:
    """Median seconds of each, taken in turns after one warm-up."""
    a(), b()
    times = [(once(a), once(b)) for _ in range(runs)]
    return statistics.median(t for t, _ in times), statistics.median(t for _, t in times)


def bench_process() -> Figures:
    """`compile densenet121 --summary` as a process against torchinfo's summary of torchvision's."""
    ours = [sys.executable, "-m", "archspec", "compile", str(DENSENET121), "--summary"]
    theirs = [sys.executable, "-c", TORCHINFO]
    seconds, memory, _ = in_turn(lambda: process(ours), lambda: process(theirs), 5)
    print(f"  archspec  {seconds[0] * 1e3:8.0f} ms {memory[0]:8.1f} MiB")
    print(f"  torchinfo {seconds[1] * 1e3:8.0f} ms {memory[1]:8.1f} MiB")
    faster, leaner = seconds[1] / seconds[0], memory[1] / memory[0]
    return [
        ("times faster than torchinfo, whole process", faster, 20, faster >= 20),
        ("times less memory than torchinfo", leaner, 20, leaner >= 20),
    ]


def forget() -> None:
    """Drops blocks and expressions that were read before."""
    from archspec.document import blocks
    from archspec.expressions import parse as expressions

    blocks._LIBRARY.clear()
    expressions.parse.cache_clear()


def cold_load(text: str, folder: Path) -> None:
    """From text to a checked graph with shapes and costs, without cached blocks or expressions."""
    import archspec

    forget()
    arch = archspec.loads(text, folder=folder)
    assert arch.num_parameters and arch.macs


def cold_symbols(text: str, folder: Path) -> None:
    """The same of a spec that declares sizes, which stay symbols: shapes and costs are formulas."""
    from archspec.analyses.cost import Costs
    from archspec.contracts.derive import declared_sizes
    from archspec.diagnostics.diagnostic import Source
    from archspec.expand.program import read_document, trial
    from archspec.sizes.formula import Ring
    from archspec.sizes.size import Size
    from archspec.text.limits import DEFAULT

    forget()
    spec, given = read_document(Source("spec", text), str(folder), {}, DEFAULT, False)
    found = trial(spec, given, None, {}, declared_sizes(spec), DEFAULT, Ring())
    assert found.graph is not None
    assert isinstance(Costs(found.graph).total.macs, Size)


def bench_compile() -> Figures:
    """From text to a graph with costs, against one pass of torchvision's module on `meta`."""
    import torch
    import torchvision

    text = DENSENET121.read_text()
    with torch.device("meta"):
        net = torchvision.models.densenet121().eval()
        image = torch.empty(1, 3, 224, 224)
    ours, theirs = paired(lambda: cold_load(text, DENSENET121.parent), lambda: net(image), 15)
    print(f"  archspec, text to costs {ours * 1e3:8.1f} ms")
    print(f"  one meta forward        {theirs * 1e3:8.1f} ms")
    return [("of the time of a meta forward", ours / theirs, 0.2, ours / theirs <= 0.2)]


def bench_symbols() -> Figures:
    """From text to costs of densenet121 with symbols for the sizes of images, against numbers."""
    numbers, folder = DENSENET121.read_text(), DENSENET121.parent
    stated = "input: [3, 224, 224]"
    assert stated in numbers
    symbols = numbers.replace(stated, "sizes: {H: 224, W: 224}\ninput: [3, H, W]")
    a, b = paired(lambda: cold_symbols(symbols, folder), lambda: cold_load(numbers, folder), 31)
    print(f"  symbols {a * 1e3:8.1f} ms, numbers {b * 1e3:8.1f} ms")
    return [("of the time with numbers", a / b, 1.5, a / b <= 1.5)]


def chain(length: int) -> str:
    """A spec of that many nodes in one list, written out without `repeat`."""
    lines = ["input: [8, 8, 8]", "layers:"]
    for index in range(length // 2):
        lines.append(f"  - conv2d: {{out_channels: {8 + index % 5}, kernel_size: 1}}")
        lines.append("  - relu")
    return "\n".join(lines)


def bench_growth() -> Figures:
    """A chain of 20,000 nodes against one of 1,000."""
    short, long = chain(1_000), chain(20_000)
    a, b = paired(lambda: cold_load(long, ROOT), lambda: cold_load(short, ROOT), 5)
    print(f"  20,000 nodes {a * 1e3:8.1f} ms, 1,000 nodes {b * 1e3:8.1f} ms")
    return [("times the time for 20 times the nodes", a / b, 20, a / b <= 20)]


def bench_forward() -> Figures:
    """The emitted modules at batch 1 against hand-written ones of the same nesting."""
    import torch
    from handwritten import Densenet, LenetBN

    import archspec

    torch.set_num_threads(1)
    figures: Figures = []
    cases = (
        ("lenet_bn", LenetBN, (1, 1, 28, 28), 3000),
        ("densenet", Densenet, (1, 1, 96, 96), 60),
    )
    for name, handwritten, shape, calls in cases:
        ours = archspec.compile(name, seed=0).eval()
        theirs = handwritten().eval()
        theirs.load_state_dict(ours.state_dict())
        image = torch.randn(shape)
        with torch.no_grad():
            assert torch.equal(ours(image), theirs(image)), name

            def run(net: torch.nn.Module, image: torch.Tensor = image, calls: int = calls) -> None:
                for _ in range(calls // 20):
                    net(image)

            a, b = paired(lambda net=ours: run(net), lambda net=theirs: run(net), 61)
        per = calls // 20
        print(f"  {name}: emitted {a / per * 1e6:.1f} us, by hand {b / per * 1e6:.1f} us")
        figures.append((f"of the time of {name} by hand", a / b, 1.02, a / b <= 1.02))
    return figures


def with_symbols(name: str) -> str:
    """The text of a bundled spec of images, with symbols for their height and width."""
    import archspec

    text = archspec.load(name, warn=False).expand()
    (stated,) = re.findall(r"^input: \[(\d+), (\d+), (\d+)\]$", text, re.MULTILINE)
    channels, height, width = stated
    old = f"input: [{channels}, {height}, {width}]"
    return text.replace(old, f"sizes: {{H: {height}, W: {width}}}\ninput: [{channels}, H, W]")


def bench_contract() -> Figures:
    """The lines that refuse sizes outside the contract, against a forward pass of their module."""
    import torch

    import archspec
    from archspec.emit import namespace
    from archspec.emit.checks import check_lines
    from archspec.emit.classes import make_function

    torch.set_num_threads(1)
    figures: Figures = []
    cases = (("resnet18", 1, 11), ("lenet_bn", 32, 61), ("torchvision/densenet121", 1, 11))
    for name, batch, runs in cases:
        arch = archspec.loads(with_symbols(name), warn=False)
        net = arch.build(seed=0).eval()
        lines = list(check_lines(arch.size_checks(), ["x"]))
        source = "".join(f"    {line}\n" for line in ["pass", *lines])
        check = make_function(f"def check(x):\n{source}", "<check>", vars(namespace))
        image = torch.randn(batch, *arch.input_shape[1:])

        def checks(check: Callable[..., object] = check, image: torch.Tensor = image) -> None:
            for _ in range(1000):
                check(image)

        with torch.inference_mode():
            a, b = paired(checks, lambda net=net, image=image: net(image), runs)
        a /= 1000
        print(f"  {name}, batch {batch}: {a * 1e6:.2f} us of {b * 1e3:.2f} ms, {len(lines)} lines")
        figures.append((f"% of a forward pass of {name}", 100 * a / b, 1, a / b <= 0.01))
    return figures


def bench_pair() -> Figures:
    """lenet_bn in batches of 32, as a module that checks sizes and as the one without these lines.

    More than the lines differs: a chain without them is an `nn.Sequential`, and one with them has a
    generated `forward`. There is no bar; `contract` has the lines alone.
    """
    import torch

    import archspec
    from archspec.emit import emit

    torch.set_num_threads(1)
    arch = archspec.loads(with_symbols("lenet_bn"), warn=False)
    checked, bare = arch.build(seed=0).eval(), emit(arch.emitted, name=arch.name).eval()
    bare.load_state_dict(checked.state_dict())
    image, turns = torch.randn(32, *arch.input_shape[1:]), 600
    times: dict[torch.nn.Module, list[float]] = {checked: [], bare: []}
    with torch.inference_mode():
        assert torch.equal(checked(image), bare(image))
        for net in (checked, bare, bare, checked) * turns:
            start = time.perf_counter()
            net(image)
            times[net].append(time.perf_counter() - start)
    for what, of in (("least", min), ("median", statistics.median)):
        a, b = (of(each) * 1e6 for each in times.values())
        print(f"  with checks {a:.1f} us, without {b:.1f} us, the {what} of {2 * turns}")
    return []


def bench_meta() -> Figures:
    """Building densenet121 on `meta` against torchvision's own constructor."""
    import torch
    import torchvision

    import archspec

    arch = archspec.load(DENSENET121)

    def theirs() -> None:
        with torch.device("meta"):
            torchvision.models.densenet121()

    a, b = paired(lambda: arch.build(device="meta"), theirs, 15)
    print(f"  archspec {a * 1e3:8.1f} ms, torchvision {b * 1e3:8.1f} ms")
    return [("of the time of torchvision's constructor", a / b, 1.0, a / b <= 1.0)]


def bench_check() -> Figures:
    """`check` of a 200-line spec as a process against `import torch`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.yaml"
        path.write_text(chain(198))
        ours = [sys.executable, "-m", "archspec", "check", str(path)]
        theirs = [sys.executable, "-c", "import torch"]
        (a, b), *_ = in_turn(lambda: process(ours), lambda: process(theirs), 5)
    print(f"  archspec check {a * 1e3:8.0f} ms, import torch {b * 1e3:8.0f} ms")
    return [("of the time of `import torch`", a / b, 0.2, a / b <= 0.2)]


def cpu(command: list[str], tree: Path) -> tuple[float]:
    """CPU seconds of one process. Other processes disturb them less than wall seconds."""
    return (process(command, tree)[2],)


def first_load(tree: Path) -> tuple[float]:
    """CPU seconds from text to costs of densenet121, by the archspec in the folder `tree`."""
    command = [sys.executable, "-c", FIRST_LOAD, str(DENSENET121)]
    return (float(subprocess.check_output(command, cwd=tree)),)


def bench_against(tree: Path) -> Figures:
    """CPU time of this revision against that of another one. The bars are for 54d570e."""
    archspec = [sys.executable, "-m", "archspec"]
    summary = [*archspec, "compile", "torchvision/densenet121", "--summary"]
    check = [*archspec, "check", str(ROOT / "specs" / "densenet.yaml")]
    figures: Figures = []
    for what, bar, run in (
        ("compile densenet121 --summary", 0.72, lambda tree: cpu(summary, tree)),
        ("check of a spec with a recipe", 0.5, lambda tree: cpu(check, tree)),
        ("text to costs", 0.85, first_load),
    ):
        a, b = next(in_turn(lambda run=run: run(ROOT), lambda run=run: run(tree), 21))
        print(f"  {what}: here {a * 1e3:.1f} ms, there {b * 1e3:.1f} ms")
        figures.append((f"of its time: {what}", a / b, bar, a / b <= bar))
    return figures


BENCHES = {
    "process": bench_process,
    "check": bench_check,
    "compile": bench_compile,
    "growth": bench_growth,
    "symbols": bench_symbols,
    "forward": bench_forward,
    "contract": bench_contract,
    "pair": bench_pair,
    "meta": bench_meta,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench", nargs="*", choices=[*BENCHES, []], default=[])
    parser.add_argument("--against", metavar="WORKTREE", type=Path)
    args = parser.parse_args()
    benches: dict[str, Callable[[], Figures]] = BENCHES
    chosen = args.bench or list(benches)
    if args.against:
        benches = {**BENCHES, "against": lambda: bench_against(args.against.resolve())}
        chosen = [*args.bench, "against", "growth"]
    failed = False
    for name in chosen:
        print(f"{name}: {benches[name].__doc__ or bench_against.__doc__}")
        for what, ratio, bar, ok in benches[name]():
            print(f"  {ratio:8.3f} {what}  (bar {bar:g}: {'met' if ok else 'MISSED'})")
            failed |= not ok
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
