"""Damages run folders, and checks that every command says so. There should be no finding.

    python tools/fuzz_runs.py --cases 10000 --seed 1

Each case copies a small run, which is finished or was stopped within an epoch, and damages one of
its files. The file is cut, emptied, deleted or another run's; bits are flipped, a folder takes its
place, or its keys get values of wrong types, in checkpoints with a checksum that fits. Then
`train --resume`, `evaluate`, `predict` or `runs` runs on the copy, in this process. A finding is

* an exception, or a status other than 0 and 1;
* status 1 without an error on standard error;
* a `train --resume` that was refused and still changed a file;
* a `train --resume` that succeeded with other figures than the undamaged run;
* an `evaluate` with other figures, or with those of other weights than asked for without a note.

Equal arguments give equal cases. `--only N` runs one case and prints what the command says.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import torch

import archspec
from archspec.cli import main as command_line
from archspec.training.errors import Stopped
from archspec.training.loop import Listener
from archspec.training.store import checkpoint

SPEC = """
name: small
input: [1, 8, 8]
params: {num_classes: 10, width: 2}
layers:
  - conv2d: {out_channels: width, kernel_size: 3, stride: 2, bias: false}
  - batch_norm
  - flatten
  - linear: num_classes
train:
  {dataset: digits, batch_size: 16, epochs: 2, lr: 0.01, limit_train: 60, limit_test: 20, ema: 0.9,
   optimizer: sgd, momentum: 0.9, memory_format: contiguous, threads: 1}
"""
FILES = (
    *("spec.yaml", "config.yaml", "run.json", "environment.json", "metrics.jsonl", "result.json"),
    *("report.md", "checkpoints/last.safetensors", "checkpoints/previous.safetensors"),
    *("checkpoints/best.safetensors", "checkpoints"),
)
WRITTEN_AT_THE_END = ("report.md", "result.json")
COMMANDS = ("resume", "resume", "evaluate", "evaluate --last", "predict", "runs", "runs of folder")
JUNK = (
    *(None, True, False, -1, 0, 1, 3.5, 10**30, float("nan"), float("inf"), -1e308, ""),
    *("text", "\0", "\ud83d\ude00", "no", [], [[]], [1], ["a", 2], {}, {"a": 1}, {"$tensor": "x"}),
)


class Case(NamedTuple):
    """What is damaged and how, and which command then runs. `number` seeds everything random."""

    number: int
    base: str
    file: str
    damage: str
    command: str

    def __str__(self) -> str:
        return (
            f"case {self.number}: {self.file} of a {self.base} run, {self.damage}: {self.command}"
        )


class Answer(NamedTuple):
    """What a command did."""

    status: int
    out: str
    err: str
    failure: str | None = None


@dataclass
class Result:
    """The result of a run of the fuzzer, with the first case of each kind of finding."""

    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: dict[str, Case] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{self.cases:,} cases"]
        lines += [f"  {count:>7,} {name}" for name, count in sorted(self.outcomes.items())]
        lines.append(f"  {len(self.findings):>7,} findings")
        lines += [f"{what}\n  {case}" for what, case in self.findings.items()]
        return "\n".join(lines)


class Runs:
    """The undamaged runs, and what the commands say of them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.spec, self.image = folder, folder / "small.yaml", folder / "image.png"
        self.spec.write_text(SPEC, encoding="utf-8")
        _white(self.image)
        _train(folder / "finished", self.spec)
        _train(folder / "stopped", self.spec, stop_at=6)
        _train(folder / "same network", self.spec, seed=1)
        _train(folder / "wider network", self.spec, params={"width": 3})
        self.figures: dict[tuple[str, str], list[Any]] = {}
        self.last = json.loads((folder / "finished" / "result.json").read_text())["last"]
        for base in ("finished", "stopped"):
            best = self.evaluated(folder / base, "evaluate")
            last = self.evaluated(folder / base, "evaluate --last")
            shutil.copytree(folder / base, folder / "previous")
            (folder / "previous" / FILES[7]).unlink()
            previous = self.evaluated(folder / "previous", "evaluate --last")
            shutil.rmtree(folder / "previous")
            self.figures[base, "evaluate"] = [best, last, previous]
            self.figures[base, "evaluate --last"] = [last, previous]

    def evaluated(self, run: Path, command: str) -> Any:
        answer = answer_of(self.arguments(run, command))
        assert answer.status == 0, answer
        return json.loads(answer.out)

    def arguments(self, run: Path, command: str) -> list[str]:
        """The command line of a command on a run."""
        return {
            "resume": ["train", str(self.spec), "--run", str(run), "--resume"],
            "evaluate": ["evaluate", str(run), "--format", "json", "--device", "cpu"],
            "evaluate --last": ["evaluate", str(run), "--last", "--format", "json"],
            "predict": ["predict", str(run), str(self.image)],
            "runs": ["runs", str(run)],
            "runs of folder": ["runs", str(run.parent), "--format", "json"],
        }[command]


