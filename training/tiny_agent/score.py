"""Exact-match scores while training: given the right history, every token of a turn counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer

from training.tiny_agent.batches import Encoded, encode
from training.tiny_agent.conversations import LABELS, Conversation, converse
from training.tiny_agent.model import LanguageModel
from training.tiny_agent.render import render
from training.tiny_agent.source import Source

_ROWS = 16


@dataclass(slots=True)
class Tally:
    count: int = 0
    first: int = 0
    whole: int = 0

    def add(self, turns: Sequence[bool]) -> None:
        self.count += 1
        self.first += turns[0]
        self.whole += all(turns)


@dataclass(frozen=True, slots=True)
class Miss:
    label: str
    wanted: str
    got: str


def held_out(count: int, seed: int = 777) -> list[Conversation]:
    source = Source(seed, held_out=True)
    return [converse(source, label) for label in LABELS for _ in range(count)]


@torch.no_grad()
def score(
    model: LanguageModel, tokenizer: Tokenizer, conversations: Iterable[Conversation], device: str
) -> tuple[dict[str, Tally], list[Miss]]:
    items = [(c.label, encode(tokenizer, render(c.messages, c.tools))) for c in conversations]
    items.sort(key=lambda item: len(item[1][0]))
    tallies: dict[str, Tally] = {}
    misses: list[Miss] = []
    for start in range(0, len(items), _ROWS):
        group = items[start : start + _ROWS]
        for (label, item), guesses in zip(group, _guesses(model, group, device), strict=True):
            spans = _spans(item[1])
            turns = [guesses[a - 1 : b - 1] == item[0][a:b] for a, b in spans]
            tallies.setdefault(label, Tally()).add(turns)
            if not all(turns):
                a, b = spans[turns.index(False)]
                wanted, got = (
                    tokenizer.decode(ids) for ids in (item[0][a:b], guesses[a - 1 : b - 1])
                )
                misses.append(Miss(label, wanted, got))
    return tallies, misses


def total(tallies: dict[str, Tally]) -> Tally:
    values = tallies.values()
    return Tally(
        sum(t.count for t in values), sum(t.first for t in values), sum(t.whole for t in values)
    )


def table(tallies: dict[str, Tally]) -> str:
    rows = [*tallies.items(), ("all", total(tallies))]
    return "\n".join(
        f"  {name:12s} n={t.count:5d} first {t.first / t.count:7.2%} whole {t.whole / t.count:7.2%}"
        for name, t in rows
    )


def _guesses(
    model: LanguageModel, group: list[tuple[str, Encoded]], device: str
) -> list[list[int]]:
    width = max(len(item[0]) for _, item in group)
    ids = torch.zeros(len(group), width, dtype=torch.long)
    for row, (_, item) in enumerate(group):
        ids[row, : len(item[0])] = torch.tensor(item[0])
    with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
        best = model.logits(model(ids.to(device))).argmax(-1)
    return best.tolist()


def _spans(learned: list[bool]) -> list[tuple[int, int]]:
    spans, start = [], None
    for i, flag in enumerate([*learned, False]):
        if flag and start is None:
            start = i
        elif not flag and start is not None:
            spans.append((start, i))
            start = None
    return spans
