"""What of a file's weights fits a network, key by key, and why the rest does not."""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from archspec.weights.read import Loaded
from archspec.weights.rename import modernised, renamed, unwrapped
from archspec.weights.report import Difference, LoadReport

EMPTY: Mapping[str, str] = {}
COUNTER = "num_batches_tracked"
"""A buffer of batch normalisation that files from before torch 0.4.1 have not; it starts at 0."""
MAX_NEAR = 200
"""Missing keys for which a near name is looked for."""
MAX_ALIKE = 12
"""Keys that are compared letter by letter with one that is missing."""


def match(
    network: str,
    expected: Mapping[str, Tensor],
    loaded: Loaded,
    renames: Mapping[str, str],
    tied: Mapping[str, str] = EMPTY,
) -> tuple[LoadReport, dict[str, Tensor]]:
    """The report, and the tensors that fit by the network's keys. Raises `WeightsError`.

    `tied` has the keys that are second names of a tensor, each with its first one: a file may hold
    it under either name, or under both with equal values.
    """
    tensors, notes = unwrapped(loaded.tensors, expected)
    tensors, more = modernised(renamed(tensors, renames), expected)
    tensors = _with_second_names(tensors, tied)
    report = LoadReport(loaded.source, network, notes=[*loaded.notes, *notes, *more])
    report.kept = _absent_counters(expected, tensors)
    if report.kept:
        report.notes.append(f"older than `{COUNTER}`: the {len(report.kept)} of them stay at 0")
    absent = [key for key in expected if key not in tensors and key not in set(report.kept)]
    odd = [key for key in tensors if key not in expected]
    _compare(report, expected, tensors)
    _refuse_different(report, tensors, tied)
    near = _Nearest({key: tensors[key] for key in odd})
    partners = {key: near.to(key, expected[key]) for key in absent[:MAX_NEAR]}
    report.missing = [
        Difference(key, _why_missing(key, tensors, partners.get(key))) for key in absent
    ]
    report.unexpected = [
        Difference(key, f"not in the network: {_around(key, expected)}") for key in odd
    ]
    report.unexpected += [
        Difference(key, f"holds no tensor, but {kind}") for key, kind in loaded.strange.items()
    ]
    report.help = _help(report, partners)
    return report, {key: tensors[key] for key in report.matched}


