"""timm's networks: the smallest of each of its model files, and a hundred drawn from all others.

    PYTHONPATH=tools python -m importables.timm_networks

writes timm.json anew from timm's registry. It makes every model on the meta device: ten minutes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
from comparing import unfilled
from timm.models import _registry
from torch import nn

from archspec.runtime.measure import measure_macs
from importables import Given, Model, by_hand

LIST = Path(__file__).with_name("timm.json")
SEED = 13
DRAWN = 100
MOST_PARAMETERS = 100_000_000
MOST_MACS = 20_000_000_000
SMALL = (64, 128)
"""Sizes to try a network at that takes images of any size."""


def models() -> list[Model]:
    chosen = json.loads(LIST.read_text(encoding="utf-8"))
    files = [model(name, "files") for name in chosen["files"].values()]
    return [*files, *(model(name, "sample") for name in chosen["sample"])]


def model(name: str, group: str) -> Model:
    shape = input_shape(name)
    sizes = [shape]
    if not configuration(name).get("fixed_input_size", False):
        sizes = [(shape[0], size, size) for size in SMALL if size < shape[1]] + sizes
    made = partial(timm.create_model, name)
    hand = by_hand(name, "zoo")
    return Model(f"timm.{name}", group, made, [(Given(size),) for size in sizes], hand)


def configuration(name: str) -> Mapping[str, Any]:
    """What timm says of the published weights of a model, if there are any."""
    found = timm.models.get_pretrained_cfg(name)
    return {} if found is None else found.to_dict()


def input_shape(name: str) -> tuple[int, ...]:
    return tuple(configuration(name).get("input_size") or (3, 224, 224))


def registered() -> dict[str, list[str]]:
    """The names of models by the file that they are in, both in the order of the alphabet."""
    files = sorted(_registry._module_to_models)
    return {file: sorted(timm.list_models(module=file)) for file in files}


def on_meta(name: str) -> nn.Module:
    """A model without memory for its weights."""
    with unfilled():
        try:
            with torch.device("meta"):
                return timm.create_model(name)
        except (NotImplementedError, RuntimeError):  # its constructor reads values
            return timm.create_model(name).to("meta")


def parameters(name: str) -> int:
    return sum(each.numel() for each in on_meta(name).parameters())


def macs(name: str) -> int:
    """Multiplications of one image at the size that the model is published for."""
    net = on_meta(name).to("meta").eval()
    image = torch.empty(1, *input_shape(name), device="meta")
    return measure_macs(lambda: net(image))


def smallest() -> dict[str, str]:
    """The model of fewest parameters of each file, the first of equal ones."""
    return {file: min(names, key=parameters) for file, names in registered().items()}


def drawn(left_out: set[str]) -> Iterator[str]:
    """Models that are not too large for a comparison, in a random order."""
    names = [name for each in registered().values() for name in each if name not in left_out]
    random.Random(SEED).shuffle(names)
    for name in names:
        if parameters(name) <= MOST_PARAMETERS and macs(name) <= MOST_MACS:
            yield name


def write() -> None:
    files = smallest()
    candidates = drawn(set(files.values()))
    sample = sorted(next(candidates) for _ in range(DRAWN))
    text = json.dumps({"timm": timm.__version__, "files": files, "sample": sample}, indent=1)
    LIST.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
