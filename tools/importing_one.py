"""One network of tools/import_zoo.py: made, taken to a spec and compared, in its own process."""

from __future__ import annotations

import contextlib
import copy
import multiprocessing
import os
import re
import resource
import sys
import tempfile
import time
import unittest.mock
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import yaml
from comparing import SEED, fill, one_deterministic_thread, settle, unfilled
from importables import Model
from references import Reference
from torch import Tensor, nn

import archspec
import zoo
from archspec.diagnostics.diagnostic import SpecError
from archspec.importing.hints import hints_of
from archspec.importing.importer import from_module, named_inputs
from archspec.importing.record import record
from archspec.importing.rewriting import rewritten

STAGES = ("reference", "traced", "expressible", "folded", "keys", "eval", "train", "tensors")
LIMIT_S = 300
LIMIT_GB = 12
BATCH = 2
EXACT = 150_000_000
"""Networks of more parameters are not copied to double precision: there is no room."""
DEAD = 1e-6
"""In single precision a gradient is 0 below this part of the largest."""
ZERO = 1e-12
"""The same in double precision, of a step in `train()`."""


@dataclass(frozen=True)
class Outcome:
    """What was found for one network: the first stage that failed, and its message."""

    name: str
    group: str
    stage: str
    message: str = ""
    parameters: int = 0
    lines: int = 0
    scalars: int = 0
    by_hand: int = 0
    seconds: float = 0.0
    said: dict[str, str] = field(default_factory=dict)


class Stopped(Exception):
    """A stage failed."""


def measure(model: Model, seconds: int, gigabytes: int, texts: Path | None) -> Outcome:
    """What is found for a network, in a process with limits.

    The process says which stage it is in, so whatever ends it ends that stage: an exception, the
    clock, or no more memory.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    with tempfile.TemporaryFile("w+") as errors:
        arguments = (model, gigabytes, texts, theirs, errors.fileno())
        process = context.Process(target=_run, args=arguments)
        process.start()
        theirs.close()
        outcome, ended = _heard(model, ours, time.monotonic() + seconds)
        if not ended:
            process.kill()
        process.join()
        if outcome.stage in STAGES and not outcome.message:
            errors.seek(0)
            said = [line.strip() for line in errors.read().splitlines() if line.strip()]
            late = f"it took more than {seconds} s"
            killed = f"the process ended with {process.exitcode}"
            outcome = replace(outcome, message=late if not ended else [killed, *said][-1])
    return outcome


def _heard(model: Model, ours: Connection, until: float) -> tuple[Outcome, bool]:
    """The last that a process said, and whether it ended by itself before the time was up."""
    outcome = Outcome(model.name, model.group, STAGES[0])
    while ours.poll(max(until - time.monotonic(), 0)):
        try:
            outcome = ours.recv()
        except EOFError:
            return outcome, True
    return outcome, False


def _run(model: Model, gigabytes: int, texts: Path | None, pipe: Connection, errors: int) -> None:
    os.dup2(errors, sys.stderr.fileno())
    limit = gigabytes * 2**30
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    compare(model, pipe.send, texts)


class Progress:
    """What is found so far. Each step is said before it begins."""

    def __init__(self, model: Model, say: Callable[[Outcome], None]) -> None:
        self.outcome, self.say = Outcome(model.name, model.group, STAGES[0]), say

    def enter(self, stage: str, **facts: Any) -> None:
        self.outcome = replace(self.outcome, stage=stage, **facts)
        self.say(self.outcome)


def compare(model: Model, say: Callable[[Outcome], None], texts: Path | None = None) -> None:
    """Goes through the stages, and says each one before it begins; at last, that all are equal."""
    progress = Progress(model, say)
    try:
        with one_deterministic_thread():
            _compare(model, progress, texts)
    except Stopped as failure:
        progress.enter(progress.outcome.stage, message=str(failure))
    except (SpecError, AssertionError, torch.OutOfMemoryError, MemoryError) as error:
        progress.enter(progress.outcome.stage, message=one_line(error))


def _compare(model: Model, progress: Progress, texts: Path | None) -> None:
    progress.enter("reference")
    module = model.make()
    made = [each.clone() for each in module.buffers()]
    generator = torch.Generator().manual_seed(SEED)
    vary(module, generator, model.initialised)
    inputs = first_that_runs(module, model)
    settle(module, lambda: module(*inputs), generator)
    progress.enter("reference", parameters=sum(each.numel() for each in module.parameters()))
    varied = put(module, made)
    text = imported(module, inputs, model, progress)
    put(module, varied)
    keep(texts, model.name, text)
    progress.enter("keys", lines=written_lines(text), scalars=scalars(text), by_hand=hand(model))
    with unfilled():
        net = archspec.loads(text, warn=False).build()
    load(net, module)
    progress.enter("eval")
    reference = Reference(model.name, model.group, model.make)
    said = {"eval": agreed(zoo.compare_outputs, "outputs", reference, module, net, inputs)}
    progress.enter("train", said=said)
    said |= {"train": agreed(zoo.compare_training, "train", reference, module, net, inputs)}
    progress.enter("tensors", said=said)
    inert = compare_tensors(module, net, inputs)
    progress.enter("", said=said | ({"inert": str(inert)} if inert else {}))


def vary(module: nn.Module, generator: torch.Generator, initialised: bool) -> None:
    """Gives every parameter and buffer of the state dict random values that are nowhere zero.

    What has at most one axis keeps near its first values, where it has any: scales may have any
    name.
    """
    small = [each for each in module.parameters() if each.dim() < 2] if initialised else []
    before = [each.detach().clone() for each in small]
    fill(module, generator)
    with torch.no_grad():
        for parameter, value in zip(small, before, strict=True):
            drawn = torch.randn(value.shape, generator=generator)
            parameter.copy_(value + 0.1 * drawn)


@torch.no_grad()
def put(module: nn.Module, values: Sequence[Tensor]) -> list[Tensor]:
    """Puts values into the buffers, and gives those that were there.

    A network is imported with the numbers that it puts into its buffers itself, as people do it.
    """
    before = [each.clone() for each in module.buffers()]
    for buffer, value in zip(module.buffers(), values, strict=True):
        buffer.copy_(value)
    return before


def first_that_runs(module: nn.Module, model: Model) -> list[Tensor]:
    """The first of a network's inputs at which it runs, in both modes."""
    for given in model.inputs:
        inputs = [each.drawn(BATCH) for each in given]
        try:
            with torch.no_grad():
                copy.deepcopy(module).train()(*inputs)
                module.eval()(*inputs)
        except (RuntimeError, ValueError, AssertionError) as error:
            said = one_line(error)
            continue
        return inputs
    raise Stopped(said)


