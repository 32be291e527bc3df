"""Run folders: what is in them, and how they are found and read. Nothing here imports torch.

RUN/
  spec.yaml           the resolved spec, as it was trained
  config.yaml         the recipe, every choice made; fit for `--config`
  run.json            what the data was, what was found automatically, when it began
  environment.json    versions and the machine
  metrics.jsonl       a line each interval and each epoch
  result.json         the closing figures, once there are any
  report.md, curves.png, confusion.png, tensorboard/
  checkpoints/        last, previous and best, as .safetensors
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from archspec.errors import Source
from archspec.train.errors import TrainingError
from archspec.train.files import write_text
from archspec.train.recipe import Recipe, read_layer, resolve

FOLDER = Path("runs")

OWN_FILES = ("spec.yaml", "result.json", "report.md", "curves.png", "confusion.png")
"""Files that a run writes, under names that others may have given to theirs."""


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
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def exists(self) -> bool:
        return self.config.is_file() and self.spec.is_file()

    def create(self, spec: str, recipe: Recipe, about: Mapping[str, Any]) -> None:
        """Writes what is known before the first step. Raises `TrainingError`."""
        for name in OWN_FILES:
            # The checkpoints' folder comes first: without one, what lies here is somebody else's.
            if not self.checkpoints.is_dir() and (self.folder / name).exists():
                raise TrainingError(
                    f"{self.folder} is no run and holds a {name} already, which a run would write "
                    "over: choose another --run"
                )
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(f"cannot make {self.checkpoints}: {error.strerror}") from None
        write_text(self.spec, spec)
        write_text(self.folder / "environment.json", _json(environment()))
        write_text(self.folder / "run.json", _json(about))
        write_text(self.metrics, "")
        # Last, because a folder with a config is a run.
        self.write_recipe(recipe)

    def write_recipe(self, recipe: Recipe) -> None:
        write_text(self.config, config_text(recipe))

    def recipe(self) -> Recipe:
        """The recipe that the run has been trained with."""
        text = self.read_text("config.yaml")
        return resolve([read_layer(Source(str(self.config), text))])

    def about(self) -> dict[str, Any]:
        return self._json("run.json")

    def result(self) -> dict[str, Any] | None:
        """The closing figures; None where the run has not come to its end."""
        if not (self.folder / "result.json").is_file():
            return None
        return self._json("result.json")

    def _json(self, name: str) -> dict[str, Any]:
        try:
            found = json.loads(self.read_text(name))
        except json.JSONDecodeError as error:
            raise TrainingError(f"{self.folder / name} is damaged: {error}") from None
        if not isinstance(found, dict):
            raise TrainingError(f"{self.folder / name} is damaged: it holds no mapping")
        return found

    def rows(self, kind: str | None = None) -> Iterator[dict[str, Any]]:
        """The lines of metrics.jsonl; a last line that was cut off is left out."""
        if not self.metrics.is_file():
            return
        for line in self.metrics.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                return
            if kind in (None, row.get("kind")):
                yield row

    def rewind(self, step: int) -> None:
        """Forgets the lines after `step`: they will be written again."""
        kept = [json.dumps(row) for row in self.rows() if row["step"] <= step]
        write_text(self.metrics, "".join(f"{line}\n" for line in kept))

    def read_text(self, name: str) -> str:
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except OSError as error:
            raise TrainingError(f"{self.folder} is not a run: {name}: {error.strerror}") from None


def open_run(folder: Path) -> Run:
    """The run in a folder. Raises `TrainingError` where there is none."""
    run = Run(folder)
    if not run.exists:
        near = ", ".join(str(each.folder) for each in find_runs(FOLDER)[-3:])
        known = f"; the newest here: {near}" if near else ""
        raise TrainingError(f"{folder} is not a run folder{known}")
    return run


def find_runs(folder: Path) -> list[Run]:
    """The runs in a folder (or the folder itself, where it is one), the oldest first."""
    if Run(folder).exists:
        return [Run(folder)]
    if not folder.is_dir():
        return []
    runs = [run for child in sorted(folder.iterdir()) if (run := Run(child)).exists]
    return sorted(runs, key=_started)


def _started(run: Run) -> str:
    try:
        return str(run.about().get("started", ""))
    except TrainingError:
        return ""  # whoever reads more of it is told


def new_folder(name: str, dataset: str) -> Path:
    """`runs/lenet_bn-digits-1`, the first number that is free."""
    data = Path(dataset.partition(":")[2] or dataset).name
    number = 1
    while (path := FOLDER / f"{name.replace('/', '-')}-{data}-{number}").exists():
        number += 1
    return path


def spec_hash(text: str) -> str:
    """Identifies a resolved spec."""
    return hashlib.sha256(text.encode()).hexdigest()


def config_text(recipe: Recipe) -> str:
    """The recipe as YAML, a line a field with what it means."""
    lines = ["# The recipe of this run; `archspec train SPEC --config` takes it."]
    for name, field in Recipe.model_fields.items():
        value = json.dumps(recipe.model_dump(mode="json")[name])
        lines.append(f"{name}: {value}  # {field.description}")
    return "\n".join(lines) + "\n"


def environment() -> dict[str, Any]:
    """Versions and the machine, to tell later what a run ran on."""
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
