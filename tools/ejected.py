"""Compares ejected files with what was noted of the modules that they stand for.

    python tools/ejected.py FOLDER

A process of its own, in which archspec cannot be imported. For each `NAME.py` there is a `NAME.pt`
(see tools/eject.py). It prints a line of JSON for each: what is equal, by name.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

SEED = 3
CHECKS = ("keys", "seed", "eval", "train")


def network(path: Path) -> type[nn.Module]:
    """The last class of a file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # pickle finds its classes there
    spec.loader.exec_module(module)
    own = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == path.stem]
    return own[-1]


def digest(net: nn.Module) -> str:
    """Changes with each bit of the state dict."""
    made = hashlib.sha256()
    for key, value in net.state_dict().items():
        made.update(key.encode())
        made.update(value.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy())
    return made.hexdigest()


@torch.no_grad()
def fill(net: nn.Module) -> None:
    """Values for all floats that are nowhere 0, and positive where variances may be."""
    generator = torch.Generator().manual_seed(SEED)
    for key, value in net.state_dict().items():
        if value.is_floating_point():
            drawn = torch.rand(value.shape, generator=generator) + 0.5
            is_kernel = value.dim() > 1 and "var" not in key
            fan = max(1, value[0].numel()) if is_kernel else 1
            value.copy_((drawn - 1) * (3 / fan) ** 0.5 if is_kernel else drawn)


def keys(net: nn.Module) -> list[Any]:
    """Each key with shape, dtype and whether it is trained, in order."""
    trained = {name: value.requires_grad for name, value in net.named_parameters()}
    return [
        (key, list(value.shape), str(value.dtype), trained.get(key))
        for key, value in net.state_dict().items()
    ]


def tensors(result: Any) -> list[Tensor]:
    """All tensors of a result, in order."""
    if isinstance(result, Tensor):
        return [result]
    values = result.values() if isinstance(result, dict) else result or ()
    return [tensor for value in values for tensor in tensors(value)]


def results(net: nn.Module, inputs: list[Tensor]) -> dict[str, Any]:
    """What a filled module gives in both modes, and its state after that."""
    found: dict[str, Any] = {}
    for mode in ("eval", "train"):
        net.train(mode == "train")
        with torch.no_grad():
            torch.manual_seed(SEED)
            given = net(*inputs)
        names = list(given) if isinstance(given, dict) else []
        found[mode] = [names, tensors(given)]
    found["after"] = digest(net)
    return found


def compare(path: Path) -> dict[str, bool]:
    """What is equal of an ejected file, by name."""
    noted = torch.load(path.with_suffix(".pt"), weights_only=True)
    torch.manual_seed(SEED)
    net = network(path)()
    found = {"keys": keys(net) == [tuple(each) for each in noted["keys"]]}
    found["seed"] = digest(net) == noted["digest"]
    fill(net)
    given = results(net, noted["inputs"])
    for mode in ("eval", "train"):
        (names, values), (wanted, expected) = given[mode], noted[mode]
        same = len(values) == len(expected) and all(map(torch.equal, values, expected))
        found[mode] = names == wanted and same
    found["train"] &= given["after"] == noted["after"]
    if noted.get("moves"):
        found["pickle"] = digest(pickle.loads(pickle.dumps(net))) == digest(copy.deepcopy(net))
        program = torch.export.export(net.eval(), tuple(noted["inputs"]))
        with torch.no_grad():
            again = tensors(program.module()(*noted["inputs"]))
        found["export"] = len(again) == len(noted["eval"][1])
    return found


def main() -> None:
    sys.modules["archspec"] = None  # type: ignore[assignment]
    torch.set_num_threads(1)
    for path in sorted(Path(sys.argv[1]).glob("*.py")):
        try:
            found: dict[str, Any] = dict(compare(path))
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps({"name": path.stem, **found}), flush=True)


if __name__ == "__main__":
    main()