def imported(module: nn.Module, inputs: Sequence[Tensor], model: Model, progress: Progress) -> str:
    """The text of the spec that archspec writes for a network."""
    progress.enter("traced")
    started = time.monotonic()
    given, by_position = named_inputs(module, tuple(inputs))
    record(module, given, training=True, by_position=by_position)
    progress.enter("expressible")
    name = re.sub(r"\W", "_", model.name)
    flat = from_module(module, tuple(inputs), name=name, flat=True, verify=False)
    progress.enter("folded")
    text: str = rewritten(flat, hints=hints_of(module, flat), loose=True)
    if re.search(r"\bmodule: ", text):
        raise Stopped("the text has `module:` in it")
    progress.enter("folded", seconds=round(time.monotonic() - started, 1))
    return text


def keep(folder: Path | None, name: str, text: str) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def load(net: nn.Module, module: nn.Module) -> None:
    """Loads the weights of the network, all of them and no others."""
    try:
        net.load_state_dict(module.state_dict(), strict=True)
    except RuntimeError as error:
        raise Stopped(one_line(error)) from None


def agreed(
    compare: Callable[..., None],
    check: str,
    reference: Reference,
    module: nn.Module,
    net: nn.Module,
    inputs: Sequence[Tensor],
) -> str:
    """What is said of a check that tools/zoo.py makes: `equal` or `rounding`.

    Numbers that a network works out in float32 as it runs are constants of the spec. In double
    precision the two agree where such numbers stay in float32, or where they do not. In single
    precision they may differ by what the rounding of the network itself amounts to.

    Some gradients are 0 in exact arithmetic: a batch norm takes away what a bias before it adds. In
    double precision both networks then have a rounding error there, far below their largest
    gradient, and the two errors need not agree.
    """
    single = zoo.SINGLE
    if check == "outputs":
        single = max(single, 4 * rounding_of(module, inputs))
    for wide in (zoo.wide, contextlib.nullcontext):
        found = zoo.Comparison(reference.name, reference.kind, 0, 0, 0, 0)
        with unittest.mock.patch.multiple(zoo, wide=wide, SINGLE=single, ZERO=ZERO):
            compare(found, reference, module, net, inputs)
        if check not in found.failures:
            return found.verdict(check)
    raise Stopped(found.failures[check][0])


