"""Initialisation schemes by name: the one list that specs, recipes, schema and emitter read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archspec.record import Record


class Scheme(Record):
    """A function of `torch.nn.init`, and the arguments that differ from its defaults."""

    function: str
    arguments: Mapping[str, Any] = {}


SCHEMES: Mapping[str, Scheme] = {
    "xavier_uniform": Scheme("xavier_uniform_"),
    "xavier_normal": Scheme("xavier_normal_"),
    "kaiming_uniform": Scheme("kaiming_uniform_", {"nonlinearity": "relu"}),
    "kaiming_normal": Scheme("kaiming_normal_", {"nonlinearity": "relu"}),
    "orthogonal": Scheme("orthogonal_"),
    "trunc_normal": Scheme("trunc_normal_", {"std": 0.02}),  # the usual deviation
}
