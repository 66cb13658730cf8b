"""What the ranks of one model must agree on: the part of the weights, tokens, numbers.

Each rank runs the same batch on its part of every layer. What rank 0 finds counts: sums may be
rounded in another order elsewhere, and clocks differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx


@dataclass(frozen=True, slots=True)
class Shard:
    """One rank of a group; alone without one."""

    group: Any = None

    @property
    def is_alone(self) -> bool:
        return self.group is None

    @property
    def rank(self) -> int:
        return int(self.group.rank()) if self.group else 0

    @property
    def ranks(self) -> int:
        return int(self.group.size()) if self.group else 1

    def divide(self, model: Any) -> None:
        """Keep this rank's part of the weights, which have not been read yet."""
        if self.group is None:
            return
        kind = type(model).__module__.rpartition(".")[2]
        if not hasattr(model, "shard"):
            raise ValueError(f"{kind} is not supported on several ranks: mlx-lm cannot divide it")
        if problem := _indivisible(getattr(model, "args", None), self.ranks):
            raise ValueError(f"not supported on {self.ranks} ranks: {problem}")
        model.shard(self.group)
        mx.eval(model.parameters())

    def first(self, array: Any) -> Any:
        """Rank 0's values, everywhere. The others compute theirs too: layers need all ranks."""
        if self.group is None:
            return array
        counts = 1 if self.rank == 0 else 0
        return mx.distributed.all_sum(array * counts, group=self.group)

    def numbers(self, values: Sequence[int]) -> list[int]:
        """The same, read back at once."""
        if self.group is None:
            return list(values)
        found: Any = self.first(mx.array(list(values), dtype=mx.int32)).tolist()
        return [int(value) for value in found]

    def each(self, values: Sequence[int]) -> list[tuple[int, ...]]:
        """For each number what every rank says, by rank.

        By a sum of small numbers, which is what every backend has.
        """
        if self.group is None:
            return [(value,) for value in values]
        table = [[0] * len(values) for _ in range(self.ranks)]
        table[self.rank] = list(values)
        found: Any = mx.distributed.all_sum(mx.array(table, dtype=mx.int32), group=self.group)
        return list(zip(*found.tolist(), strict=True))

    def least(self, *values: int) -> list[int]:
        """The smallest of each number of bytes that any rank has, in whole MiB."""
        if self.group is None:
            return list(values)
        return [min(said) << 20 for said in self.each([value >> 20 for value in values])]


ALONE = Shard()


def _indivisible(arguments: Any, ranks: int) -> str | None:
    for name in ("num_attention_heads", "num_key_value_heads"):
        count = getattr(arguments, name, None)
        if isinstance(count, int) and count % ranks:
            return f"{name} is {count}"
    return None
