"""`archspec predict RUN IMAGE…`: what a trained network sees on pictures."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from archspec.cli.output import write, write_diagnostics, write_json
from archspec.data.text import one_line
from archspec.diagnostics.diagnostic import SpecError
from archspec.training.errors import TrainingError


def run(args: Namespace) -> int:
    """Print the likeliest classes of each picture; 1 where one cannot be read."""
    from archspec.training.trained_network import open_trained

    results = []
    notes: list[str] = []
    status = 0
    try:
        trained = open_trained(
            Path(args.run),
            last=args.last,
            device=args.device,
            allow_modules=args.allow_module,
            say=_note,
        )
    except SpecError as error:
        write_diagnostics(error.diagnostics)
        return 1
    except TrainingError as error:
        write(f"archspec predict: error: {error}", sys.stderr)
        return 1
    if trained.precision_note:
        write(f"archspec predict: note: {trained.precision_note}", sys.stderr)
    for image in args.images:
        try:
            guesses = trained.predict(Path(image), say=notes.append)
        except TrainingError as error:
            write(f"archspec predict: error: {error}", sys.stderr)
            status = 1
            continue
        results.append({"image": image, "classes": [guess._asdict() for guess in guesses]})
        if args.format == "table":
            write(image)
            for guess in guesses:
                write(f"  {guess.probability:6.1%}  {one_line(guess.name)}")
    for note in dict.fromkeys(notes):
        write(f"archspec predict: note: {note}", sys.stderr)
    if args.format == "json":
        write_json(results)
    return status


def _note(text: str) -> None:
    write(f"archspec predict: note: {text}", sys.stderr)
