"""Random numbers that belong to an example, not to a moment.

Augmenting example i in an epoch needs the same numbers however the epoch is cut into batches,
chunks and processes, and wherever it is resumed. So they are hashed from (seed, example, draw)
with the finaliser of SplitMix64 (Steele, Lea and Flood 2014), in whole-number arithmetic that
gives the same bits on every device.
"""

from __future__ import annotations

import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15
FACTORS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
BITS = 24
"""Bits of one draw: as many as a float32 holds exactly."""


def _signed(value: int) -> int:
    """The int64 with the bits of a uint64: torch computes with the signed kind only."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _shifted(x: Tensor, bits: int) -> Tensor:
    """x >> bits with zeros moving in, where torch's shift copies the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mixed(x: Tensor) -> Tensor:
    x = (x ^ _shifted(x, 30)) * _signed(FACTORS[0])
    x = (x ^ _shifted(x, 27)) * _signed(FACTORS[1])
    return x ^ _shifted(x, 31)


class Draws:
    """Independent draws for each of some examples; each call gives the next ones.

    examples: int64 (N,), the numbers of the examples. Equal seeds, examples and calls give equal
    results.
    """

    def __init__(self, seed: int | Tensor, examples: Tensor) -> None:
        """A `seed` on the device is int64 without axes; it gives what the same number gives."""
        factor = FACTORS[0]
        own = seed * _signed(factor) if isinstance(seed, Tensor) else _signed(seed * factor)
        self._state = _mixed(_mixed(examples * _signed(GOLDEN)) + own)

    def part(self, start: int, stop: int) -> Draws:
        """The draws of examples `start` to `stop`, from the present one on."""
        part = object.__new__(Draws)
        part._state = self._state[start:stop]
        return part

    def _next(self) -> Tensor:
        self._state = self._state + _signed(GOLDEN)
        return _shifted(_mixed(self._state), 64 - BITS)

    def integers(self, bound: int) -> Tensor:
        """Whole numbers of 0 to bound - 1 as int64 (N,); `bound` is small against 2^24."""
        return (self._next() * bound) >> BITS

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Numbers of low to high as float32 (N,)."""
        return self._next().to(torch.float32) * ((high - low) / (1 << BITS)) + low

    def coin(self, probability: float) -> Tensor:
        """True with that probability, as bool (N,)."""
        return self.uniform() < probability
