"""Keys of another program's file under the names that a network has for them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import TypeAlias

from torch import Tensor

from archspec.diagnostics.diagnostic import Refusal
from archspec.diagnostics.suggestions import did_you_mean
from archspec.text.files import read_text
from archspec.text.limits import DEFAULT
from archspec.text.values import Mapping as YamlMapping
from archspec.text.values import Scalar, read
from archspec.weights.errors import WeightsError

Renames: TypeAlias = Mapping[str, str] | str | PathLike[str]
"""Old path to new path, or a YAML or JSON file of such pairs."""

WRAPPING_MODULES = ("module.", "_orig_mod.")
"""Put before every key by DistributedDataParallel (and DataParallel), and by torch.compile."""

_OLD_DENSE_LAYER = re.compile(r"(.*denselayer\d+\.(?:norm|conv))\.([12]\.\w+)")
"""torchvision's published DenseNets were saved before `norm.1` became `norm1` there."""
DENSE = "from before torchvision 0.3 (`norm.1` to `norm1`)"

_NORM_KEYS = (
    *(("_g", "original0"), ("_v", "original1")),
    *(("_orig", "original"), ("_u", "0._u"), ("_v", "0._v")),
)
"""Ends of keys of weight norm and spectral norm: those of old, and those of `parametrize`."""
_NEW_NORM = re.compile(r"(.*\.|)parametrizations\.(\w+)\.(original[01]?|0\._[uv])")
NORMS = "of weight norm or spectral norm (`weight_g` and `parametrizations.weight.original0`)"


def read_renames(renames: Renames | None) -> dict[str, str]:
    """The pairs. Raises `WeightsError`, and `SpecError` for a file that is no YAML."""
    if renames is None:
        return {}
    if isinstance(renames, Mapping):
        return dict(renames)
    name = fspath(renames)
    try:
        value = read(read_text(Path(name), DEFAULT), DEFAULT)
    except (OSError, Refusal) as error:
        raise WeightsError(f"cannot read the weights map {name}: {error}") from None
    entries = {} if not isinstance(value, YamlMapping) else dict(value.entries)
    pairs = {
        key: item.text
        for key, (_, item) in entries.items()
        if isinstance(item, Scalar) and isinstance(item.value, str | int)
    }
    if not pairs or len(pairs) < len(entries):
        raise WeightsError(
            f"{name} is no weights map",
            expected="a mapping of old paths to new ones, such as `backbone: features`",
        )
    return pairs


def unwrapped(
    tensors: dict[str, Tensor], expected: Collection[str]
) -> tuple[dict[str, Tensor], list[str]]:
    """Without the prefix that a wrapping module puts before every key, and notes on that."""
    notes: list[str] = []
    found = True
    while found and tensors:
        found = False
        for prefix in WRAPPING_MODULES:
            own = any(key.startswith(prefix) for key in expected)
            if not own and all(key.startswith(prefix) for key in tensors):
                tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
                notes.append(f"took `{prefix}` off every key: the weights of a wrapped model")
                found = True
    return tensors, notes


def renamed(tensors: dict[str, Tensor], renames: Mapping[str, str]) -> dict[str, Tensor]:
    """With paths renamed, the longest that applies to a key first.

    A path is a key or the start of one up to a dot; the empty one is every key's. Raises
    `WeightsError` where one is nowhere, or where two keys get one name.
    """
    pairs = {old.strip("."): new.strip(".") for old, new in renames.items()}
    longest_first = sorted(pairs, key=len, reverse=True)
    used: set[str] = set()
    result: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        old = next((old for old in longest_first if _is_below(key, old)), None)
        name = key
        if old is not None:
            used.add(old)
            rest = key[len(old) :].strip(".")
            name = ".".join(filter(None, (pairs[old], rest)))
        if name in result:
            raise WeightsError(f"the weights map gives two keys the name {name!r}")
        result[name] = tensor
    unused = [old for old in pairs if old not in used]
    if unused:
        raise WeightsError(
            f"the weights map names {unused[0]!r}, and no key of the file begins so",
            help=did_you_mean(unused[0], _paths(tensors)),
        )
    return result


def modernised(
    tensors: dict[str, Tensor], expected: Collection[str]
) -> tuple[dict[str, Tensor], list[str]]:
    """With keys renamed that older, or newer, versions of libraries have for the same tensors.

    Those of old DenseNet files, as torchvision does when it loads them; and those of weight norm
    and spectral norm, which have other names since torch has `parametrize`.
    """
    result: dict[str, Tensor] = {}
    counts = dict.fromkeys((DENSE, NORMS), 0)
    for key, tensor in tensors.items():
        found = [] if key in expected else [*_other_spellings(key)]
        new, why = next(
            ((new, why) for new, why in found if new in expected and new not in tensors), (key, "")
        )
        result[new] = tensor
        if new != key:
            counts[why] += 1
    return result, [f"renamed {count} keys {why}" for why, count in counts.items() if count]


def _other_spellings(key: str) -> Iterator[tuple[str, str]]:
    """What other versions call a tensor, each with what is said of it."""
    if old := _OLD_DENSE_LAYER.fullmatch(key):
        yield old[1] + old[2], DENSE
    holder, _, last = key.rpartition(".")
    for before, now in _NORM_KEYS:
        if last.endswith(before):
            path = f"parametrizations.{last.removesuffix(before)}.{now}"
            yield f"{holder}.{path}" if holder else path, NORMS
    if new := _NEW_NORM.fullmatch(key):
        for before, now in _NORM_KEYS:
            if new[3] == now:
                yield f"{new[1]}{new[2]}{before}", NORMS


def _is_below(key: str, path: str) -> bool:
    return not path or key == path or key.startswith(f"{path}.")


def _paths(keys: Collection[str]) -> set[str]:
    """Every key, and every path above one."""
    found: set[str] = set()
    for key in keys:
        parts = key.split(".")
        found.update(".".join(parts[:length]) for length in range(1, len(parts) + 1))
    return found
