"""Run folders: what is in them, and how they are found and read. Nothing here imports torch.

RUN/
  spec.yaml           the resolved spec, as it was trained
  config.yaml         the recipe, every choice made; fit for `--config`
  run.json            its id, what the data was, what was found automatically, when it began
  pictures.json       sizes and digests of the picture files, where the data is made of files
  environment.json    versions and the machine
  metrics.jsonl       a line each interval and each epoch
  result.json         the closing figures, once there are any
  report.md, curves.png, confusion.png, tensorboard/
  checkpoints/        last, previous and best, as .safetensors
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pydantic import ValidationError

from archspec.recipe.layers import file_layer
from archspec.recipe.recipe import Recipe, fields, resolve
from archspec.training.errors import TrainingError
from archspec.training.store import records
from archspec.training.store.files import cannot_write, write_text

if TYPE_CHECKING:
    from archspec.architecture import Architecture
    from archspec.data import Data

FOLDER = Path("runs")

OWN_FILES = ("spec.yaml", "result.json", "report.md", "curves.png", "confusion.png")
"""Files that a run writes, under names that others may have given to theirs."""

MOST_FILES = 100_000
"""Pictures up to which pictures.json lists them."""


@dataclass(frozen=True)
class Run:
    """One run's folder."""

    folder: Path

    @property
    def spec(self) -> Path:
        return self.folder / "spec.yaml"

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def pictures(self) -> Path:
        return self.folder / "pictures.json"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def exists(self) -> bool:
        """Whether a run is here, be it a damaged one."""
        whole = os.path.isfile(self.config) and os.path.isfile(self.spec)
        return whole or any(self.checkpoints.glob("*.safetensors"))

    def refuse_existing(self) -> None:
        """Raises `TrainingError` where a new run would write over this one."""
        if self.exists:
            raise TrainingError(
                f"{self.folder} holds a run already: go on with it (--resume), or choose another "
                "--run"
            )

    def create(
        self,
        spec: str,
        recipe: Recipe,
        about: Mapping[str, Any],
        pictures: Mapping[str, str] | None = None,
    ) -> None:
        """Writes what is known before the first step. Raises `TrainingError`."""
        self.refuse_others_files()
        self.refuse_figures()
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(cannot_write(self.checkpoints, error)) from None
        write_text(self.spec, spec)
        write_text(self.folder / "environment.json", _json(environment()))
        if pictures and len(pictures) <= MOST_FILES:
            write_text(self.pictures, _json(pictures))
        write_text(self.folder / "run.json", _json(about))
        write_text(self.metrics, "")
        # Last, because a folder with a config is a run.
        self.write_recipe(recipe)

    def refuse_others_files(self) -> None:
        """Raises `TrainingError` where the folder is no run's, and has files of such names."""
        for name in OWN_FILES:
            # A run makes its checkpoints' folder first: without one, these files are not a run's.
            if not self.checkpoints.is_dir() and (self.folder / name).exists():
                raise TrainingError(
                    f"{self.folder} is no run and holds a {name} already, which a run would write "
                    "over: choose another --run"
                )

    def refuse_figures(self) -> None:
        """Raises `TrainingError` where the folder holds figures, and no checkpoint.

        What was measured is not written over because checkpoints were lost.
        """
        for path in (self.folder / "result.json", self.metrics):
            if path.exists() and (path.is_dir() or path.stat().st_size):
                raise TrainingError(
                    f"{self.folder} has no checkpoint to go on from, but {path.name} with the "
                    "figures of a run: put its checkpoints back, or choose another --run"
                )

    def write_recipe(self, recipe: Recipe) -> None:
        write_text(self.config, config_text(recipe))

    def recipe(self) -> Recipe:
        """The recipe that the run has been trained with. Raises `SpecError`."""
        return resolve([file_layer(self.config)])

    def about(self) -> dict[str, Any]:
        """What `records.About` says."""
        return records.read(records.About, self.folder / "run.json", self._read("run.json"))

    def result(self) -> dict[str, Any] | None:
        """The closing figures; None where the run has not come to its end."""
        path = self.folder / "result.json"
        if not path.exists():
            return None
        result = records.read(records.Result, path, self._read(path.name))
        if result["run"] != self.about()["run"]:
            raise TrainingError(f"{path} belongs to another run: put the run's own back")
        return result

    def rows(self, kind: str | None = None) -> Iterator[dict[str, Any]]:
        """The lines of metrics.jsonl; a last line that was cut off is left out.

        Raises `TrainingError` for any other line that is damaged.
        """
        lines = self._read(self.metrics.name).split(b"\n")
        for number, line in enumerate(lines, 1):
            try:
                row = records.ROW.validate_json(line)
            except ValidationError as error:
                if number == len(lines):  # no line end: its writer was killed
                    return
                raise TrainingError(
                    f"{self.metrics}:{number} is damaged: {records.wrong(error)}. Without that "
                    "line, the rest can be read"
                ) from None
            if kind in (None, row.kind):
                yield row.model_dump(exclude_unset=True)

    def rewind(self, step: int, history: Sequence[Mapping[str, Any]]) -> str | None:
        """Forgets the lines after `step`, which will be written again.

        `history` has the epochs up to there; those that the file lacks are written into it, and
        what is returned says so. Raises `TrainingError` where the file has others.
        """
        rows = [row for row in self.rows() if row["step"] <= step] if self.metrics.exists() else []
        known = {row["epoch"]: row for row in rows if row["kind"] == "epoch"}
        own = {row["epoch"]: row for row in history}
        for epoch, row in known.items():
            if any(row[key] != own.get(epoch, {}).get(key) for key in ("step", "lr", "seconds")):
                raise TrainingError(
                    f"{self.metrics} belongs to another run: its epoch {epoch} is not that of the "
                    "checkpoint. Put the run's own back, or delete it"
                )
        lost = [dict(row) for epoch, row in own.items() if epoch not in known]
        # Sorting keeps the order of equals: an epoch's line follows its last interval's.
        kept = sorted([*rows, *lost], key=lambda row: row["step"])
        write_text(self.metrics, "".join(f"{json.dumps(row)}\n" for row in kept))
        if not lost:
            return None
        epochs = ", ".join(str(row["epoch"]) for row in lost[:3]) + (", …" if lost[3:] else "")
        return f"{self.metrics} lacked epoch {epochs}: put there again, from the checkpoint"

    def listed_pictures(self) -> dict[str, str] | None:
        """Sizes and digests of the picture files by name; None where they were not listed."""
        if not self.pictures.exists():
            return None
        try:
            return records.PICTURES.validate_json(self._read(self.pictures.name))
        except ValidationError as error:
            raise TrainingError(f"{self.pictures} is damaged: {records.wrong(error)}") from None

    def read_text(self, name: str) -> str:
        """The text of one of the run's files. Raises `TrainingError`."""
        try:
            return self._read(name).decode()
        except UnicodeDecodeError as error:
            reason = f"byte {error.start} is not UTF-8"
            raise TrainingError(f"{self.folder / name} is damaged: {reason}") from None

    def _read(self, name: str) -> bytes:
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise TrainingError(
                f"{self.folder} is no whole run: {name}: {error.strerror}"
            ) from None


