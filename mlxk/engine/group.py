"""Rows that share one forward pass. Knows tokens and caches, not where rows come from."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import mlx.core as mx

from mlxk.engine import passes, shapes
from mlxk.engine.caches import Caches
from mlxk.engine.logprobs import Logprobs
from mlxk.engine.matcher import Guide, masked
from mlxk.engine.packing import common, packed
from mlxk.engine.parts import Part, Parts
from mlxk.engine.protocol import Ended, Job, Step
from mlxk.engine.sampler import Draw, Sampler
from mlxk.engine.shard import ALONE, Shard

if TYPE_CHECKING:
    from mlxk.engine.archive import Loan

# The stubs of MLX leave these without types.
dispatch: Any = mx.async_eval


@dataclass(slots=True)
class Row:
    """A sequence on the device. `pending` is the prompt that was not read yet; `made` what was
    read back of the answer, one token behind the device. `caches` is empty before the start."""

    job: Job
    made: list[int]
    pending: deque[int]
    guide: Guide | None = None
    loan: "Loan | None" = None
    caches: Caches = field(default_factory=list)
    cached: int = 0
    is_fresh: bool = True
    _words: bytes = b""

    def __post_init__(self) -> None:
        self._words = packed(self.job.prompt)

    def ends(self, token: int) -> Ended | None:
        if token in self.job.stop:
            return "stop"
        return "length" if len(self.made) >= self.job.max_tokens else None

    def start(self, length: int, held: Caches) -> None:
        """Begin with caches that hold the first `length` tokens."""
        self.caches = held
        self.cached = min(length, len(self.job.prompt))
        for _ in range(length):
            self.pending.popleft()

    @property
    def length(self) -> int:
        return len(self.job.prompt) + len(self.made)

    @property
    def tokens(self) -> list[int]:
        return [*self.job.prompt, *self.made]

    def between(self, low: int, high: int) -> list[int]:
        """Some of the tokens, without a copy of all."""
        begun = len(self.job.prompt)
        made = self.made[max(low - begun, 0) : max(high - begun, 0)]
        return [*self.job.prompt[low:high], *made]

    @property
    def words(self) -> bytes:
        """The same, packed."""
        return self._words + packed(self.made) if self.made else self._words

    @property
    def read(self) -> list[int]:
        """What is in its caches before it joins a group."""
        return self.tokens[: self.read_length]

    @property
    def read_length(self) -> int:
        return self.length - len(self.pending)

    def shared(self, words: bytes) -> int:
        """How many tokens it begins with that packed `words` begin with too."""
        count = common(self._words, words)
        if count < len(self.job.prompt):
            return count
        return count + common(packed(self.made), words[len(self._words) :])


@dataclass(frozen=True, slots=True)
class Forward:
    """The model, the ranks it runs on, and the padding (tokens) that its batches may have.

    `has_few_shapes` where a new shape of a pass is dear, see `shapes`; caches can be cut then.
    """

    model: Any
    shard: Shard = ALONE
    slack: int | None = None
    has_few_shapes: bool = False

    def onward(
        self, between: Callable[[int, int], list[int]], held: Caches, start: int, tokens: list[int]
    ) -> Any:
        """Logits [L, V] of `tokens`, which follow the first `start` ones of a sequence; `held`
        holds those before the pass, and all of them after it. `between` says some of them again."""
        if not self.has_few_shapes:
            return self.model(mx.array([tokens]), cache=held)[0]
        again, width = shapes.around(start, len(tokens))
        return passes.alone(self.model, held, between(start - again, start), tokens, width)


class Group:
    """`_next` [B] are tokens that were chosen, but perhaps not computed yet.

    Rows arrive with their prompts read but for the last token, either each with its own caches
    or all with `held`, which are merged ones.
    """

    def __init__(self, forward: Forward, rows: list[Row], held: Caches | None = None) -> None:
        self.rows = rows
        self._forward = forward
        self._parts = Parts(Part(rows, held), forward.slack)
        self._next = mx.array([row.pending.popleft() for row in rows])
        self._sampler: Sampler | None = None
        self._known: tuple[Any, int] | None = None
        self._is_ahead = False
        self._asked: list[Row] = []
        self._logprobs: Logprobs | None = None

    def extend(self, other: "Group") -> None:
        before = [*self.rows, *other.rows]
        self._parts.add(other._parts)
        self.rows = self._parts.rows
        order = [before.index(row) for row in self.rows]
        self._next = mx.concatenate([self._next, other._next])[mx.array(order)]
        self._sampler = None

    def settle(self) -> None:
        """Nobody is about to join."""
        self._parts.settle()

    def extract(self, row: Row) -> tuple[list[int], Caches]:
        """A row's caches by themselves, and the tokens they hold."""
        tokens = row.tokens if self._is_ahead and not row.is_fresh else row.tokens[:-1]
        return tokens, self._parts.extract(row, len(tokens))

    def keep(self, rows: list[Row]) -> None:
        if len(rows) == len(self.rows) or not rows:
            self.rows = rows
            return
        self._next = self._next[mx.array([self.rows.index(row) for row in rows])]
        self._parts.keep(rows)
        self.rows = rows
        self._sampler = None

    def step(self) -> list[Step]:
        """Dispatch the next tokens, then read the ones before them."""
        inputs, asked, logprobs = self._next, self._asked, self._logprobs
        self._is_ahead = any(
            row.is_fresh or len(row.made) + 1 < row.job.max_tokens for row in self.rows
        )
        if self._is_ahead:
            logits = self._forward.model(inputs[:, None], cache=self._parts.caches)[:, -1, :]
            self._next = self._choose(self._ruled(logits, inputs), inputs)
            self._measure(logits)
            dispatch(self._next)
        tokens: Any = inputs.tolist()
        pairs = zip(self.rows, tokens, strict=True)
        steps = [step for row, token in pairs if (step := _read(row, token))]
        return _with_logprobs(steps, asked, logprobs) if logprobs else steps

    @property
    def is_known(self) -> bool:
        """Whether the next token has been waited for."""
        return self._known is not None and self._known[0] is self._next

    def wait(self) -> int:
        """The next token of the only row."""
        if self._known is None or self._known[0] is not self._next:
            token: Any = self._next.item()
            self._known = self._next, token
        return self._known[1]

    def verify(self, run: list[int], draw: Callable[[Any], Any]) -> list[Step]:
        """Of the only row: its next token and a draft, as far as that is what `draw` says."""
        (row,) = self.rows
        draws = draw(self._forward.onward(row.between, self._parts.caches, row.length, run))
        drawn: list[int] = draws.tolist()
        held = next((i for i, token in enumerate(run[1:]) if token != drawn[i]), len(run) - 1)
        self._next, self._is_ahead = draws[held : held + 1], True
        self._known = self._next, drawn[held]
        steps: list[Step] = []
        for token in run[: held + 1]:
            if step := _read(row, token):
                steps.append(step)
            if row.ends(token):
                break
        for cache in self._parts.caches:
            cache.trim(len(run) - len(steps))
        return [replace(steps[0], drafted=len(run) - 1, accepted=len(steps) - 1), *steps[1:]]

    def _measure(self, logits: Any) -> None:
        """What was asked about these tokens, of the model's own logits."""
        self._asked = [row for row in self.rows if row.job.top_logprobs is not None]
        self._logprobs = None
        if self._asked:
            places = [self.rows.index(row) for row in self._asked]
            count = max(row.job.top_logprobs or 0 for row in self._asked)
            self._logprobs = Logprobs(logits, self._next, places, count)
            dispatch(self._logprobs.arrays)

    def _ruled(self, logits: Any, inputs: Any) -> Any:
        """Without what the rows' grammars forbid."""
        if not any(row.guide for row in self.rows):
            return logits
        # The device computes while the grammars read the tokens that led to these logits.
        dispatch(logits)
        tokens: Any = inputs.tolist()
        for row, token in zip(self.rows, tokens, strict=True):
            if row.guide and not row.is_fresh:
                _follow(row, row.guide, token)
        return masked(logits, [row.guide for row in self.rows])

    def _choose(self, logits: Any, inputs: Any) -> Any:
        if self._sampler is None:
            draws = [Draw(row.job.policy, row.job.prompt, row.made) for row in self.rows]
            self._sampler = Sampler(draws, logits.shape[-1])
        unread = [not row.is_fresh for row in self.rows]
        positions = [len(row.made) + new for row, new in zip(self.rows, unread, strict=True)]
        return self._forward.shard.first(self._sampler(logits, inputs, positions, unread))


def _follow(row: Row, guide: Guide, token: int) -> None:
    """The end of a sequence is not part of what its grammar describes."""
    if token in row.job.stop:
        row.guide = None
    else:
        guide.consume(token)


def _read(row: Row, token: int) -> Step | None:
    """A fresh row's input is the prompt's last token: it was said before."""
    if row.is_fresh:
        row.is_fresh = False
        return None
    row.made.append(token)
    cached, row.cached = row.cached, 0
    return Step(row.job.uid, token, row.ends(token), cached)


def _with_logprobs(steps: list[Step], asked: list[Row], logprobs: Logprobs) -> list[Step]:
    wanted = {row.job.uid: row.job.top_logprobs or 0 for row in asked}
    found = dict(zip(wanted, logprobs.read(), strict=True))
    return [
        replace(step, logprob=found[step.uid][0], top=found[step.uid][1][: wanted[step.uid]])
        if step.uid in found
        else step
        for step in steps
    ]