class _Stop(Listener):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_interval(self, trainer: Any, row: Any) -> None:
        if trainer.position.step == self.step:
            trainer.ask_to_stop(15)


def _train(run: Path, spec: Path, stop_at: int = 0, **given: Any) -> None:
    arch = archspec.load(spec, params=given.pop("params", {}))
    recipe = {**given, "log_every": 1e-9, "save_every": 1e-9}
    try:
        archspec.train(arch, run=run, listeners=[_Stop(stop_at)], **recipe)
    except Stopped:
        assert stop_at


def _white(path: Path) -> None:
    from PIL import Image

    Image.new("L", (8, 8), 255).save(path)


def answer_of(argv: list[str]) -> Answer:
    """Runs the command line here."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status, failure = command_line(argv), None
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(frame.filename).name}:{frame.name}"
            status, failure = -1, f"{type(error).__name__} in {place}: {str(error)[:200]}"
    return Answer(status, out.getvalue(), err.getvalue(), failure)


# --- damage --------------------------------------------------------------------------------------


def damage(path: Path, case: Case, runs: Runs, draw: random.Random) -> None:
    """Damage a file or folder as the case says."""
    other = runs.folder / draw.choice(("same network", "wider network")) / case.file
    if case.damage in ("deleted", "a folder", "another run's"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        if case.damage == "a folder":
            path.mkdir()
        elif case.damage == "another run's":
            shutil.copytree(other, path) if other.is_dir() else shutil.copy(other, path)
        return
    if path.is_dir():
        path = draw.choice(sorted(path.iterdir()))
    data = path.read_bytes()
    if case.damage == "wrong values":
        _wrong_values(path, draw)
    elif case.damage == "cut":
        path.write_bytes(data[: draw.randrange(len(data))])
    elif case.damage == "emptied":
        path.write_bytes(b"")
    else:
        altered = bytearray(data)
        for _ in range(draw.choice((1, 1, 3, 30))):
            altered[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(altered)


def _wrong_values(path: Path, draw: random.Random) -> None:
    """Give some keys, or all, values that they cannot have."""
    if path.suffix == ".safetensors":
        checkpoint.save(path, _spoilt(checkpoint.load(path), draw))
    elif path.suffix == ".jsonl":
        lines = path.read_text().splitlines()
        number = draw.randrange(len(lines))
        lines[number] = json.dumps(_spoilt(json.loads(lines[number]), draw))
        path.write_text("\n".join(lines) + "\n")
    elif path.suffix == ".json":
        path.write_text(json.dumps(_spoilt(json.loads(path.read_text()), draw)))
    else:
        lines = path.read_text().splitlines()
        number = draw.randrange(len(lines))
        key = lines[number].partition(":")[0]
        lines[number] = f"{key}: {json.dumps(draw.choice(JUNK))}"
        path.write_text("\n".join(lines) + "\n")


def _spoilt(tree: Any, draw: random.Random) -> Any:
    """A copy in which one value, a few values, or all leaves are others."""
    share = draw.choice((0.0, 0.0, 0.3, 1.0))
    places = list(_places(tree))
    chosen = [each for each in places if draw.random() < share] or [draw.choice(places)]
    tree = _copy(tree)
    for where in chosen:
        inner = tree
        for key in where[:-1]:
            inner = inner[key]
        if isinstance(inner, dict | list):  # an outer value may be gone already
            inner[where[-1]] = _other(inner[where[-1]], draw)
    return tree


def _other(value: Any, draw: random.Random) -> Any:
    if isinstance(value, torch.Tensor) and draw.random() < 0.7:
        shapes = [(1,), (), (0,), (*value.shape, 1), value.shape]
        dtype = draw.choice((torch.float32, torch.float64, torch.int64, torch.uint8))
        zeros = torch.zeros(draw.choice(shapes), dtype=dtype)
        # Nobody could notice weights of the right shapes under a checksum that fits.
        fits = zeros.shape == value.shape and zeros.dtype == value.dtype
        return zeros[None] if fits else zeros
    return _copy(draw.choice(JUNK))


def _places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree[:5])
    for key, value in items:
        if isinstance(value, dict | list):
            yield from _places(value, (*path, key))
        yield (*path, key)


def _copy(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _copy(value) for key, value in tree.items()}
    return [_copy(value) for value in tree] if isinstance(tree, list) else tree


# --- what must hold ------------------------------------------------------------------------------


def check(case: Case, runs: Runs, folder: Path) -> tuple[str, list[str], Answer]:
    """Damage a copy and run the command. Returns how it ended, what is wrong, and its output."""
    run, draw = folder / "run", random.Random(case.number)
    shutil.copytree(runs.folder / case.base, run)
    damage(run / case.file, case, runs, draw)
    before = _files(run)
    answer = answer_of(runs.arguments(run, case.command))
    if answer.failure:
        return "exception", [answer.failure], answer
    if answer.status not in (0, 1):
        return "odd status", [f"status {answer.status}"], answer
    if answer.status == 1:
        return "refused", list(_wrong_refusal(case, answer, before, _files(run))), answer
    return "accepted", list(_wrong_acceptance(case, answer, runs, run)), answer


def _wrong_refusal(case: Case, answer: Answer, before: Any, after: Any) -> Iterator[str]:
    if "error" not in answer.err or len(answer.err) > 3000:
        yield f"{case.command} is refused without a word, or with too many"
    if before != after and case.file not in WRITTEN_AT_THE_END:
        yield f"{case.command} is refused, and changes the folder"


def _wrong_acceptance(case: Case, answer: Answer, runs: Runs, run: Path) -> Iterator[str]:
    if case.command == "resume" and case.file != "config.yaml":
        result = json.loads((run / "result.json").read_text())
        if result["last"] != runs.last:
            yield f"a resumed run with a damaged {case.file} ends with other figures"
    if case.command.startswith("evaluate"):
        known = runs.figures[case.base, case.command]
        allowed = known if "note: " in answer.err else known[:1]
        if json.loads(answer.out) not in allowed:
            yield f"{case.command} of a run with a damaged {case.file} has other figures"


def _files(run: Path) -> dict[str, bytes]:
    names = (path for path in run.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path): path.read_bytes() for path in names}


# --- the program ---------------------------------------------------------------------------------


def case_of(seed: int, number: int) -> Case:
    """The case with this number. Each seed has a billion cases."""
    draw = random.Random(f"{seed} {number}")
    kinds = ("cut", "flipped", "flipped", "emptied", "deleted", "a folder", "another run's")
    file = draw.choice(FILES)
    kind = draw.choice((*kinds, "wrong values", "wrong values", "wrong values"))
    base = draw.choice(("finished", "stopped"))
    if base == "stopped" and file in WRITTEN_AT_THE_END:
        base = "finished"
    return Case(seed * 10**9 + number, base, file, kind, draw.choice(COMMANDS))


@contextmanager
def prepared() -> Iterator[Runs]:
    """The undamaged runs, as long as the block lasts. They draw no figures and write no logs."""
    without = mock.patch.multiple
    with (
        tempfile.TemporaryDirectory(prefix="fuzz-runs-") as folder,
        without("archspec.training.report", find_spec=lambda name: None),
        without("archspec.training.recorder", find_spec=lambda name: None),
    ):
        yield Runs(Path(folder))


def fuzz(
    seed: int,
    numbers: range,
    tell: Callable[[str, Case, Answer], None] = lambda what, case, answer: None,
) -> Result:
    """Run the cases with these numbers. `tell` is called with each new kind of finding."""
    result = Result()
    with prepared() as runs:
        for number in numbers:
            case = case_of(seed, number)
            with tempfile.TemporaryDirectory(prefix="fuzz-runs-") as folder:
                outcome, wrong, answer = check(case, runs, Path(folder))
            result.cases += 1
            result.outcomes[outcome] += 1
            for what in wrong:
                if what not in result.findings:
                    result.findings[what] = case
                    tell(what, case, answer)
    return result


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, metavar="N", help="the Nth case alone, with its words")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    started = time.monotonic()
    if args.only is not None:
        with prepared() as runs, tempfile.TemporaryDirectory() as folder:
            case = case_of(args.seed, args.only)
            _, wrong, answer = check(case, runs, Path(folder))
            print(case, answer.out, answer.err, *wrong, sep="\n")
        return int(bool(wrong))
    result = fuzz(
        args.seed,
        range(args.cases),
        tell=lambda what, case, answer: print(f"finding: {what}\n  {case}", flush=True),
    )
    print(f"{result}\nin {time.monotonic() - started:,.0f} s")
    return int(bool(result.findings))


if __name__ == "__main__":
    sys.exit(main())