def open_run(folder: Path) -> Run:
    """The run in a folder. Raises `TrainingError` where there is none."""
    run = Run(folder)
    if not run.exists:
        near = ", ".join(str(each.folder) for each in find_runs(FOLDER)[-3:])
        known = f"; the newest here: {near}" if near else ""
        raise TrainingError(f"{folder} is not a run folder{known}")
    return run


def find_runs(folder: Path) -> list[Run]:
    """The runs in a folder (or the folder itself, where it is one), the oldest first.

    Raises `TrainingError` where the folder cannot be read.
    """
    if Run(folder).exists:
        return [Run(folder)]
    if not folder.is_dir():
        return []
    try:
        children = sorted(folder.iterdir())
    except OSError as error:
        raise TrainingError(f"cannot read {folder}: {error.strerror}") from None
    return sorted((run for child in children if (run := Run(child)).exists), key=_started)


def _started(run: Run) -> str:
    try:
        return str(run.about()["started"])
    except TrainingError:
        return ""  # reading more of it raises the error


def numbered(name: str, dataset: str, number: int) -> Path:
    """`runs/lenet_bn-digits-1`."""
    data = Path(dataset.partition(":")[2] or dataset).name
    return FOLDER / f"{name.replace('/', '-')}-{data}-{number}"


def make_numbered(name: str, dataset: str) -> int:
    """Makes the first folder that is free, and returns its number. Raises `TrainingError`."""
    number = 1
    while numbered(name, dataset, number).exists() or not make(numbered(name, dataset, number)):
        number += 1
    return number


def make(folder: Path) -> bool:
    """Makes a folder; false where there is one: of two runs, one has made it.

    Raises `TrainingError` where it cannot be made.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
    except OSError as error:
        if isinstance(error, FileExistsError) and folder.is_dir():
            return False
        raise TrainingError(cannot_write(folder, error)) from None
    return True


def about_of(
    arch: Architecture,
    data: Data,
    *,
    data_root: str | None,
    world: int,
    statements: Sequence[str],
    weights: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What run.json says of a new run, as `records.About` has it."""
    return {
        "run": uuid4().hex,
        "name": arch.name,
        "started": now(),
        "data": data.name,
        "data_root": data_root,
        "classes": list(data.classes),
        "channels": data.channels,
        "train_images": len(data.train),
        "parameters": arch.num_parameters,
        "macs": arch.macs,
        "world": world,
        "statements": list(statements),
        "spec_sha256": spec_hash(arch.expand()),
        **({"weights": dict(weights)} if weights else {}),
    }


def spec_hash(text: str) -> str:
    """Identifies a resolved spec."""
    return hashlib.sha256(text.encode()).hexdigest()


def config_text(recipe: Recipe) -> str:
    """The recipe as YAML, a line a field with what it means."""
    lines = ["# The recipe of this run; `archspec train SPEC --config` takes it."]
    known = fields()
    for name, given in recipe.as_json().items():
        value = json.dumps(given, ensure_ascii=False)
        # YAML knows no surrogates, which JSON would write for what lies beyond 16 bits.
        value = re.sub("[^ -~]", lambda found: f"\\U{ord(found[0]):08x}", value)
        lines.append(f"{name}: {value}  # {known[name].doc}")
    return "\n".join(lines) + "\n"


def environment() -> dict[str, Any]:
    """Versions and the machine: what a run ran on."""
    packages: dict[str, str | None] = {}
    for name in ("archspec-nn", "torch", "torchvision", "numpy", "pydantic", "safetensors"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    torch = sys.modules.get("torch")
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "packages": packages,
        "command": sys.argv,
    }
    if torch is not None:
        found["threads"] = torch.get_num_threads()
        found["cuda"] = torch.version.cuda
        if torch.cuda.is_available():
            found["gpus"] = [
                torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())
            ]
    return found


def now() -> str:
    """The time, to the second, with its zone."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"
