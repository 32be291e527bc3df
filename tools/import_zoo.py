"""Takes published networks to specs, and compares each spec with its network.

    python tools/import_zoo.py --state FILE                all of them; goes on where it stopped
    python tools/import_zoo.py --groups files sample       some groups (see tools/importables/)
    python tools/import_zoo.py --models resnet18 hf.bert
    python tools/import_zoo.py --state FILE --again failed those that disagree once more
    python tools/import_zoo.py --state FILE --texts FOLDER also keeps the specs
    python tools/import_zoo.py --state FILE --write        also puts the tables into docs/convert.md

Each network runs in a process of its own, with a limit of time and of memory. Its weights are
random and nowhere zero, and two inputs give clearly different outputs. What is said of it is the
first of these stages that fails, or `equal`:

* reference: the network itself runs at one of its inputs;
* traced: `archspec.from_module` can follow it; expressible: can say it, flat; and folded: with
  blocks and loops, without `module:`;
* keys: the state dict loads with `strict=True`;
* eval: outputs in `eval()`, and train: outputs, gradients and moving statistics of a step in
  `train()` with one seed, have equal bits; or, where both compute the same in another order, are
  equal but for the rounding of double precision (tools/zoo.py);
* tensors: each tensor of the state dict that changes what the network gives changes what the spec
  gives, and no other does.

`scalars` are the values in the YAML, and `by hand` those of the spec that a person wrote, with the
files that it extends and the blocks that it uses. The exit status is 1 if anything disagrees.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import importables
from import_zoo_page import reasons, row, summary, write_tables
from importing_one import LIMIT_GB, LIMIT_S, Outcome, measure

Kept = dict[str, Outcome]


def read(state: Path | None) -> Kept:
    if state is None or not state.exists():
        return {}
    return {name: Outcome(**entry) for name, entry in json.loads(state.read_text()).items()}


def save(state: Path | None, kept: Kept) -> None:
    """Writes the file whole, so that a run that is stopped leaves a good one."""
    if state is not None:
        partial = state.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps({k: asdict(v) for k, v in kept.items()}, indent=1))
        os.replace(partial, state)


def wanted(
    models: Mapping[str, importables.Model], options: argparse.Namespace
) -> list[importables.Model]:
    if options.models:
        return [models[name] for name in options.models]
    return [model for model in models.values() if model.group in options.groups]


def is_due(outcome: Outcome | None, again: str | None) -> bool:
    return outcome is None or again == "all" or (again == "failed" and outcome.stage != "")


def parsed(arguments: Sequence[str] | None, names: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", choices=names, metavar="MODEL")
    parser.add_argument("--groups", nargs="+", choices=importables.GROUPS, metavar="GROUP")
    parser.add_argument("--state", type=Path, metavar="FILE", help="keeps what is done")
    parser.add_argument("--again", choices=("failed", "all"), help="does what is done once more")
    parser.add_argument("--texts", type=Path, metavar="FOLDER", help="keeps the specs there")
    parser.add_argument("--seconds", type=int, default=LIMIT_S, help="for one network")
    parser.add_argument("--memory", type=int, default=LIMIT_GB, help="GB for one network")
    parser.add_argument("--write", action="store_true", help="put tables into docs/convert.md")
    options = parser.parse_args(arguments)
    options.groups = options.groups or list(importables.GROUPS)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    models, missing = importables.load()
    options = parsed(arguments, list(models))
    kept = read(options.state)
    chosen = wanted(models, options)
    for model in chosen:
        if is_due(kept.get(model.name), options.again):
            started = time.monotonic()
            outcome = measure(model, options.seconds, options.memory, options.texts)
            kept[model.name] = outcome
            save(options.state, kept)
            print(row(outcome, time.monotonic() - started), flush=True)
    found = [kept[model.name] for model in chosen]
    print("\n".join(["", *summary(found), "", *reasons(found)]))
    for module, package in missing.items():
        print(f"left out, since {package} is not installed: {module}")
    if options.write:
        write_tables([kept[name] for name in models if name in kept])
    return 1 if any(outcome.stage for outcome in found) else 0


if __name__ == "__main__":
    sys.exit(main())
