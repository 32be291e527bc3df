"""The trained network that `evaluate` and `predict` open."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from archspec.cli.command import Arguments, Option
from archspec.cli.options import ALLOW_MODULE
from archspec.cli.output import note

if TYPE_CHECKING:
    from archspec.training.trained_network import TrainedNetwork

RUN = Option("run", "a run folder", metavar="RUN")
OPENING = (
    Option("--last", "the last weights, not the best", action="store_true"),
    Option("--device", "auto, cpu, cuda, mps", metavar="D", default="auto"),
    ALLOW_MODULE._replace(
        help="let `module` nodes run code of this package, as in training; may be repeated"
    ),
)


def opened_run(args: Arguments) -> TrainedNetwork:
    """The network of the run. Raises `SpecError` and `TrainingError`."""
    from pathlib import Path

    from archspec.training.trained_network import open_trained

    return open_trained(
        Path(args.run),
        last=args.last,
        device=args.device,
        allow_modules=args.allow_module,
        say=partial(note, args.command),
    )
