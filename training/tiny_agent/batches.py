"""Endless batches of encoded conversations, made by as many processes as the machine lends."""

import json
import multiprocessing
import os
import queue
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer

from training.tiny_agent.conversations import Conversation, converse
from training.tiny_agent.phrasings.looking import line_range
from training.tiny_agent.render import SEPARATOR, Piece, render
from training.tiny_agent.source import Source
from training.tiny_agent.tokenizer import letter_pieces
from training.tiny_agent.values import command, content, short

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

Encoded = tuple[list[int], list[bool]]
Batch = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True)
class Plan:
    """`tokens` in a batch, no conversation above `longest`, lengths rounded up to `step`."""

    tokens: int
    longest: int
    step: int = 32

    @property
    def pool(self) -> int:
        return max(256, self.tokens // 12)


def encode(tokenizer: Tokenizer, pieces: Iterable[Piece]) -> Encoded:
    ids: list[int] = []
    learned: list[bool] = []
    for piece in pieces:
        new = tokenizer.encode(piece.text, add_special_tokens=False).ids
        ids += new
        learned += [piece.learned] * len(new)
    return ids, learned


def batches(tokenizer: Tokenizer, seed: int, plan: Plan, *, easy: bool) -> Iterator[Batch]:
    """Conversations of like length go together, so that little is padding."""
    source = Source(seed, pieces=letter_pieces(tokenizer))
    while True:
        pool: list[Encoded] = []
        while len(pool) < plan.pool:
            encoded = encode(tokenizer, _sample(source, easy))
            if len(encoded[0]) <= plan.longest:
                pool.append(encoded)
        pool.sort(key=lambda item: len(item[0]))
        groups = list(_groups(pool, plan))
        source.random.shuffle(groups)
        for group in groups:
            yield _stacked(group, plan.step)


def _sample(source: Source, easy: bool) -> list[Piece]:
    if source.chance(0.6 if easy else 0.03):
        return _drill(source)
    if source.chance(0.05):
        return _counting_drill(source)
    conversation = converse(source)
    return _first_turn(conversation) if easy else render(conversation.messages, conversation.tools)


def _drill(source: Source) -> list[Piece]:
    """Nothing but copying: strings, then the same strings as JSON spells them."""
    texts = [
        source.pick((content, content, _name, command, short))(source)
        for _ in range(source.pick((1, 1, 2, 3)))
    ]
    copies = (json.dumps(text, ensure_ascii=False)[1:-1] for text in texts)
    return [
        Piece(SEPARATOR + SEPARATOR.join(texts) + SEPARATOR),
        Piece(SEPARATOR.join(copies) + SEPARATOR, learned=True),
    ]


def _counting_drill(source: Source) -> list[Piece]:
    """Lines a to b are b - a + 1 lines: the one sum the model has to do."""
    pieces: list[Piece] = []
    for _ in range(source.between(3, 8)):
        first, count = line_range(source)
        link = source.pick((" to ", " to ", "-", " through ", " - ", " until "))
        said = f"lines {first}{link}{first + count - 1}"
        pieces.append(Piece(f'{SEPARATOR}{said}{SEPARATOR}{{"offset": {first}, "limit": '))
        pieces.append(Piece(f"{count}}}", learned=True))
    return pieces


def _name(source: Source) -> str:
    return source.file_name()


def _first_turn(conversation: Conversation) -> list[Piece]:
    """A request and its answer without system text: the cheapest way to learn to copy."""
    messages = [m for m in conversation.messages if m["role"] != "system"]
    return render(messages[:2], ())


def _groups(pool: list[Encoded], plan: Plan) -> Iterator[list[Encoded]]:
    group: list[Encoded] = []
    for item in pool:
        width = _rounded(
            len(item[0]), plan.step
        )  # the pool is sorted: this one is the longest so far
        if group and width * (len(group) + 1) > plan.tokens:
            yield group
            group = []
        group.append(item)
    yield group


def _rounded(length: int, step: int) -> int:
    return -(-length // step) * step


def _stacked(group: list[Encoded], step: int) -> Batch:
    width = _rounded(max(len(ids) for ids, _ in group), step)
    ids, learned = np.zeros((len(group), width), np.int32), np.zeros((len(group), width), bool)
    for row, (tokens, flags) in enumerate(group):
        ids[row, : len(tokens)], learned[row, : len(flags)] = tokens, flags
    return ids, np.flatnonzero(learned[:, 1:])


class Feed:
    """Batches from worker processes, or from this one when `workers` is 0."""

    def __init__(
        self, tokenizer_file: str, seed: int, plan: Plan, *, workers: int, easy: bool
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._easy = context.Value("b", easy)
        self._processes = []
        if not workers:
            self._batches = _switching(tokenizer_file, seed, plan, self._easy)
            return
        self._queue = context.Queue(workers * 2)
        for i in range(workers):
            arguments = (tokenizer_file, seed * 1000 + i, plan, self._easy, self._queue)
            process = context.Process(target=_work, args=arguments, daemon=True)
            process.start()
            self._processes.append(process)

    def next(self) -> Batch:
        return self._queue.get() if self._processes else next(self._batches)

    def harder(self) -> None:
        self._easy.value = 0

    def close(self) -> None:
        for process in self._processes:
            process.terminate()


def _switching(
    tokenizer_file: str, seed: int, plan: Plan, easy: "Synchronized[int]"
) -> Iterator[Batch]:
    tokenizer = Tokenizer.from_file(tokenizer_file)
    short_ones = batches(tokenizer, seed, plan, easy=True)
    all_kinds = batches(tokenizer, seed + 100_000, plan, easy=False)
    while True:
        yield next(short_ones if easy.value else all_kinds)


def _work(
    tokenizer_file: str,
    seed: int,
    plan: Plan,
    easy: "Synchronized[int]",
    out: "multiprocessing.Queue",
) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    for batch in _switching(tokenizer_file, seed, plan, easy):
        _put(out, batch)


def _put(out: "multiprocessing.Queue", batch: Batch) -> None:
    """Waits in short steps, so that a terminated parent is noticed."""
    while True:
        try:
            return out.put(batch, timeout=5)
        except queue.Full:
            continue