def rounding_of(module: nn.Module, inputs: Sequence[Tensor]) -> float:
    """By how much single precision changes the outputs of a network in `eval()`."""
    if sum(each.numel() for each in module.parameters()) > EXACT:
        return 0.0
    with torch.no_grad(), zoo.wide():
        exact = copy.deepcopy(module).double().eval()
        wide = list(zoo.tensors(exact(*zoo.doubled(inputs))))
    with torch.no_grad():
        return zoo.apart(wide, [each.double() for each in zoo.tensors(module.eval()(*inputs))])


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:400] or type(error).__name__


# --- tensors -------------------------------------------------------------------------------------


def compare_tensors(module: nn.Module, net: nn.Module, inputs: Sequence[Tensor]) -> int:
    """How many floating tensors change nothing, in the network and in the spec alike.

    A backward pass shows what almost all of them change, mostly in single precision. What it does
    not show is changed, one at a time, in both, in double precision where there is room for it.
    """
    keys = {key for key, each in module.state_dict().items() if each.is_floating_point()}
    moved, ours = (moved_tensors(each.eval(), inputs, DEAD) for each in (module, net))
    if moved == ours == keys:
        return 0
    exact = sum(each.numel() for each in module.parameters()) <= EXACT
    dtype, least = (torch.float64, zoo.NEAR) if exact else (torch.float32, DEAD)
    given = [each.to(dtype) if each.is_floating_point() else each for each in inputs]
    with zoo.wide() if exact else contextlib.nullcontext():
        models = [each.to(dtype).eval() for each in (module, net)]
        moved, ours = (moved_tensors(each, given, least) for each in models)
        still = sorted(keys - (moved & ours))
        return sum(not changes_both(models, key, given, least) for key in still)


def moved_tensors(model: nn.Module, inputs: Sequence[Tensor], least: float) -> set[str]:
    with unittest.mock.patch.object(zoo, "NEAR", least):
        return zoo.moved_by_gradients(model, inputs)


@torch.no_grad()
def changes_both(
    models: Sequence[nn.Module], key: str, inputs: Sequence[Tensor], least: float
) -> bool:
    """Whether other values in a tensor change what both give, and alike."""
    before = [list(zoo.tensors(each(*inputs))) for each in models]
    after = [changed(each, key, inputs) for each in models]
    theirs, ours = (zoo.apart(old, new) > least for old, new in zip(before, after, strict=True))
    if theirs is not ours or zoo.apart(*after) > least:
        raise Stopped(f"{key} does not change both alike")
    return theirs


def changed(model: nn.Module, key: str, inputs: Sequence[Tensor]) -> list[Tensor]:
    """What a network gives with other values in one of its tensors."""
    tensor = model.state_dict()[key]
    kept = tensor.clone()
    tensor.mul_(1.5).add_(0.25)
    outputs = list(zoo.tensors(model(*inputs)))
    tensor.copy_(kept)
    return outputs


# --- texts ---------------------------------------------------------------------------------------


def written_lines(text: str) -> int:
    """Lines that are neither blank nor a comment."""
    return sum(line.strip()[:1] not in ("", "#") for line in text.splitlines())


def scalars(text: str) -> int:
    """Keys and values of a YAML text."""
    return sum(isinstance(token, yaml.ScalarToken) for token in yaml.scan(text))


def hand(model: Model) -> int:
    """Scalars of the spec that a person wrote, with the files that it extends and uses.

    Standard blocks are not counted: they belong to the language.
    """
    if model.by_hand is None:
        return 0
    return sum(scalars(path.read_text(encoding="utf-8")) for path in files(model.by_hand))


def files(spec: Path) -> set[Path]:
    """A spec's own file, and those beside it that it names."""
    keys = yaml.safe_load(spec.read_text(encoding="utf-8"))
    named = [keys.get("extends"), *keys.get("use", [])]
    beside = [spec.parent / name for name in named if name is not None]
    return {spec}.union(*(files(path) for path in beside))
