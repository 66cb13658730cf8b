"""Several tokens in one step for a sequence that is alone: a drafter guesses, the model checks.

A draw depends on its place and on what comes before it, so what holds of a draft is what would
have been drawn without it.
"""

import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from mlxk.engine.group import Group, Row
from mlxk.engine.lookup import Lookup, Tokens
from mlxk.engine.protocol import Step
from mlxk.engine.sampler import Draw, Sampler
from mlxk.engine.wager import Wager


class Drafter(Protocol):
    """`text` is all that is known of a sequence, `hints` what its asker expects it to say."""

    def prepare(self, text: Tokens, hints: Tokens) -> bool:
        """Whether it is worth waiting for the token after `text`."""
        ...

    def propose(self, text: Tokens, hints: Tokens, most: int) -> list[int]: ...


class Drafting:
    """One row at a time; whoever else is there meanwhile, it is not asked."""

    def __init__(
        self, drafter: Drafter, new_wager: Callable[[Wager | None], Wager] = Wager
    ) -> None:
        self._drafter = drafter
        self._new_wager = new_wager
        self._wager: Wager | None = None
        self._alone: _Alone | None = None

    def step(self, group: Group) -> list[Step]:
        """Of a group of one row."""
        (row,) = group.rows
        if self._alone is None or self._alone.row is not row:
            self._wager = self._new_wager(self._wager)
            self._alone = _Alone(row, self._wager)
        # Who says what to expect need not be second-guessed.
        return self._alone.step(group, Lookup() if row.job.hints else self._drafter)

    def clear(self) -> None:
        self._alone = None


class _Alone:
    """One row, and what drafts have brought it so far."""

    def __init__(self, row: Row, wager: Wager) -> None:
        self.row = row
        self._wager = wager
        self._text = _Growing(row)
        self._hints = np.array(row.job.hints, np.int32)
        self._samplers: dict[int, Sampler] = {}
        self._can_draft = _can_draft(row)
        self._ended = self._prepared_s = 0.0
        self._has_waited = False
        self._made = -1
        self._steady = 0

    def step(self, group: Group, drafter: Drafter) -> list[Step]:
        # Steps among others are not ours, and the first of our own finish what those began.
        self._steady = self._steady + 1 if self._made == len(self.row.made) else 0
        run = self._run(group, drafter) if self._can_draft and self._steady else []
        if run:
            said = group.verify(run, self._draw)
            self._wager.note_draft(self._seconds(), said[0].drafted, said[0].accepted)
        else:
            is_vain, self._has_waited = self._has_waited, False
            said = group.step()
            note = self._wager.note_vain if is_vain else self._wager.note_plain
            note(self._usual(self._seconds()))
        self._made = len(self.row.made)
        return said

    def _run(self, group: Group, drafter: Drafter) -> list[int]:
        """The next token and a draft of those after it; empty where that is not worth while."""
        job, made = self.row.job, len(self.row.made)
        most = min(self._wager.length, job.max_tokens - made - 2)
        if most < 1 or not (group.is_known or self._is_prepared(drafter)):
            return []
        has_waited, token = not group.is_known, group.wait()
        draft = drafter.propose(self._text.known(token), self._hints, most)
        self._has_waited = has_waited and not draft
        return [token, *draft] if draft else []

    def _is_prepared(self, drafter: Drafter) -> bool:
        began = time.monotonic()
        is_ready = drafter.prepare(self._text.known(), self._hints)
        self._prepared_s = time.monotonic() - began
        return is_ready

    def _draw(self, logits: Any) -> Any:
        """Tokens [N] of logits [N, V] at the next places but one of the answer."""
        count = logits.shape[0]
        if count not in self._samplers:
            draw = Draw(self.row.job.policy, (), ())
            self._samplers = {count: Sampler([draw] * count, logits.shape[-1])}
        begin = len(self.row.made) + 1
        places = range(begin, begin + count)
        return self._samplers[count](logits, None, places, [False] * count)

    def _seconds(self) -> float | None:
        """Since the end of the step before."""
        before, self._ended = self._ended, time.monotonic()
        return self._ended - before if self._steady > 1 else None

    def _usual(self, seconds: float | None) -> float | None:
        """A step in which a drafter had much to read says nothing of others."""
        reading_s, self._prepared_s = self._prepared_s, 0.0
        return None if seconds is None or reading_s * 10 > seconds else seconds


def _can_draft(row: Row) -> bool:
    job = row.job
    return job.grammar is None and job.top_logprobs is None and not job.policy.is_penalised


class _Growing:
    """A row's prompt and answer side by side."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self._tokens: Tokens = np.array(row.tokens, np.int32)
        self._count = self._tokens.size

    def known(self, *more: int) -> Tokens:
        """With `more` at the end that the row does not have yet."""
        row = self._row
        new = [*row.made[self._count - len(row.job.prompt) :], *more]
        end = self._count + len(new)
        if end > self._tokens.size:
            self._tokens = np.resize(self._tokens, 2 * end)
        self._tokens[self._count : end] = new
        self._count = row.length
        return self._tokens[:end]
