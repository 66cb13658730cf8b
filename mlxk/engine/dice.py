"""The numbers that tokens are drawn by. Knows no device."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_STEP = np.uint64(0x9E3779B97F4A7C15)
_LEAP = np.uint64(0xD1342543DE82EF95)
_MIXES = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def uniforms(seeds: Sequence[int], positions: Sequence[int], count: int = 1) -> NDArray[np.float32]:
    """Numbers in [0, 1) [rows, count] that depend on a row's seed and position alone (SplitMix64).

    Not made on the device, so that they cannot depend on what else is in the batch.
    """
    x = np.array(seeds, np.uint64) + (np.array(positions, np.uint64) + np.uint64(1)) * _STEP
    x = x[:, None] + np.arange(count, dtype=np.uint64) * _LEAP
    for shift, factor in _MIXES:
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    bits = (x ^ (x >> np.uint64(31))) >> np.uint64(40)
    numbers: NDArray[np.float32] = bits.astype(np.float32) * np.float32(2.0**-24)
    return numbers
