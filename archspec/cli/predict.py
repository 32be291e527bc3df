"""`archspec predict RUN IMAGE…`: what a trained network sees on pictures."""

from __future__ import annotations

import sys
from pathlib import Path

from archspec.cli.command import Arguments, Command, Option
from archspec.cli.options import formats
from archspec.cli.output import note, write, write_json
from archspec.cli.trained import OPENING, RUN, opened_run
from archspec.data.text import one_line
from archspec.training.errors import TrainingError

COMMAND = Command(
    "say what is on pictures",
    "Name the five likeliest classes of each picture, with their probabilities.",
    "archspec predict runs/lenet_bn-digits-1 seven.png\n"
    "archspec predict runs/pets photos/*.jpg --format json",
    (
        RUN,
        Option("images", "picture files", metavar="IMAGE", nargs="+"),
        *OPENING,
        *formats(),
    ),
)


def run(args: Arguments) -> int:
    """Print the likeliest classes of each picture; 1 where one cannot be read."""
    results = []
    notes: list[str] = []
    status = 0
    trained = opened_run(args)
    if trained.precision_note:
        note("predict", trained.precision_note)
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
    for text in dict.fromkeys(notes):
        note("predict", text)
    if args.format == "json":
        write_json(results)
    return status
