"""The runner on MLX: prompts advance in chunks, answers advance together, one token a step.

The caches are mlx-lm's, alone (`KVCache` and friends) while a sequence is by itself and merged
(`Batch*`) while several run; a model whose caches cannot merge runs its sequences in turn.
Knows token ids only.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import mlx.core as mx

from mlxk.engine import caches
from mlxk.engine.archive import Archive
from mlxk.engine.drafting import Drafter, Drafting
from mlxk.engine.group import Forward, Group, Row
from mlxk.engine.lookup import Lookup
from mlxk.engine.matcher import Grammars, Guide
from mlxk.engine.pace import Pace
from mlxk.engine.parts import padded
from mlxk.engine.prefill import Prefill
from mlxk.engine.prefixes import Prefixes
from mlxk.engine.protocol import Job, Step
from mlxk.engine.shard import ALONE, Shard
from mlxk.engine.wager import Wager

_STEPS_PER_CLEARING = 512
_GROWTH = 512


@dataclass(frozen=True, slots=True)
class Limits:
    """`rows` run at most, `kv_bytes` they hold at most; `kept_bytes` are for those that ended.

    A chunk of a prompt has `least_tokens` to `step_tokens`; `has_few_shapes`: see `Forward`.
    """

    rows: int
    step_tokens: int
    kv_bytes: int
    kept_bytes: int
    least_tokens: int = 32
    has_few_shapes: bool = False


class BatchRunner:
    """See `Runner`. `groups` decode; `prompts` have not been read to their end."""

    def __init__(
        self,
        model: Any,
        make: Callable[[], caches.Caches],
        geometry: caches.Geometry,
        limits: Limits,
        grammars: Grammars,
        archive: Archive | None = None,
        shard: Shard = ALONE,
        slack: int | None = None,
        drafter: Drafter | None = None,
    ) -> None:
        self._prefixes = Prefixes(make, limits.kept_bytes, archive)
        has_few_shapes = limits.has_few_shapes and self._prefixes.is_sliceable
        self._forward = Forward(model, shard, slack, has_few_shapes)
        self._geometry = geometry
        self._limits = limits
        self._grammars = grammars
        self._can_merge = caches.can_merge(make())
        self._pace = Pace(limits.step_tokens, limits.least_tokens)
        self._prompts = Prefill(
            self._forward, self._prefixes, limits.step_tokens, can_merge=self._can_merge
        )
        self._groups: list[Group] = []
        # In passes of few shapes a long guess is checked as soon as a short one.
        is_flat = has_few_shapes and isinstance(drafter, Lookup)
        self._drafting = Drafting(drafter, partial(Wager, is_flat=is_flat)) if drafter else None
        self._steps = 0
        self._chunk = 0
        self._began: float | None = None

    def has_room(self, job: Job) -> bool:
        rows = self._rows()
        if not rows:
            return True
        lengths = [_reserve(job, len(job.made)), *(_reserve(r.job, len(r.made)) for r in rows)]
        return len(rows) < self._limits.rows and self._fits(lengths)

    def crowded(self) -> int | None:
        rows = self._rows()
        if len(rows) < 2:
            return None
        fits = self._fits([row.length for row in rows])
        return None if fits else max(row.job.uid for row in rows)

    def _fits(self, lengths: Sequence[int]) -> bool:
        """Once a step: the parts are only looked at where a single one would be too large."""
        whole = len(lengths) * self._geometry.bytes(max(lengths))
        return whole <= self._limits.kv_bytes or self._held(lengths) <= self._limits.kv_bytes

    def _held(self, lengths: Sequence[int]) -> int:
        """Bytes: each row of a part is as long as the longest one."""
        parts = padded(lengths, self._forward.slack)
        return sum(rows * self._geometry.bytes(longest) for rows, longest in parts)

    def add(self, job: Job) -> None:
        row = Row(job, list(job.made), deque((*job.prompt, *job.made)), self._guide(job))
        self._prompts.rows.append(row)

    def remove(self, uid: int) -> None:
        self._prompts.drop(uid)
        for group in self._groups:
            self._leave(group, [row for row in group.rows if row.job.uid == uid])
        self._groups = [group for group in self._groups if group.rows]

    def tidy(self) -> bool:
        return self._prefixes.tidy() or self._prompts.rehearse()

    def reset(self) -> None:
        self._prompts.rows.clear()
        self._groups.clear()
        if self._drafting:
            self._drafting.clear()
        self._prefixes.clear()
        mx.clear_cache()

    def step(self) -> Sequence[Step]:
        steps: list[Step] = []
        is_answering = bool(self._groups)
        for group in self._groups:
            steps += self._advance(group)
            ended = {step.uid for step in steps if step.ended}
            self._leave(group, [row for row in group.rows if row.job.uid in ended])
        self._groups = [group for group in self._groups if group.rows]
        self._note_time(is_answering=is_answering)
        self._chunk += self._prefill()
        if not (self._groups or self._prompts.rows):
            self._began, self._chunk = None, 0
            if self._drafting:
                self._drafting.clear()
        self._prefixes.advance()
        self._steps += 1
        if self._steps % _STEPS_PER_CLEARING == 0:
            mx.clear_cache()
        return steps

    def _advance(self, group: Group) -> list[Step]:
        """Drafts are for one who is alone: several read the weights together as it is."""
        if self._drafting and len(self._rows()) == 1:
            return self._drafting.step(group)
        return group.step()

    def _guide(self, job: Job) -> Guide | None:
        if job.grammar is None:
            return None
        guide = Guide(self._grammars.matcher(job.grammar, job.stop), job.grammar_after)
        for token in job.made:
            guide.consume(token)
        return guide

    @property
    def archived(self) -> int:
        """Files of the prefix cache."""
        return self._prefixes.files

    @property
    def peak_bytes(self) -> int:
        """The most memory that MLX ever held, weights included."""
        return int(mx.get_peak_memory())

    @property
    def kv_bytes(self) -> int:
        """What the caches of the sequences take."""
        held = sum(self._geometry.bytes(row.read_length) for row in tuple(self._prompts.rows))
        for group in tuple(self._groups):
            held += self._held([row.length for row in tuple(group.rows)])
        return held

    @property
    def reading(self) -> tuple[tuple[int, int], ...]:
        """(uid, tokens read) of the prompts that have not been read to their end."""
        return tuple((row.job.uid, row.read_length) for row in tuple(self._prompts.rows))

    def _rows(self) -> list[Row]:
        return [*self._prompts.rows, *(row for group in self._groups for row in group.rows)]

    def _note_time(self, *, is_answering: bool) -> None:
        """What is read while nobody answers is waited for by the first who does."""
        now = time.monotonic()
        if is_answering and self._began is not None:
            self._pace.note(now - self._began, self._chunk)
        if is_answering or not self._chunk:
            self._began, self._chunk = now, 0

    def _prefill(self) -> int:
        """Spend this step's share of tokens on the prompts; how many it was."""
        self._prefixes.look(self._prompts.rows)
        if not self._prompts.rows:
            for group in self._groups:
                group.settle()
            return 0
        answering = sum(len(group.rows) for group in self._groups)
        (share,) = self._forward.shard.numbers(
            [self._pace.share(len(self._prompts.rows), answering)]
        )
        count, arrived = self._prompts.advance(share, self._groups)
        for group in arrived:
            if self._can_merge and self._groups:
                self._groups[0].extend(group)
            else:
                self._groups.append(group)
        return count

    def _leave(self, group: Group, rows: list[Row]) -> None:
        if not rows:
            return
        for row in rows:
            if not row.is_fresh:
                self._prefixes.keep(*group.extract(row), mark=len(row.job.prompt) - 1)
        group.keep([row for row in group.rows if row not in rows])


def _reserve(job: Job, made: int) -> int:
    """Tokens to hold a place for: an answer seldom becomes as long as it may."""
    return len(job.prompt) + min(job.max_tokens, made + _GROWTH)
