"""The fourth fuzzer: sizes. Contracts and modules of random graphs, held against other sizes."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from itertools import cycle

import archspec
from archspec.architecture import Architecture
from archspec.contracts.contract import Contract
from archspec.diagnostics.diagnostic import SpecError
from archspec.testing.contracts import contract_mismatches
from archspec.testing.following import following_mismatches, following_specs
from archspec.testing.graphs import specs
from fuzzing.networks import drawn, is_large
from fuzzing.oracle import outcome
from fuzzing.sandbox import Case, Verdict

AT_ONCE = 20
"""Graphs that are drawn together."""

LARGEST = 48
"""The largest size that is tried."""

MOST_COMPILED, MOST_RUN = 16, 3
"""Sizes at which a contract is held against compiling, and those at which the module is run."""


def cases(rng: random.Random) -> Iterator[Case]:
    """Random graphs, for ever; half of them compute arguments from the sizes of what they read."""
    for name, strategy in cycle([("any", specs()), ("following", following_specs())]):
        for number, text in enumerate(drawn(strategy, rng.randrange(2**32), AT_ONCE)):
            yield Case(text.encode(), f"{name} graph {number}")


def prepare() -> None:
    """Imports torch: no case should pay for that."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    archspec.load("lenet_bn").verify()


def check(case: Case) -> Verdict:
    """The contract says what compiling does, and one module is right at all sizes it accepts."""
    try:
        arch = archspec.loads(case.text.decode(), warn=False)
    except SpecError as error:
        return Verdict(outcome(error))
    rng = random.Random(case.text)
    contract = arch.contract(_symbols(arch, rng))
    sizes = list(_sizes(contract, rng))
    if found := list(contract_mismatches(arch, contract, sizes)):
        return Verdict("accepted", found)
    if is_large(arch):
        return Verdict("accepted, too large to run")
    legal = [values for values in sizes if contract.accepts(**values)]
    tried = rng.sample(legal, min(MOST_RUN, len(legal)))
    shapes = [contract.input_shape(**values) for values in tried]
    found = list(following_mismatches(arch, shapes))
    return Verdict("accepted" if tried else "accepted, run at no other size", found)


def _symbols(arch: Architecture, rng: random.Random) -> list[str] | None:
    """Height and width by themselves, one of them, or both as one."""
    shape = arch.input_shape
    is_square = isinstance(shape, tuple) and shape[-1] == shape[-2]
    return rng.choice([None, ["S"], ["S", "S"] if is_square else None])


def _sizes(contract: Contract, rng: random.Random) -> Iterator[dict[str, int]]:
    """Sizes near those at which the contract changes, and any others."""
    for _ in range(MOST_COMPILED):
        yield {name: _near(contract, name, rng) for name in contract.symbols}


def _near(contract: Contract, name: str, rng: random.Random) -> int:
    changes = [size for each in contract.sizes[name].classes for size in each]
    near = [*changes, *(size - 1 for size in changes), contract.stated[name]]
    size = rng.choice([*near[:8], rng.randint(1, 16), rng.randint(1, LARGEST)])
    return min(max(size, 1), LARGEST)
