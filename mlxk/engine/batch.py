"""The runner on MLX: prompts advance in chunks, answers advance together, one token a step.

The caches are mlx-lm's, alone (`KVCache` and friends) while a sequence is by itself and merged
(`Batch*`) while several run; a model whose caches cannot merge runs its sequences in turn.
Knows token ids only.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import make_prompt_cache

from mlxk.engine.protocol import Ended, Job, Step
from mlxk.engine.sampler import Draw, Sampler

_STEPS_PER_CLEARING = 512


@dataclass(slots=True)
class Row:
    """A sequence on the device. `made` is what was read back; one more may be on its way."""

    job: Job
    made: list[int]
    caches: list[Any]
    pending: deque[int] = field(default_factory=deque)
    is_fresh: bool = True

    def ends(self, token: int) -> Ended | None:
        if token in self.job.stop:
            return "stop"
        return "length" if len(self.made) >= self.job.max_tokens else None


class BatchRunner:
    """See `Runner`. `groups` decode; `prompts` have not finished their prefill."""

    def __init__(self, model: Any, *, rows: int, step_tokens: int) -> None:
        self._model = model
        self._rows = rows
        self._step_tokens = step_tokens
        self._can_merge = all(hasattr(c, "merge") for c in make_prompt_cache(model))
        self._prompts: deque[Row] = deque()
        self._groups: list[Group] = []
        self._steps = 0

    def has_room(self, job: Job) -> bool:
        return len(self._prompts) + sum(len(group.rows) for group in self._groups) < self._rows

    def add(self, job: Job) -> None:
        row = Row(job, list(job.made), make_prompt_cache(self._model))
        row.pending.extend((*job.prompt, *job.made))
        self._prompts.append(row)

    def remove(self, uid: int) -> None:
        self._prompts = deque(row for row in self._prompts if row.job.uid != uid)
        for group in self._groups:
            group.keep([i for i, row in enumerate(group.rows) if row.job.uid != uid])
        self._groups = [group for group in self._groups if group.rows]

    def reset(self) -> None:
        self._prompts.clear()
        self._groups.clear()
        mx.clear_cache()

    def step(self) -> Sequence[Step]:
        steps = [step for group in self._groups for step in group.step()]
        self._groups = [group for group in self._groups if group.rows]
        self._prefill()
        self._steps += 1
        if self._steps % _STEPS_PER_CLEARING == 0:
            mx.clear_cache()
        return steps

    def _prefill(self) -> None:
        """Spend this step's share of tokens on the prompts, the oldest first."""
        budget = self._step_tokens
        while budget > 0 and self._prompts:
            budget -= self._advance(self._prompts[0], budget)
            if len(self._prompts[0].pending) == 1:
                self._join(self._prompts.popleft())

    def _advance(self, row: Row, budget: int) -> int:
        """Push up to `budget` tokens, never the last one: decoding begins with it."""
        count = min(budget, len(row.pending) - 1)
        if count:
            chunk = [row.pending.popleft() for _ in range(count)]
            self._model(mx.array([chunk]), cache=row.caches)
            # Only the caches are evaluated, so the logits of a prompt are never computed; and not
            # waited for, so that the tokens read before are published first.
            _dispatch([cache.state for cache in row.caches])
        return max(count, 1)

    def _join(self, row: Row) -> None:
        group = Group(self._model, row)
        if self._can_merge and self._groups:
            self._groups[0].extend(group)
        else:
            self._groups.append(group)


class Group:
    """Rows that share one forward pass. `_next` [B] are tokens chosen, perhaps not computed yet."""

    def __init__(self, model: Any, row: Row) -> None:
        self.rows = [row]
        self._model = model
        self._caches = row.caches
        self._next = mx.array([row.pending.popleft()])
        self._sampler: Sampler | None = None

    def extend(self, other: "Group") -> None:
        if len(self.rows) == 1:
            self._caches = _merged([self._caches])
        for mine, theirs in zip(self._caches, _merged([other._caches]), strict=True):
            mine.extend(theirs)
        self.rows += other.rows
        self._next = mx.concatenate([self._next, other._next])
        self._sampler = None

    def keep(self, indices: list[int]) -> None:
        if len(indices) == len(self.rows):
            return
        if len(indices) == 1 and self._caches[0].empty():
            self._caches = make_prompt_cache(self._model)
        elif len(indices) == 1:
            self._caches = [cache.extract(indices[0]) for cache in self._caches]
        elif indices:
            for cache in self._caches:
                cache.filter(mx.array(indices))
        self.rows = [self.rows[i] for i in indices]
        self._next = self._next[mx.array(indices)] if indices else self._next
        self._sampler = None

    def step(self) -> list[Step]:
        """Dispatch the next tokens, then read the ones before them."""
        inputs = self._next
        if any(row.is_fresh or len(row.made) + 1 < row.job.max_tokens for row in self.rows):
            self._next = self._forward(inputs)
            _dispatch(self._next)
        tokens: Any = inputs.tolist()
        return self._read(tokens)

    def _forward(self, inputs: Any) -> Any:
        logits = self._model(inputs[:, None], cache=self._caches)[:, -1, :]
        if self._sampler is None:
            draws = [Draw(row.job.policy, row.job.prompt, row.made) for row in self.rows]
            self._sampler = Sampler(draws, logits.shape[-1])
        unread = [not row.is_fresh for row in self.rows]
        positions = [len(row.made) + new for row, new in zip(self.rows, unread, strict=True)]
        return self._sampler(logits, inputs, positions, unread)

    def _read(self, tokens: list[int]) -> list[Step]:
        steps: list[Step] = []
        alive: list[int] = []
        for index, (row, token) in enumerate(zip(self.rows, tokens, strict=True)):
            ended: Ended | None = None
            if row.is_fresh:
                row.is_fresh = False
            else:
                row.made.append(token)
                ended = row.ends(token)
                steps.append(Step(row.job.uid, token, ended))
            if ended is None:
                alive.append(index)
        self.keep(alive)
        return steps


_dispatch: Any = mx.async_eval


def _merged(rows: list[list[Any]]) -> list[Any]:
    """One batched cache a layer from the rows' own caches."""
    return [layer[0].merge(list(layer)) for layer in zip(*rows, strict=True)]
