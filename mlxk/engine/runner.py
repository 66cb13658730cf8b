"""What the engine loop asks of a device: a batch of sequences that all advance by one step."""

from collections.abc import Sequence
from typing import Protocol

from mlxk.engine.protocol import Job, Step


class Runner(Protocol):
    """Called by one thread only. After an exception from `step` or `add`, `reset` is called."""

    def has_room(self, job: Job) -> bool:
        """Whether `job` can join what is running now; always true when nothing is running."""
        ...

    def crowded(self) -> int | None:
        """Who must wait again because the others have grown: the youngest, never the last one."""
        ...

    def add(self, job: Job) -> None: ...

    def remove(self, uid: int) -> None: ...

    def step(self) -> Sequence[Step]:
        """One prompt chunk and one token for each sequence that is past its prompt."""
        ...

    def tidy(self) -> bool:
        """With nothing to do: a little of what can wait. False when nothing is left of it."""
        ...

    def reset(self) -> None:
        """Forget every sequence and whatever state may have become inconsistent."""