def _with_second_names(tensors: Mapping[str, Tensor], tied: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors of a file, those with two names in the network under both."""
    found = dict(tensors)
    for second, first in tied.items():
        if second in found:
            found.setdefault(first, found[second])
    for second, first in tied.items():
        if first in found:
            found.setdefault(second, found[first])
    return found


def _refuse_different(
    report: LoadReport, tensors: Mapping[str, Tensor], tied: Mapping[str, str]
) -> None:
    """Of a tensor with two names, a file that has two different ones fits neither."""
    for second, first in tied.items():
        if {second, first} <= set(report.matched) and not torch.equal(
            tensors[second], tensors[first]
        ):
            report.matched.remove(second)
            why = f"differs from {first} in the file, and is the same tensor in the network"
            report.other_shape.append(Difference(second, why))


def _absent_counters(expected: Collection[str], tensors: Collection[str]) -> list[str]:
    """The network's counters, where the file has none at all."""
    if any(key.endswith(COUNTER) for key in tensors):
        return []
    return [key for key in expected if key.endswith(f".{COUNTER}")]


def _compare(
    report: LoadReport, expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> None:
    """Fills `matched` and `other_shape`, and notes other precisions, which are converted."""
    converted: Counter[str] = Counter()
    for key, own in expected.items():
        given = tensors.get(key)
        if given is None:
            continue
        if given.shape != own.shape:
            why = f"{tuple(given.shape)} in the file, {tuple(own.shape)} in the network"
            report.other_shape.append(Difference(key, why))
        elif given.is_floating_point() != own.is_floating_point() or given.is_complex():
            why = f"{_number(given)} in the file, {_number(own)} in the network"
            report.other_shape.append(Difference(key, why))
        else:
            report.matched.append(key)
            if given.dtype != own.dtype:
                converted[f"{_number(given)} to {_number(own)}"] += 1
                if _is_too_large(given, own.dtype):
                    report.infinite.append(key)
    report.notes += [f"converted {count} keys from {kinds}" for kinds, count in converted.items()]
    if report.infinite:
        shown = ", ".join(report.infinite[:3]) + ", …" * (len(report.infinite) > 3)
        count = len(report.infinite)
        keys = f"{count} key{'s' * (count > 1)}"
        report.notes.append(f"values of {keys} are too large, and become infinite: {shown}")


def _is_too_large(given: Tensor, dtype: torch.dtype) -> bool:
    """Whether floats of a file are beyond the range of `dtype`."""
    if not dtype.is_floating_point or torch.finfo(dtype).max >= torch.finfo(given.dtype).max:
        return False
    return bool((given.isfinite() & given.to(dtype).isinf()).any())


# --- why -----------------------------------------------------------------------------------------


class _Nearest:
    """Finds the key under which the file may hold what is missing."""

    def __init__(self, odd: Mapping[str, Tensor]) -> None:
        self.by_shape: dict[tuple[int, ...], list[str]] = defaultdict(list)
        for key, tensor in odd.items():
            self.by_shape[tuple(tensor.shape)].append(key)

    def to(self, key: str, own: Tensor) -> str | None:
        """Of equal shape, and with an alike name or the same end of one."""
        candidates = self.by_shape.get(tuple(own.shape), [])
        ends = {each: len(_common_end(each, key)) for each in candidates}
        ranks = {each: (-ends[each], each.count(".")) for each in candidates}
        best = sorted(candidates, key=ranks.__getitem__)[:MAX_ALIKE]
        alone = len({ranks[each] for each in best[:2]}) == len(best[:2])
        if best and ends[best[0]] >= 2 and alone:
            return best[0]
        alike = difflib.get_close_matches(key, best, n=1, cutoff=0.75)
        return alike[0] if alike else None


def _common_end(a: str, b: str) -> list[str]:
    """The parts of two paths that are equal from the end."""
    common: list[str] = []
    for x, y in zip(reversed(a.split(".")), reversed(b.split(".")), strict=False):
        if x != y:
            break
        common.insert(0, x)
    return common


def _why_missing(key: str, tensors: Collection[str], near: str | None) -> str:
    if near is not None:
        return f"not in the file, which has {near} of this shape"
    return f"not in the file: {_around(key, tensors)}"


def _around(key: str, keys: Collection[str]) -> str:
    """What stands in the place of a missing key."""
    path = key
    while path:
        path, _, lost = path.rpartition(".")
        below = [each for each in keys if each.startswith(f"{path}.")] if path else list(keys)
        if below:
            start = len(path) + 1 if path else 0
            there = list(dict.fromkeys(each[start:].partition(".")[0] for each in below))
            shown = ", ".join(there[:5]) + (", …" if len(there) > 5 else "")
            return f"{path or 'at its top it'} has {shown}, and no {lost}"
    return "nothing is near"


def _help(report: LoadReport, partners: Mapping[str, str | None]) -> str | None:
    """What would help: a rename that explains most of what is missing, or --partial."""
    if report.fits:
        return None
    changes: Counter[tuple[str, str]] = Counter()
    for key, near in partners.items():
        if near is not None:
            rest = len(_common_end(near, key))
            old, new = (".".join(path.split(".")[:-rest]) for path in (near, key))
            changes[old, new] += 1
    if changes:
        (old, new), count = changes.most_common(1)[0]
        if 2 * count > len(partners):
            return f"rename what has another name: --weights-map {old}={new}"
    if 2 * len(report.matched) < report.total:
        return "these look like the weights of another network"
    return "load what fits, and leave the rest as it is, with --partial (in Python partial=True)"


def _number(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
