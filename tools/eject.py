"""Ejects specs, and compares the files with the modules in a process without archspec.

    python tools/eject.py specs/*.yaml specs/torchvision/*.yaml
    python tools/eject.py --size 64 --write FILE specs/torchvision/*.yaml
    python tools/eject.py --keys specs/*.yaml specs/torchvision/*.yaml zoo/*.yaml

`tools/parity.py --eject` does it for all bundled specs. A line says what is equal bit for bit: the
keys in their order, the first weights of one seed, the results in `eval()` and in `train()` with
the statistics after it; and whether ruff would change the file. With `--keys` the modules are made
on the meta device, and only their tensors are compared: names, shapes, types and order.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ejected
import torch

import archspec
from archspec.ir.shape import concrete
from archspec.runtime.values import drawn

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = ("spec", "lines", *ejected.CHECKS, "ruff")


def note(arch: archspec.Architecture, path: Path, *, moves: bool = False) -> int:
    """Writes an ejected file, and beside it what its module must give. Returns its lines.

    With `moves` the module must be pickled, copied and exported too.
    """
    text = arch.eject()
    path.write_text(text, encoding="utf-8")
    net = arch.build(seed=ejected.SEED)
    noted: dict[str, Any] = {"keys": ejected.keys(net), "digest": ejected.digest(net)}
    ejected.fill(net)
    generator = torch.Generator().manual_seed(ejected.SEED)
    kinds = zip(arch.graph.input_types, arch.graph.inputs, strict=True)
    inputs = [drawn(kind, concrete(shape, 2), generator) for kind, shape in kinds]
    noted |= {"inputs": inputs, "moves": moves, **ejected.results(net, inputs)}
    torch.save(noted, path.with_suffix(".pt"))
    return len(text.splitlines())


def compared(folder: Path, *more: str) -> dict[str, dict[str, Any]]:
    """What the process without archspec found, by the names of files."""
    command = [sys.executable, ejected.__file__, str(folder), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {line.pop("name"): line for line in lines}


def keys_alone(names: Sequence[str]) -> int:
    """Compares the tensors of many networks, a line for each. Returns how many differ."""
    found: dict[str, str] = {}
    noted: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            stem = name.removesuffix(".yaml").replace("/", "_").replace(".", "_").replace("-", "_")
            refused = "no network"
            try:
                arch = archspec.load(name, warn=False)
                refused = "refused"
                text = arch.eject()
            except archspec.SpecError as error:
                (first, *_) = error.diagnostics
                found[name] = f"{refused}  {first.code}: {first.message}"
                continue
            (Path(folder) / f"{stem}.py").write_text(text, encoding="utf-8")
            tensors = ejected.keys(arch.build(device="meta"))
            (Path(folder) / f"{stem}.json").write_text(json.dumps(tensors), encoding="utf-8")
            noted[name] = stem
        results = compared(Path(folder), "--keys")
        formatted = {
            name: is_formatted([Path(folder) / f"{stem}.py"]) for name, stem in noted.items()
        }
    for name, stem in noted.items():
        given = results[stem]
        found[name] = "equal" if given.get("keys") else f"FAILED  {given.get('error', '')}"
        found[name] += "" if formatted[name] else "  CHANGES"
    for name in names:
        print(f"{name}  {found[name]}", flush=True)
    return sum("FAILED" in line or "CHANGES" in line for line in found.values())


def is_formatted(paths: Sequence[Path]) -> bool:
    """Whether ruff would neither change nor criticise the files, by the project's settings."""
    ruff = [sys.executable, "-m", "ruff"]
    more = ["--config", str(ROOT / "pyproject.toml"), *map(str, paths)]
    return not any(
        subprocess.run([*ruff, *what, *more], capture_output=True, check=False).returncode
        for what in (["format", "--check"], ["check", "--no-cache"])
    )


def small(name: str, size: int | None) -> archspec.Architecture:
    """The spec, for images of `size` where it has one image as its input."""
    arch = archspec.load(name, warn=False)
    shape = arch.input_shape
    if size is None or not isinstance(shape, tuple) or len(shape) != 4:
        return arch
    while size < shape[-1]:
        try:
            return arch.variant(input_shape=(shape[1], size, size))
        except archspec.SpecError:
            size *= 2
    return arch


def row(name: str, size: int | None) -> dict[str, Any]:
    """What is equal of one spec."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{Path(name).stem.replace('.', '_')}.py"
        lines = note(small(name, size), path)
        found = compared(Path(folder))[path.stem]
        return {"spec": name, "lines": lines, **found, "ruff": is_formatted([path])}


def cells(found: Mapping[str, Any]) -> list[str]:
    """The cells of a line of the table."""
    words = {True: "equal", False: "FAILED", None: "FAILED"}
    return [
        str(found["spec"]).removeprefix("specs/").removesuffix(".yaml"),
        str(found["lines"]),
        *[words[found.get(check)] for check in ejected.CHECKS],
        "as it is" if found["ruff"] else "CHANGES",
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("specs", nargs="+", metavar="SPEC")
    parser.add_argument("--size", type=int, help="sides of the images (default: the spec's)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="append the rows to a file")
    parser.add_argument("--keys", action="store_true", help="compare names and shapes alone")
    options = parser.parse_args(arguments)
    if options.keys:
        return 1 if keys_alone(options.specs) else 0
    torch.set_num_threads(1)
    failed = 0
    for name in options.specs:
        found = row(name, options.size)
        line = "  ".join(cells(found)) + ("  " + found["error"] if "error" in found else "")
        failed += "FAILED" in line or "CHANGES" in line
        print(line, flush=True)
        if options.write:
            with options.write.open("a", encoding="utf-8") as file:
                file.write(f"| {' | '.join(cells(found))} |\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
