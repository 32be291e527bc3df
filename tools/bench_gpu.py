"""The trainer on a GPU: how fast it is, what a step does, and whether all that is said of it holds.

    python tools/bench_gpu.py --out gpu.json                     # some 8 minutes at most
    python tools/bench_gpu.py --out smoke.json --device cpu --smoke --only lenet_bn

Nothing is downloaded: random images of Fashion-MNIST's form stand in for it. For each of the nine
reference networks, with its published batch and size, four loops are timed: `course` (the course
text's own: PIL, DataLoader with 4 workers, figures read every step), `bare` (by hand over images
that lie ready on the device in their final size, float32 without TF32), `compiled` (the same in
bf16, channels-last, under torch.compile), and the trainer in fp32, in fp32 with TF32, and in bf16
(channels-last), without torch.compile and with it (`trainer compiled`).
First, side by side and untimed: every network is verified on the device, runs are repeated,
killed and resumed, fp16 overflows, the suite's CUDA tests run, and torch.compile fills its cache.
A cell that takes too long is ended, and the file is written anew after each.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
from gpu import checks
from gpu.cells import RECIPES, SMOKE, Scale, cells, warm_up
from gpu.supervise import Cell, Findings, failures, run
from gpu.table import table

from archspec.training.store.runs import now

CHECKING = 0.41
"""Of the whole time, what the untimed part may take."""


def card() -> dict[str, object]:
    """The device, as torch sees it; in a child, since the parent may not touch it."""
    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "memory": properties.total_memory,
        "multiprocessors": properties.multi_processor_count,
        "cudnn": torch.backends.cudnn.version(),
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--smoke", action="store_true", help="a few small steps of everything")
    parser.add_argument("--only", default="", help="networks, with commas between them")
    parser.add_argument("--parts", default="checks,timed", help="checks, timed, or both")
    parser.add_argument("--seconds", type=float, default=460.0, help="when to end at the latest")
    args = parser.parse_args(argv)
    started = time.monotonic()
    names = args.only.split(",") if args.only else list(RECIPES)
    if unknown := [name for name in names if name not in RECIPES]:
        parser.error(f"no reference network: {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    scale = SMOKE if args.smoke else Scale()
    # Nothing here asks for the card: that would make CUDA unusable in forked children.
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    findings = Findings(args.out, {"started": now(), **versions, "cuda": torch.version.cuda})
    with tempfile.TemporaryDirectory() as cache:
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", cache)
        os.environ.setdefault("TRITON_CACHE_DIR", f"{cache}/triton")
        os.environ.setdefault("TORCHINDUCTOR_MAX_AUTOTUNE_REPORT_CHOICES_STATS", "0")
        if args.device == "cuda":
            run([[Cell("checks", "card", 60, card)]], findings, started + args.seconds)
        if "checks" in args.parts:
            chains = checks.chains(names, args.device, scale)
            if args.device == "cuda" and "timed" in args.parts:
                chains += [
                    [Cell("compile", name, 200, partial(warm_up, name, args.device, scale))]
                    for name in names
                ]
            share = CHECKING if "timed" in args.parts else 1.0
            run(chains, findings, started + share * args.seconds)
        if "timed" in args.parts:
            for name in names:
                run([cells(name, args.device, scale)], findings, started + args.seconds)
    print("\n".join(["", *table(findings.found)]))
    wrong = list(failures(findings.found))
    print("\n".join(["", f"{len(wrong)} of the cells broke or do not hold", *wrong]))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
